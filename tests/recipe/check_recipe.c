/* SPDX-License-Identifier: MIT */
/** \file check_recipe.c \brief Recipe strings: what they mean, and what is wrong with them. */
#include "recipe/recipe.h"
#include "recipe/recipe_real.h"
#include "support/random.h"
#include "support/suite.h"

#include <check.h>
#include <clkv.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static clkv_status print(const char *recipe, char text[1024], clkv_error *error)
{
	memset(text, '#', 1024);
	return clkv_recipe_print(recipe, text, 1024, error);
}

static void check_fixed_point(const char *text)
{
	char again[1024];
	clkv_error error;
	ck_assert_msg(print(text, again, &error) == CLKV_OK, "'%s': %s", text, error.text);
	ck_assert_str_eq(again, text);
}

START_TEST(test_printing_is_a_fixed_point)
{
	static const char *const recipes[] = {
		"f16",
		" f16 ",
		"kivi",
		"kivi:bits=2,group=16",
		"kivi:k=4 , v=2;window=64",
		"\tkivi : bits = 8 ; sinks = 4 , block=128 , skip=2 , seal=prompt\n",
		"q",
		"q:k=8,v=4",
		"q:k=16,v=2,axis_k=token,axis_v=channel,sym=1",
		"q:rot=hadamard,k=4,v=4",
		"q:rot=file,k=4,v=4",
		"q ; window=0",
		"spark",
		"spark:keep=0.001,obs=256,recover=normal,seed=7,saliency=abs,qagg=norm",
		"think:keep=0.5,refresh=0,align=16 | kvcomp:entropy=pack ; window=0",
		"spark:fill=0.5,recover=const|q:k=16 ; seal=chunk",
		"zeromerge",
		"zeromerge:budget=512,tail=128,residual=7,lambda=0.98,alpha=0.6,metric=dot,init=contig",
		"zeromerge:obs=32,alloc=adaptive,least=0,evict=any,score_merge=sum,gqa=max | kivi:bits=4",
		"streaming:budget=512 ; sinks=4",
		"h2o:budget=512,recent=0.5,gqa=mean",
		"snapkv:budget=512,obs=32,agg=max,pool=5,pooling=max,gqa=sum | think | q",
		"l2norm:budget=0.5 ; window=64",
		"corm:obs=256 ; window=256",
		"morphkv:budget=600,obs=30,agg=max",
		"expected:budget=600,obs=64,ahead=1024,spread=0,lengths=0,gqa=max | kivi",
		"kvzip:budget=0.3,gqa=mean,alloc=uniform | kivi",
		"cascade:budget=2048,rings=4,beta=0.9999999 ; sinks=64",
		"prefixkv:budget=0.3",
		"dbudgetkv:tau=0.01",
		"kvmerger:budget=0.5",
		"kvmerger:similar=0.75,heavy=0,alpha=0 ; skip=0",
		"prefixkv | kvmerger | kivi",
		"h2o | place:host",
		"layers=0-: kivi",
		"layers=0-1: f16; 2-: kivi:bits=2",
		" layers = 0 - 1 , 4 : f16 ; window=4 ; 2,3,5-: kvcomp ; block=32,skip=3 ",
		"layers=1:f16;0:q:k=4",
		"layers=sliding: f16; full: think | kivi:bits=2 ; window=64",
		"layers=full:kivi",
		"layers=0-1023: f16",
	};
	char text[1024];
	clkv_error error;
	ck_assert_msg(print(recipes[_i], text, &error) == CLKV_OK, "'%s': %s", recipes[_i], error.text);
	check_fixed_point(text);
}
END_TEST

START_TEST(test_the_print_has_every_key_and_what_was_given)
{
	static const struct {
		const char *recipe, *parts[4];
	} cases[] = {
		{"kivi:bits=2,group=16", {"kivi", "bits=2", "group=16", "block=64"}},
		{"kivi", {"bits=4", "group=32", "sinks=0", "skip=0"}},
		{"kitty:boost=0.25", {"kitty:boost=0.25,group=32", "window=128", "sinks=0", "seal=chunk"}},
		{"kvquant",
	     {"kvquant:bits=3,group=64,levels=normal", "outliers=0.01 ;", "window=64", "sinks=4"}},
		{"q ; seal=chunk", {"k=8", "v=4", "rot=none", "seal=chunk"}},
		{"think", {"keep=0.6", "obs=32", "align=4", "qagg=rms"}},
		{"spark:keep=0.2", {"keep=0.2", "recover=fit", "refine=2", "saliency=sq"}},
		{"spark:recover=const,fill=0.5 | kivi:bits=2", {"fill=0.5", " | kivi", "bits=2", "seed=0"}},
		{"q:sym=1,rot=hadamard;window=7", {"sym=1", "rot=hadamard", "window=7", "axis_k=token"}},
		{"zeromerge",
	     {"budget=0.2,tail=0.375,residual=0.2", "metric=cos", "alloc=uniform", "seal=prompt"}},
		{"streaming", {"budget=512", "sinks=4", "window=0", "seal=chunk"}},
		{"h2o", {"budget=0.2", "recent=0.5", "gqa=sum", "seal=prompt"}},
		{"snapkv",
	     {"obs=32,agg=sum,pool=5,pooling=avg,gqa=mean", "budget=512", "window=32", "seal=prompt"}},
		{"l2norm", {"budget=0.5", "window=64", "skip=2", "seal=chunk"}},
		{"corm", {"corm:obs=256 ;", "window=256", "sinks=0", "seal=prompt"}},
		{"morphkv", {"budget=600", "obs=30", "agg=sum", "gqa=max"}},
		{"expected",
	     {"budget=512,obs=256,ahead=512,spread=1,lengths=1,gqa=mean", "window=32", "sinks=4",
	      "seal=prompt"}},
		{"kvzip", {"budget=512,gqa=max,alloc=global", "window=32", "sinks=0", "seal=prompt"}},
		{"cascade", {"budget=2048,rings=4,beta=0.9999", "gqa=mean", "sinks=64", "seal=chunk"}},
		{"prefixkv", {"budget=0.2", "window=32", "sinks=4", "skip=0"}},
		{"dbudgetkv", {"tau=0.01,obs=1", "sinks=4", "skip=2", "seal=prompt"}},
		{"kvmerger:budget=0.35",
	     {"budget=0.35,heavy=0.2,alpha=1 ;", "window=32", "skip=2", "seal=prompt"}},
		{"l2norm | kivi ; skip=1", {"window=128", "skip=1", "bits=4", "seal=chunk"}},
	};
	char text[1024];
	clkv_error error;
	ck_assert_int_eq(print(cases[_i].recipe, text, &error), CLKV_OK);
	for (size_t i = 0; i < 4; i++)
		ck_assert_msg(strstr(text, cases[_i].parts[i]) != NULL, "'%s' lacks '%s'", text,
		              cases[_i].parts[i]);
}
END_TEST

/* Layers are printed as merged ranges, and each part in full. */
START_TEST(test_recipes_of_layers_in_full)
{
	static const char *const cases[][2] = {
		{"layers=1,0 : f16;2-:f16", "layers=0-1: f16 ; block=64 ; 2-: f16 ; block=64"},
		{"layers=3-,0:f16 ; skip=2 ; 1-2: f16;block=32",
	     "layers=0,3-: f16 ; block=64,skip=2 ; 1-2: f16 ; block=32"},
		{"layers=full:f16;sliding:f16", "layers=full: f16 ; block=64 ; sliding: f16 ; block=64"},
	};
	char text[1024], want[1024] = "";
	size_t n = 0;
	clkv_error error;
	ck_assert_int_eq(print(cases[_i][0], text, &error), CLKV_OK);
	for (char *at = text; *at;
	     at++) { /* what f16 has beside block and skip is of no interest here */
		static const char *const dull[] = {"window=0,", "sinks=0,", ",skip=0", ",seal=chunk"};
		for (size_t i = 0; i < 4; i++)
			while (strncmp(at, dull[i], strlen(dull[i])) == 0)
				at += strlen(dull[i]);
		if (!*at)
			break;
		want[n++] = *at;
	}
	ck_assert_str_eq(want, cases[_i][1]);
}
END_TEST

/* Where the error begins, and words that its text must have: the culprit and what is allowed. */
static const struct {
	const char *recipe;
	int position;
	const char *words[3];
} errors[] = {
	{"", 0, {"stage", "kivi", "f16"}},
	{"   ", -2, {"stage", "kivi", "f16"}},
	{"kiwi", 0, {"kiwi", "kivi", "q"}},
	{"KIVI", 0, {"KIVI", "kivi", NULL}},
	{"kivi:", 5, {"kivi", "bits", "group"}},
	{"kivi:bit=4", 5, {"bit", "bits", "group"}},
	{"kivi:group=32, bots=4", 15, {"bots", "bits", "kivi"}},
	{"kivi:bits=7", 10, {"bits", "7", "2|3|4|5|6|8"}},
	{"kivi:bits=", 10, {"bits", "2|3|4|5|6|8", "kivi"}},
	{"kivi:bits", 9, {"bits", "2|3|4|5|6|8", "kivi"}},
	{"kivi:bits=4x", 10, {"bits", "4x", NULL}},
	{"kivi:bits=-4", 10, {"bits", "-4", NULL}},
	{"kivi:bits=99999999999999999999", 10, {"bits", "allowed", NULL}},
	{"kivi:bits=4,bits=4", 12, {"bits", "twice", NULL}},
	{"kivi:bits=4,", 12, {"kivi", "bits", "group"}},
	{"kivi:group=24", 11, {"group", "24", "16|32|64|128"}},
	{"kitty:boost=1.5", 12, {"boost", "1.5", "0 to 1"}},
	{"kitty:bits=4", 6, {"bits", "boost", "group"}},
	{"kivi | kitty", 7, {"kitty", "kivi", "order"}},
	{"kvquant:bits=5", 13, {"bits", "5", "2|3|4"}},
	{"kvquant:outliers=0.1", 17, {"outliers", "0.1", "0 to 0.05"}},
	{"kvquant:levels=kmeans", 15, {"levels", "kmeans", "uniform|normal"}},
	{"q:axis_k=tokens", 9, {"axis_k", "tokens", "channel|token"}},
	{"q:sym=2", 6, {"sym", "2", "0 to 1"}},
	{"q:rot=dct", 6, {"rot", "dct", "none|hadamard|file"}},
	{"q:k=7", 4, {"k", "7", "16"}},
	{"f16:bits=4", 4, {"f16", "bits", "none"}},
	{"kivi ; windows=4", 7, {"windows", "window", "sinks"}},
	{"kivi ; window=4 ; sinks=4", 16, {"a second ';'", "one ';'", "',' between keys"}},
	{"kivi:bits=4 ; sinks=4 ; window=64", 22, {"a second ';'", "one ';'", "',' between keys"}},
	{"kivi:k=4;v=2", 9, {"'v' (a stage's: before ';', with ','", "window", "seal"}},
	{"kivi:bits=4,window=64", 12, {"'window' (a general key: behind ';')", "bits", "group"}},
	{"kivi:bits=4 k=2", 10, {"'4 k=2'", "2|3|4|5|6|8", ", and ',' between keys"}},
	{"kivi ; window=64 sinks=4", 14, {"'64 sinks=4'", "0 to", ", and ',' between keys"}},
	{"kivi ; window=9999999", 14, {"window", "9999999", "0 to"}},
	{"kivi ; block=48", 13, {"block", "48", "32|64|128"}},
	{"kivi ; seal=never", 12, {"seal", "never", "chunk|prompt"}},
	{"kivi | q", 7, {"q", "kivi", "order"}},
	{"kivi |", -2, {"stage", "missing", "kivi"}},
	{"| kivi", 0, {"stage", "missing", "kivi"}},
	{"kivi:bits=4\x01", 10, {"bits", "'4?'", "allowed"}},
	{"spark:keep=0", 11, {"keep", "'0'", "0.001 to 1"}},
	{"think:keep=1.5", 11, {"keep", "1.5", "0.001 to 1"}},
	{"spark:keep=nan", 11, {"keep", "nan", "0.001 to 1"}},
	{"spark:obs=0", 10, {"obs", "'0'", "1 to 256"}},
	{"think:obs=257", 10, {"obs", "257", "1 to 256"}},
	{"think:qagg=max", 11, {"qagg", "max", "mean|rms|abs|norm"}},
	{"think:align=3", 12, {"align", "3", "2|4|8|16"}},
	{"think:recover=zero", 6, {"recover", "think", "refresh"}},
	{"spark:recover=gauss", 14, {"recover", "gauss", "zero|const|signmag|mean|fit|exp|normal"}},
	{"spark:saliency=square", 15, {"saliency", "square", "abs|sq"}},
	{"spark:refine=5", 13, {"refine", "5", "0 to 4"}},
	{"spark:fill=-1", 11, {"fill", "-1", "0 to 100"}},
	{"kivi:bits=4 | spark", 14, {"spark", "kivi", "order"}},
	{"think:keep=0.5 | spark", 17, {"spark", "think", NULL}},
	{"spark | think", 8, {"spark", "think", NULL}},
	{"spark | spark", 8, {"spark", NULL, NULL}},
	{"h2o:budget=0", 11, {"h2o", "'0'", "0.0001 to 1, a share, or 2 to 1048576"}},
	{"h2o:budget=-1", 11, {"budget", "'-1'", "0.0001 to 1"}},
	{"h2o:budget=1.5", 11, {"budget", "'1.5'", "whole number"}},
	{"snapkv:budget=512.5", 14, {"snapkv", "'512.5'", "2 to 1048576, a whole number"}},
	{"streaming:budget=1048577", 17, {"streaming", "1048577", "2 to 1048576"}},
	{"l2norm:budget=", 14, {"l2norm", "budget", "share"}},
	{"cascade:budget=nan", 15, {"cascade", "nan", "0.0001 to 1"}},
	{"prefixkv:budget=0.00001", 16, {"prefixkv", "0.00001", "0.0001 to 1"}},
	{"kvmerger:budget=2.25", 16, {"kvmerger", "2.25", "whole number"}},
	{"zeromerge:tail=1.5", 15, {"tail", "1.5", "0 to 1, a share"}},
	{"zeromerge:residual=-0.1", 19, {"residual", "-0.1", "0 to 1, a share"}},
	{"zeromerge:lambda=0", 17, {"lambda", "'0'", "0.001 to 1"}},
	{"zeromerge:lambda=1.01", 17, {"lambda", "1.01", "0.001 to 1"}},
	{"zeromerge:alpha=2", 16, {"alpha", "'2'", "0 to 1"}},
	{"zeromerge:metric=cosine", 17, {"metric", "cosine", "dot|l2|cos"}},
	{"zeromerge:init=zero", 15, {"init", "zero", "first|contig|best"}},
	{"zeromerge:alloc=layer", 16, {"alloc", "layer", "uniform|adaptive"}},
	{"zeromerge:evict=old", 16, {"evict", "old", "new|any"}},
	{"zeromerge:score_merge=mean", 22, {"score_merge", "mean", "max|sum"}},
	{"zeromerge:score=obs", 10, {"zeromerge", "'score'", "budget|tail|residual|lambda"}},
	{"streaming:tail=4", 10, {"streaming", "'tail'", "budget"}},
	{"h2o:recent=513.5", 11, {"recent", "513.5", "whole number"}},
	{"snapkv:obs=0", 11, {"obs", "'0'", "1 to 256"}},
	{"snapkv:pool=4", 12, {"pool", "'4'", "1|3|5|7"}},
	{"snapkv:pooling=mean", 15, {"pooling", "mean", "avg|max"}},
	{"snapkv:agg=mean", 11, {"agg", "mean", "sum|max"}},
	{"snapkv:gqa=any", 11, {"gqa", "any", "sum|mean|max"}},
	{"corm:budget=512", 5, {"corm", "'budget'", "obs"}},
	{"corm:obs=257", 9, {"obs", "257", "1 to 256"}},
	{"morphkv:obs=1", 12, {"obs", "'1'", "2 to 256"}},
	{"expected:obs=0", 13, {"obs", "'0'", "1 to 256"}},
	{"expected:ahead=0", 15, {"ahead", "'0'", "1 to 65536"}},
	{"expected:spread=2", 16, {"spread", "'2'", "0 to 1"}},
	{"morphkv:agg=mean", 12, {"agg", "mean", "sum|max"}},
	{"cascade:rings=0", 14, {"rings", "'0'", "1 to 16"}},
	{"cascade:beta=0", 13, {"beta", "'0'", "0.001 to 1"}},
	{"dbudgetkv:tau=0", 14, {"tau", "'0'", "1e-6 to 1"}},
	{"dbudgetkv:tau=2", 14, {"tau", "'2'", "1e-6 to 1"}},
	{"dbudgetkv:obs=0", 14, {"obs", "'0'", "1 to 256"}},
	{"kvmerger:similar=0", 17, {"similar", "'0'", "0.001 to 2"}},
	{"kvmerger:heavy=1.1", 15, {"heavy", "1.1", "0 to 1"}},
	{"kivi | h2o", 7, {"h2o", "kivi", "order"}},
	{"h2o | snapkv", 6, {"snapkv", "h2o", "order"}},
	{"kvmerger | h2o", 11, {"h2o", "kvmerger", "order"}},
	{"think | zeromerge", 8, {"zeromerge", "think", "order"}},
	{"h3o", 0, {"h3o", "zeromerge", "kvmerger"}},
	{"layers=", 7, {"':' is missing", "sliding", "full"}},
	{"layers=0-1", 7, {"':' is missing", "layers", NULL}},
	{"layers=: f16", 7, {"layers", "numbers", "ranges"}},
	{"layers=x: f16", 7, {"'x'", "numbers", "sliding"}},
	{"layers=0-1: f16 ; y: kivi", 18, {"'y", "numbers", "full"}},
	{"layers=1-0: f16", 7, {"'1-0'", "ranges", NULL}},
	{"layers=0--1: f16", 9, {"'-1'", "ranges", NULL}},
	{"layers=-1: f16", 7, {"'-1'", "ranges", NULL}},
	{"layers=0,: f16", 9, {"layers", "ranges", NULL}},
	{"layers=0 1: f16", 9, {"'1'", "ranges", NULL}},
	{"layers=0-1024: f16", 7, {"'0-1024'", "below 1024", NULL}},
	{"layers=99999999999999999999: f16", 7, {"below 1024", NULL, NULL}},
	{"layers=0: f16 ; 2-: kivi", 7, {"layer 1 has no recipe", "one for each", NULL}},
	{"layers=1-: f16", 7, {"layer 0 has no recipe", NULL, NULL}},
	{"layers=0-2: f16 ; 2-: kivi", 18, {"layer 2 is named twice", NULL, NULL}},
	{"layers=0,0: f16", 9, {"layer 0 is named twice", NULL, NULL}},
	{"layers=0-: f16 ; 4-: kivi", 17, {"layer 4 is named twice", NULL, NULL}},
	{"layers=sliding: f16 ; sliding: kivi", 22, {"named twice", NULL, NULL}},
	{"layers=sliding: f16 ; 0-: kivi", 22, {"by number", "sliding or full", NULL}},
	{"layers=0: f16 ; full: kivi", 16, {"by number", "sliding or full", NULL}},
	{"layers=sliding,0: f16", 7, {"'sliding,0'", "one of", NULL}},
	{"layers=0: f16 ; 1-: kiwi", 20, {"unknown stage 'kiwi'", "kivi", NULL}},
	{"layers=0: f16 ; 1-: kivi:bits=7", 30, {"bits", "'7'", NULL}},
	{"layers=0: kivi ; window=4 ; sinks=2 ; 1-: f16", 26, {"a second ';'", NULL, NULL}},
	{"layers=0: kivi ; windows=4 ; 1-: f16", 17, {"windows", "window", NULL}},
	{"layers=0: f16 ; 1-:", -2, {"stage is missing", NULL, NULL}},
	{"kivi ; 1-: f16", 7, {"unknown key", "window", NULL}},
};

START_TEST(test_errors_say_where_and_what_is_allowed)
{
	char text[1024];
	clkv_error error;
	memset(&error, 0xee, sizeof error);
	ck_assert_msg(print(errors[_i].recipe, text, &error) == CLKV_ERROR_INVALID_RECIPE, "'%s': %s",
	              errors[_i].recipe, text);
	ck_assert_int_eq(error.status, CLKV_ERROR_INVALID_RECIPE);
	ck_assert_int_eq(text[0], '#');
	if (errors[_i].position >= 0)
		ck_assert_msg(error.position == errors[_i].position, "'%s': position %d: %s",
		              errors[_i].recipe, error.position, error.text);
	else
		ck_assert_int_ge(error.position, 0);
	ck_assert_int_le(error.position, (int)strlen(errors[_i].recipe));
	for (size_t i = 0; i < 3 && errors[_i].words[i]; i++)
		ck_assert_msg(strstr(error.text, errors[_i].words[i]) != NULL, "'%s': '%s' lacks '%s'",
		              errors[_i].recipe, error.text, errors[_i].words[i]);
	ck_assert_int_eq(clkv_recipe_print(errors[_i].recipe, text, sizeof text, NULL),
	                 CLKV_ERROR_INVALID_RECIPE);
}
END_TEST

/* However many stages there come to be: the list is whole, or says that it isn't. */
START_TEST(test_the_list_of_stages_is_whole)
{
	char text[1024];
	clkv_error error;
	ck_assert_int_eq(print("x", text, &error), CLKV_ERROR_INVALID_RECIPE);
	for (size_t i = 0; i < clkv__n_stages; i++)
		ck_assert_msg(strstr(error.text, clkv__stages[i]->name), "%s isn't in: %s",
		              clkv__stages[i]->name, error.text);
	char name[128];
	for (size_t n = 1; n < sizeof name; n++) { /* names longer than are shown end the list early */
		memset(name, 'x', n);
		name[n] = '\0';
		ck_assert_int_eq(print(name, text, &error), CLKV_ERROR_INVALID_RECIPE);
		ck_assert_msg(strstr(error.text, "zeromerge") ||
		                  strcmp(error.text + strlen(error.text) - 3, "...") == 0,
		              "cut in silence: %s", error.text);
	}
}
END_TEST

START_TEST(test_a_missing_text_gets_an_error)
{
	clkv_error error;
	ck_assert_int_eq(clkv_recipe_print("kivi", NULL, 1000, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "text is NULL"));
	ck_assert_int_eq(clkv_recipe_print("kivi", NULL, 0, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_recipe_print("kivy", NULL, 0, &error), CLKV_ERROR_INVALID_RECIPE);
}
END_TEST

START_TEST(test_long_strings_get_an_error)
{
	static char huge[100000];
	char text[1024];
	clkv_error error;
	memset(huge, 'x', sizeof huge - 1);
	ck_assert_int_ne(print(huge, text, &error), CLKV_OK);
	memcpy(huge, "kivi:bits=", 10);
	ck_assert_int_ne(print(huge, text, &error), CLKV_OK);
	ck_assert_int_ne(print(huge + sizeof huge - 3000, text, &error), CLKV_OK);
	ck_assert_ptr_nonnull(memchr(error.text, '\0', sizeof error.text));
}
END_TEST

START_TEST(test_a_short_buffer_is_refused)
{
	char text[1024], small[1024];
	clkv_error error;
	ck_assert_int_eq(print("kivi", text, &error), CLKV_OK);
	size_t n = strlen(text);
	memset(small, '#', sizeof small);
	ck_assert_int_eq(clkv_recipe_print("kivi", small, n + 1, &error), CLKV_OK);
	ck_assert_str_eq(small, text);
	ck_assert_int_eq(small[n + 1], '#');
	memset(small, '#', sizeof small);
	ck_assert_int_eq(clkv_recipe_print("kivi", small, n, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(small[n], '#');
	ck_assert_int_eq(clkv_recipe_print("kivi", NULL, 0, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_recipe_print(NULL, text, sizeof text, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
}
END_TEST

struct listing {
	int stages, keys, bad;
	size_t longest;
};

static void list(void *opaque, const char *stage, const char *brief, const char *source,
                 const char *keys)
{
	struct listing *seen = opaque;
	seen->stages++;
	seen->bad += !stage || !*stage || !brief || !*brief || !source || !keys;
	if (keys && strlen(keys) > seen->longest)
		seen->longest = strlen(keys);
	for (const char *line = keys; line && *line; line = strchr(line, '\n') + 1) {
		seen->keys++;
		const char *end = strchr(line, '\n');
		const char *equals = strchr(line, '='), *colon = strchr(line, ':');
		if (!end || !equals || !colon || equals > end || colon > end) {
			seen->bad++;
			return;
		}
	}
}

START_TEST(test_the_list_names_stages_and_keys)
{
	struct listing seen = {0, 0, 0, 0};
	clkv_recipe_list(list, &seen);
	ck_assert_int_ge(seen.stages, 3);
	ck_assert_int_ge(seen.keys, 16);
	ck_assert_int_eq(seen.bad, 0);
	ck_assert_uint_lt(seen.longest, 3000); /* of 4096 that the list has room for */
}
END_TEST

/* ---------------------------------------------------------------- selection ---- */

/* ---------------------------------------------------------------- real numbers ---- */

/* What is read as a number, and its canonical form; NULL: it isn't one. */
static const struct {
	const char *text, *canonical;
} reals[] = {
	{"0.1", "0.1"},
	{"0", "0"},
	{"1", "1"},
	{".5", "0.5"},
	{"1.", "1"},
	{"1e-3", "0.001"},
	{"1E+3", "1000"},
	{"0.004", "0.004"},
	{"00012.500", "12.5"},
	{"0.00001", "0.00001"},
	{"0.000001", "1e-6"},
	{"1234567e-20", "1.234567e-14"},
	{"100000000", "100000000"},
	{"1000000000", "1e9"},
	{"65504", "65504"},
	{"0.1000000014901161193847656250000000000000000000000000000000000000", "0.1"},
	{"340282346638528859811704183484516925440", "3.40282347e38"},
	{"1e-45", "1e-45"},
	{"1e-60", "0"},
	{"0e999999999999999999", "0"},
	{"1e39", NULL},
	{"1e999999999999999999", NULL},
	{"", NULL},
	{".", NULL},
	{"e3", NULL},
	{".e3", NULL},
	{"1e", NULL},
	{"1e-", NULL},
	{"1e1.5", NULL},
	{"1.2.3", NULL},
	{"-1", NULL},
	{"+1", NULL},
	{"1,5", NULL},
	{"0x10", NULL},
	{"0x1p-3", NULL},
	{"inf", NULL},
	{"nan", NULL},
	{"1f", NULL},
	{"1 ", NULL},
};

static void check_reals(void)
{
	for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
		char text[CLKV__REAL_TEXT];
		float value = -7;
		bool ok = clkv__real_parse(reals[i].text, strlen(reals[i].text), &value);
		ck_assert_msg(ok == (reals[i].canonical != NULL), "'%s'", reals[i].text);
		ck_assert(ok || value == -7);
		if (!ok)
			continue;
		clkv__real_format(value, text);
		ck_assert_str_eq(text, reals[i].canonical);
	}
}

START_TEST(test_real_numbers_are_read_and_printed)
{
	check_reals();
}
END_TEST

/* Runs where a locale with a comma is installed. */
START_TEST(test_real_numbers_know_no_locale)
{
	static const char *const locales[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "fr_FR"};
	for (size_t i = 0; i < sizeof locales / sizeof locales[0]; i++)
		if (setlocale(LC_ALL, locales[i]))
			check_reals();
	setlocale(LC_ALL, "C");
}
END_TEST

/* Floats of all sizes come back, in the digits that printf needs, and read as the C library reads them. */
START_TEST(test_every_real_number_comes_back)
{
	uint64_t state = 5;
	int bad = 0;
	for (int i = 0; i < 100000; i++) {
		uint32_t bits = (uint32_t)random_below(random_next(&state), 0x7f800000);
		char text[CLKV__REAL_TEXT], wide[64];
		float value, back = -1;
		int n = 1;
		memcpy(&value, &bits, sizeof value);
		clkv__real_format(value, text);
		bad += !clkv__real_parse(text, strlen(text), &back) || back != value;
		bad += strtof(text, NULL) != value;
		do
			snprintf(wide, sizeof wide, "%.*e", n - 1, (double)value);
		while (strtof(wide, NULL) != value && n++ < 9);
		int digits = 0, at = (int)strcspn(text, "123456789");
		for (; text[at] && text[at] != 'e'; at++)
			digits += text[at] != '.';
		bad += value < 1 && digits > n; /* larger ones may end in zeros */
		snprintf(wide, sizeof wide, "%.*f", i % 12, (double)value);
		bad += !clkv__real_parse(wide, strlen(wide), &back) || back != strtof(wide, NULL);
	}
	ck_assert_int_eq(bad, 0);
}
END_TEST

struct real_options {
	int bits;
	float rel, abs;
};

static const struct clkv__key real_keys[] = {
	{"bits", CLKV__KEY_INT, offsetof(struct real_options, bits), 0, 9, NULL, CLKV__UNSET, "-"},
	{"rel", CLKV__KEY_REAL, offsetof(struct real_options, rel), 0.004, 1, NULL, 0.1, "-"},
	{"abs", CLKV__KEY_REAL, offsetof(struct real_options, abs), 1e-6, 65504, NULL, CLKV__UNSET,
     "-"},
};
enum { N_REAL_KEYS = sizeof real_keys / sizeof real_keys[0] };

static const struct clkv__stage real_stage = {
	.name = "real",
	.keys = real_keys,
	.n_keys = N_REAL_KEYS,
};

/* The keys of text, as the recipe of a stage that has them is printed. */
static clkv_status parse_real_keys(const char *text, char printed[256], clkv_error *error)
{
	struct clkv__recipe recipe = {.n_stages = 1, .stages = {{.stage = &real_stage}}};
	void *options = recipe.stages[0].options;
	struct real_options o;
	for (size_t i = 0; i < N_REAL_KEYS; i++)
		clkv__key_set(options, &real_keys[i], clkv__key_slot(&real_keys[i], real_keys[i].value));
	memcpy(&o, options, sizeof o);
	ck_assert(o.bits == CLKV__UNSET && o.rel == 0.1f && o.abs == CLKV__UNSET);
	memset(error, 0, sizeof *error);
	clkv_status status = clkv__recipe_parse_keys(text, 0, (int)strlen(text), "stage 'real'",
	                                             real_keys, N_REAL_KEYS, options, NULL, error);
	if (status == CLKV_OK)
		ck_assert(clkv__recipe_format(&recipe, printed, 256));
	return status;
}

START_TEST(test_keys_of_real_numbers)
{
	static const struct {
		const char *keys, *printed; /* up to the general keys; NULL: refused */
	} cases[] = {
		{"rel=0.1", "real:rel=0.1 ;"},
		{"rel=1e-1", "real:rel=0.1 ;"},
		{"bits=3", "real:bits=3,rel=0.1 ;"},
		{" abs = .5 , rel = 1 ", "real:rel=1,abs=0.5 ;"},
		{"rel=0.004", "real:rel=0.004 ;"},
		{"rel=0.333333343267,abs=1e-6", "real:rel=0.33333334,abs=1e-6 ;"},
		{"rel=0.00399", NULL},
		{"rel=1.0001", NULL},
		{"abs=0", NULL},
		{"abs=65505", NULL},
		{"rel=", NULL},
		{"rel", NULL},
		{"rel=-1", NULL},
		{"rel=nan", NULL},
		{"rel=0.1 0", NULL},
		{"bits=0.5", NULL},
	};
	char printed[256], again[256];
	clkv_error error;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		clkv_status status = parse_real_keys(cases[i].keys, printed, &error);
		ck_assert_msg((status == CLKV_OK) == (cases[i].printed != NULL), "'%s'", cases[i].keys);
		if (status != CLKV_OK)
			continue;
		ck_assert_msg(strncmp(printed, cases[i].printed, strlen(cases[i].printed)) == 0, "'%s'",
		              printed);
		*strchr(printed, ';') = '\0';
		ck_assert_int_eq(parse_real_keys(printed + 5, again, &error), CLKV_OK);
		*strchr(again, ';') = '\0';
		ck_assert_str_eq(again, printed);
	}
}
END_TEST

START_TEST(test_errors_of_real_numbers_name_the_range)
{
	char text[CLKV__RANGE_TEXT], printed[256];
	clkv_error error;
	ck_assert_int_eq(parse_real_keys("bits=1,rel=2", printed, &error), CLKV_ERROR_INVALID_RECIPE);
	ck_assert_str_eq(error.text, "stage 'real': key 'rel' is '2'; allowed: 0.004 to 1");
	ck_assert_int_eq(error.position, 11);
	ck_assert_str_eq(clkv__key_allowed(&real_keys[0], text), "0 to 9");
	ck_assert_str_eq(clkv__key_allowed(&real_keys[2], text), "1e-6 to 65504");
}
END_TEST

/* ---------------------------------------------------------------- anything ---- */

/* Words of the grammar in any order, and single bytes changed: an answer, a position inside the text,
 * and a fixed point when it is accepted. */
static void check_any(const char *recipe)
{
	char text[1024];
	clkv_error error;
	clkv_status status = print(recipe, text, &error);
	if (status == CLKV_OK) {
		check_fixed_point(text);
		return;
	}
	ck_assert_msg(status == CLKV_ERROR_INVALID_RECIPE, "'%s': %s", recipe, error.text);
	ck_assert_msg(error.position >= 0 && error.position <= (int)strlen(recipe), "'%s': %d", recipe,
	              error.position);
	ck_assert_ptr_nonnull(memchr(error.text, '\0', sizeof error.text));
}

START_TEST(test_random_strings_get_an_answer)
{
	static const char *const words[] = {
		"f16",     "kivi",    "q",     ":",         ",",      ";",        "|",    "=",
		"bits",    "k",       "v",     "4",         "8",      "group",    "32",   "axis_k",
		"token",   "channel", "rot",   "hadamard",  " ",      "64",       "sym",  "1",
		"sinks",   "window",  "block", "seal",      "skip",   "prompt",   "\t",   "%s",
		"%n",      "-1",      "\xff",  "0",         "spark",  "think",    "keep", "0.5",
		"recover", "fit",     "h2o",   "zeromerge", "budget", "kvmerger", "512",
	};
	uint64_t state = 1;
	for (int i = 0; i < 20000; i++) {
		char recipe[256] = "";
		size_t n = 1 + random_below(random_next(&state), 14);
		for (size_t w = 0; w < n; w++)
			strcat(recipe,
			       words[random_below(random_next(&state), sizeof words / sizeof words[0])]);
		check_any(recipe);
	}
	for (int i = 0; i < 20000; i++) {
		char recipe[] = "q:k=8,v=4,rot=none ; window=64,sinks=4,block=64";
		size_t at = random_below(random_next(&state), sizeof recipe - 1);
		recipe[at] = (char)(1 + random_below(random_next(&state), 255));
		check_any(recipe);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recipe");
	TCase *good = tcase_create("good"), *bad = tcase_create("bad"), *real = tcase_create("real");
	tcase_add_loop_test(good, test_printing_is_a_fixed_point, 0, 41);
	tcase_add_loop_test(good, test_the_print_has_every_key_and_what_was_given, 0, 23);
	tcase_add_loop_test(good, test_recipes_of_layers_in_full, 0, 3);
	tcase_add_test(good, test_the_list_names_stages_and_keys);
	tcase_add_loop_test(bad, test_errors_say_where_and_what_is_allowed, 0,
	                    (int)(sizeof errors / sizeof errors[0]));
	tcase_add_test(bad, test_the_list_of_stages_is_whole);
	tcase_add_test(bad, test_a_missing_text_gets_an_error);
	tcase_add_test(bad, test_long_strings_get_an_error);
	tcase_add_test(bad, test_a_short_buffer_is_refused);
	tcase_add_test(bad, test_random_strings_get_an_answer);
	tcase_set_timeout(bad, 60);
	tcase_add_test(real, test_real_numbers_are_read_and_printed);
	tcase_add_test(real, test_real_numbers_know_no_locale);
	tcase_add_test(real, test_every_real_number_comes_back);
	tcase_add_test(real, test_keys_of_real_numbers);
	tcase_add_test(real, test_errors_of_real_numbers_name_the_range);
	tcase_set_timeout(real, 60);
	suite_add_tcase(suite, real);
	suite_add_tcase(suite, good);
	suite_add_tcase(suite, bad);
	return run_suite(suite);
}
