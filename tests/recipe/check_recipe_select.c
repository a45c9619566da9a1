/* SPDX-License-Identifier: MIT */
/** \file check_recipe_select.c \brief What stages that select tokens plan, and what they refuse. */
#include "cache/settle.h"
#include "recipe/recipe.h"
#include "support/suite.h"

#include <check.h>
#include <clkv.h>
#include <string.h>

enum { LAYERS = 6 };

static clkv_status plan_of(const char *recipe, struct clkv__plan *plan, clkv_error *error)
{
	const struct clkv__shape shape = {.layers = LAYERS,
	                                  .q_heads = 6,
	                                  .streams = 2,
	                                  .g = 3,
	                                  .dk = 64,
	                                  .dv = 64,
	                                  .scale = 0.125f,
	                                  .rope = {.kind = CLKV_ROPE_HALVES, .dims = 64}};
	struct clkv__recipe parsed;
	memset(error, 0, sizeof *error);
	error->position = -1;
	clkv_status status = clkv__recipe_parse(recipe, &parsed, error);
	ck_assert_msg(status == CLKV_OK, "'%s': %s", recipe, error->text);
	return clkv__recipe_plan(&parsed, &shape, plan, error);
}

static struct clkv__plan planned(const char *recipe)
{
	struct clkv__plan plan;
	clkv_error error;
	clkv_status status = plan_of(recipe, &plan, &error);
	ck_assert_msg(status == CLKV_OK, "'%s': %s", recipe, error.text);
	return plan;
}

/* What stages choose where the words are the same. */
static const struct {
	const char *recipe;
	int kind, score, rule, observe, group, skip, seal;
} chosen[] = {
	{"zeromerge", ABI_SELECT_BEST, ABI_SCORE_MASS, CLKV__BUDGET_FIXED, 0, ABI_GROUP_SUM, 0, 1},
	{"zeromerge:obs=32", ABI_SELECT_BEST, ABI_SCORE_SEEN, CLKV__BUDGET_FIXED, 32, ABI_GROUP_SUM, 0,
     1},
	{"zeromerge:alloc=adaptive", ABI_SELECT_BEST, ABI_SCORE_MASS, CLKV__BUDGET_HEADS, 0,
     ABI_GROUP_SUM, 0, 1},
	{"streaming", ABI_SELECT_BEST, ABI_SCORE_PLACE, CLKV__BUDGET_FIXED, 0, ABI_GROUP_SUM, 0, 0},
	{"h2o", ABI_SELECT_BEST, ABI_SCORE_MASS, CLKV__BUDGET_FIXED, 0, ABI_GROUP_SUM, 0, 1},
	{"snapkv", ABI_SELECT_BEST, ABI_SCORE_SEEN, CLKV__BUDGET_FIXED, 32, ABI_GROUP_MEAN, 0, 1},
	{"l2norm", ABI_SELECT_BEST, ABI_SCORE_NORM, CLKV__BUDGET_FIXED, 0, ABI_GROUP_SUM, 2, 0},
	{"corm", ABI_SELECT_BEST, ABI_SCORE_SEEN, CLKV__BUDGET_ABOVE, 256, ABI_GROUP_MAX, 0, 1},
	{"morphkv", ABI_SELECT_BEST, ABI_SCORE_SEEN, CLKV__BUDGET_FIXED, 30, ABI_GROUP_MAX, 0, 1},
	{"expected", ABI_SELECT_BEST, ABI_SCORE_EXPECTED, CLKV__BUDGET_FIXED, 256, ABI_GROUP_MEAN, 0,
     1},
	{"expected:obs=16 | kvmerger", ABI_SELECT_RUNS, ABI_SCORE_EXPECTED, CLKV__BUDGET_FIXED, 16,
     ABI_GROUP_MEAN, 2, 1},
	{"kvzip", ABI_SELECT_BEST, ABI_SCORE_REREAD, CLKV__BUDGET_ALL, 0, ABI_GROUP_MAX, 0, 1},
	{"cascade", ABI_SELECT_CASCADE, ABI_SCORE_MASS, CLKV__BUDGET_FIXED, 0, ABI_GROUP_MEAN, 0, 0},
	{"prefixkv", ABI_SELECT_BEST, ABI_SCORE_MASS, CLKV__BUDGET_CURVE, 0, ABI_GROUP_MEAN, 0, 1},
	{"dbudgetkv", ABI_SELECT_BEST, ABI_SCORE_SEEN, CLKV__BUDGET_ENERGY, 1, ABI_GROUP_MEAN, 2, 1},
	{"kvmerger", ABI_SELECT_RUNS, ABI_SCORE_MASS, CLKV__BUDGET_FIXED, 0, ABI_GROUP_SUM, 2, 1},
	{"prefixkv | kvmerger | kivi", ABI_SELECT_RUNS, ABI_SCORE_MASS, CLKV__BUDGET_CURVE, 0,
     ABI_GROUP_MEAN, 2, 1},
	{"snapkv:obs=16 | kvmerger", ABI_SELECT_RUNS, ABI_SCORE_SEEN, CLKV__BUDGET_FIXED, 16,
     ABI_GROUP_MEAN, 2, 1},
};

START_TEST(test_stages_choose_a_policy)
{
	struct clkv__plan plan = planned(chosen[_i].recipe);
	const struct clkv__select *s = &plan.select;
	ck_assert_int_eq(s->kind, chosen[_i].kind);
	ck_assert_int_eq(s->score, chosen[_i].score);
	ck_assert_int_eq(s->rule, chosen[_i].rule);
	ck_assert_int_eq(s->observe, chosen[_i].observe);
	ck_assert_int_eq(s->group, chosen[_i].group);
	ck_assert_int_eq(plan.general.skip, chosen[_i].skip);
	ck_assert_int_eq(plan.general.seal, chosen[_i].seal);
	ck_assert_int_eq(clkv__plan_observe(&plan), chosen[_i].observe);
	ck_assert_int_eq(clkv__plan_batch(&plan, true), plan.general.block);
	ck_assert_ptr_nonnull(s->stage);
	ck_assert_int_ge(s->pool, 1);
	ck_assert(!plan.sealing.dense && plan.sealing.codec != NULL);
}
END_TEST

START_TEST(test_what_is_particular_of_stages)
{
	struct clkv__plan p =
		planned("zeromerge:metric=l2,init=best,evict=any,score_merge=sum,alpha=0.6,lambda=0.98");
	ck_assert(p.select.metric == ABI_NEAR_L2 && p.select.init == ABI_INIT_BEST && p.select.any &&
	          p.select.score_sum);
	ck_assert(p.select.alpha == 0.6f && p.select.lambda == 0.98f && p.select.residual == 0.2f);
	p = planned("zeromerge");
	ck_assert(p.select.metric == ABI_NEAR_COSINE && p.select.init == ABI_INIT_BEST &&
	          !p.select.any);
	p = planned("snapkv:pool=7,pooling=max");
	ck_assert(p.select.pool == 7 && p.select.pool_max && p.select.rows == ABI_ROWS_SUM);
	p = planned("corm");
	ck_assert(p.select.rows == ABI_ROWS_ABOVE && clkv__select_is_open(&p.select));
	p = planned("morphkv:agg=max");
	ck_assert(p.select.rows == ABI_ROWS_MAX && p.select.old && p.select.tail == 30);
	p = planned("expected:ahead=64,lengths=0");
	ck_assert(p.select.ahead == 64 && p.select.spread && !p.select.lengths &&
	          !clkv__plan_weigher(&p));
	p = planned("kvzip");
	ck_assert(p.select.rows == ABI_ROWS_MAX && clkv__select_rereads(&p.select) &&
	          clkv__select_by(&p.select, CLKV_REREAD) && !clkv__select_by(&p.select, CLKV_DECODE));
	p = planned("cascade:beta=0.5,rings=3");
	ck_assert(p.select.lambda == 0.5f && p.select.cascades == 3);
	p = planned("prefixkv");
	ck_assert(p.select.layers && !clkv__select_is_open(&p.select));
	p = planned("dbudgetkv:tau=0.05");
	ck_assert(p.select.layers && p.select.tau == 0.05f && clkv__select_is_open(&p.select));
	p = planned("kvmerger");
	ck_assert(p.select.budget == 0.5f && p.select.similar == 0 && p.select.heavy == 0.2f &&
	          p.select.alpha == 1);
	p = planned("kvmerger:similar=0.75");
	ck_assert(p.select.budget == 1 && p.select.similar == 0.75f && clkv__select_is_open(&p.select));
	p = planned("h2o:budget=300 | kvmerger:alpha=0");
	ck_assert(p.select.budget == 300 && p.select.tail == 0.5f && p.select.alpha == 0);
}
END_TEST

START_TEST(test_selection_with_other_stages)
{
	struct clkv__plan p = planned("h2o ; window=16");
	ck_assert_ptr_eq(p.sealing.codec, &clkv__codec_affine);
	ck_assert(!p.sealing.codec->codes(&p.sealing.spec, 0) &&
	          !p.sealing.codec->codes(&p.sealing.spec, 1));
	ck_assert_int_eq(p.general.window, 16);
	p = planned("h2o | f16");
	ck_assert(clkv__selects(&p.select) && !p.sealing.dense);
	p = planned("zeromerge | think | q:k=4,v=4");
	ck_assert(clkv__selects(&p.select) && clkv__prunes(&p.sealing.prune));
	ck_assert_int_eq(clkv__plan_observe(&p), 32);
	p = planned("zeromerge | q:rot=hadamard");
	ck_assert_int_eq(p.sealing.project, ABI_PROJECT_HADAMARD);
	p = planned("corm:obs=64 | spark:obs=64");
	ck_assert_int_eq(clkv__plan_observe(&p), 64);
	p = planned("corm:obs=64 | think:keep=1");
	ck_assert_int_eq(clkv__plan_observe(&p), 64);
	/* Nothing is sealed: nothing is selected, and nothing looked at. */
	p = planned("corm ; skip=6");
	ck_assert(p.sealing.dense && !clkv__selects(&p.select) && clkv__plan_observe(&p) == 0);
	p = planned("kivi");
	ck_assert(!clkv__selects(&p.select));
}
END_TEST

/* What is wrong with the pair or the numbers, once they meet a model. */
static const struct {
	const char *recipe, *words[4];
} misfits[] = {
	{"streaming:budget=4", {"'streaming'", "budget", "4 sinks", "are 5;"}},
	{"streaming:budget=40 ; window=64", {"'streaming'", "4 sinks", "window of 64", "are 68;"}},
	{"h2o:budget=100 | kivi", {"'h2o'", "100 slots", "window of 128", "are 129;"}},
	{"h2o:budget=100,recent=100", {"'h2o'", "window of 100", "1 kept", "are 101;"}},
	{"snapkv:budget=32", {"'snapkv'", "32 slots", "window of 32", "are 33;"}},
	{"snapkv:budget=40 ; sinks=8", {"'snapkv'", "8 sinks", "window of 32", "are 41;"}},
	{"zeromerge:budget=512,tail=128,residual=384",
     {"'zeromerge'", "384 merged", "1 kept", "are 513;"}},
	{"zeromerge:budget=512,residual=1", {"'zeromerge'", "320 merged", "1 kept", "are 513;"}},
	{"zeromerge:budget=2,tail=0,residual=0.01 ; sinks=1",
     {"1 sinks", "1 merged", "1 kept", "are 3;"}},
	{"morphkv:budget=30", {"'morphkv'", "window of 30", "1 kept", "are 31;"}},
	{"cascade:budget=67", {"'cascade'", "64 sinks", "window of 1, 0", "3 kept are 68;"}},
	{"prefixkv:budget=36", {"'prefixkv'", "4 sinks", "window of 32", "are 37;"}},
	{"kvmerger:budget=32", {"'kvmerger'", "window of 32", "1 kept", "are 33;"}},
	{"zeromerge:agg=max", {"'zeromerge'", "'agg'", "agg=sum", "obs of 1"}},
	{"zeromerge:obs=32,lambda=0.98", {"'zeromerge'", "lambda", "obs", "lambda=1"}},
	{"h2o | clusterkv", {"'h2o'", "recalled", "clusterkv", "prune or encode"}},
	{"streaming | kivi | pages", {"'streaming'", "recalled", "pages", NULL}},
	{"kvmerger | topk", {"'kvmerger'", "recalled", "topk", NULL}},
	{"zeromerge | a2ats", {"'zeromerge'", "recalled", "a2ats", NULL}},
	{"snapkv:obs=16 | think", {"'snapkv'", "16", "32", "obs"}},
	{"expected:budget=36", {"'expected'", "4 sinks", "window of 32", "are 37;"}},
	{"expected | think", {"'expected'", "256", "32", "obs"}},
	{"expected | topk", {"'expected'", "recalled", "topk", NULL}},
	{"corm | spark:obs=64", {"'corm'", "256", "64", "alike"}},
	{"dbudgetkv ; seal=chunk", {"'dbudgetkv'", "seal", "chunk", "seal=prompt"}},
	{"prefixkv ; seal=chunk", {"'prefixkv'", "seal", "chunk", "seal=prompt"}},
	{"zeromerge:alloc=adaptive ; seal=chunk", {"'zeromerge'", "chunk", "seal=prompt", NULL}},
	{"kvmerger:budget=0.5,similar=0.75", {"'kvmerger'", "budget", "similar", "one of them"}},
	{"h2o | kvmerger:budget=0.5", {"'kvmerger'", "'budget'", "'h2o'", "without"}},
	{"h2o | kvmerger:similar=0.5", {"'kvmerger'", "'similar'", "'h2o'", "without"}},
	{"zeromerge | kvmerger", {"'kvmerger'", "'zeromerge'", "merges", "prefixkv"}},
	{"cascade | kvmerger", {"'kvmerger'", "'cascade'", "rings", "prefixkv"}},
	{"streaming | kvmerger", {"'kvmerger'", "'streaming'", "attention", "prefixkv"}},
	{"l2norm | kvmerger", {"'kvmerger'", "'l2norm'", "attention", "prefixkv"}},
	{"corm | kvmerger", {"'kvmerger'", "'corm'", "no number", "prefixkv"}},
	{"dbudgetkv | kvmerger", {"'kvmerger'", "'dbudgetkv'", "no number", "prefixkv"}},
	{"h2o ; skip=7", {"skip", "7", "6 layers", NULL}},
	{"kivi ; budget_bytes=4096", {"'budget_bytes'", "4096", "no stage selects", "snapkv"}},
	{"corm ; budget_bytes=4096", {"'budget_bytes'", "'corm'", "itself finds out", "snapkv"}},
	{"snapkv | kvcomp ; budget_bytes=4096", {"'budget_bytes'", "'bounded'", "'budget'", "kivi"}},
	{"snapkv ; budget_bytes=511", {"'budget_bytes'", "511", "two slots", "544 or more"}},
	{"snapkv ; budget_bytes=4096", {"'snapkv'", "window of 32", "1 kept", "are 33;"}},
};

START_TEST(test_what_does_not_fit_is_refused)
{
	struct clkv__plan plan;
	clkv_error error;
	ck_assert_msg(plan_of(misfits[_i].recipe, &plan, &error) == CLKV_ERROR_INVALID_RECIPE, "'%s'",
	              misfits[_i].recipe);
	ck_assert_uint_lt(strlen(error.text), sizeof error.text - 1); /* whole */
	for (size_t i = 0; i < 4 && misfits[_i].words[i]; i++)
		ck_assert_msg(strstr(error.text, misfits[_i].words[i]) != NULL, "'%s': '%s' lacks '%s'",
		              misfits[_i].recipe, error.text, misfits[_i].words[i]);
}
END_TEST

/* One slot more than what was refused. */
START_TEST(test_the_smallest_budgets)
{
	static const struct {
		const char *recipe;
		struct clkv__quota quota;
	} cases[] = {
		{"streaming:budget=5", {4, 1, 0, 0}},
		{"streaming:budget=68 ; window=64", {4, 64, 0, 0}},
		{"snapkv:budget=41 ; sinks=8", {8, 32, 1, 0}},
		{"zeromerge:budget=513,tail=128,residual=384", {0, 128, 1, 384}},
		{"zeromerge:budget=3,tail=0,residual=0.01 ; sinks=1", {1, 0, 1, 1}},
		{"cascade:budget=68", {64, 1, 3, 0}},
		{"cascade:budget=65,rings=1", {64, 1, 0, 0}},
		{"morphkv:budget=31", {0, 30, 1, 0}},
		{"corm", {0, 256, 744, 0}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct clkv__plan p = planned(cases[i].recipe);
		struct clkv__quota q = clkv__select_quota(&p.select, (uint32_t)p.general.sinks,
		                                          (uint32_t)p.general.window, 1000);
		ck_assert_msg(memcmp(&q, &cases[i].quota, sizeof q) == 0, "'%s'", cases[i].recipe);
	}
}
END_TEST

/* By hand: a slot has 16 bytes of state. One in half, of sinks, window or merged ones, is 272 bytes; a block of 64 kept tokens is
 * 17,408 bytes in half, 6,144 with 4 bits (K: 2,048 of codes, 512 of scales in groups of 32; V as much), 4,096 with 2. */
START_TEST(test_bytes_are_as_many_slots_as_fit)
{
	static const struct {
		const char *recipe;
		uint32_t slots;
	} cases[] = {
		{"snapkv ; budget_bytes=43520", 32 + 128},
		{"snapkv ; budget_bytes=43519", 32 + 64},
		{"snapkv:budget=300 | f16 ; budget_bytes=43520", 32 + 128},
		{"snapkv | kivi:bits=4,group=32 ; budget_bytes=43520,window=32", 32 + 5 * 64},
		{"snapkv | kivi:bits=2,group=32 ; budget_bytes=43520,window=32", 32 + 8 * 64},
		{"streaming ; budget_bytes=2448", 9},
		{"h2o:recent=16 ; budget_bytes=21760", 16 + 64},
		{"zeromerge:tail=32,residual=8 ; budget_bytes=28288", 32 + 8 + 64},
		{"snapkv ; budget_bytes=1073741824", 1 << 20},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct clkv__plan p = planned(cases[i].recipe);
		ck_assert_msg(p.select.budget == (float)cases[i].slots, "'%s': %g", cases[i].recipe,
		              (double)p.select.budget);
	}
}
END_TEST

/* A default that is more than the model has is the model's; a number that was given isn't. */
START_TEST(test_small_models_skip_what_they_have)
{
	const struct clkv__shape one = {
		.layers = 1, .q_heads = 1, .streams = 1, .g = 1, .dk = 64, .dv = 64};
	struct clkv__recipe recipe;
	struct clkv__plan plan;
	ck_assert_int_eq(clkv__recipe_parse("l2norm", &recipe, NULL), CLKV_OK);
	ck_assert_int_eq(clkv__recipe_plan(&recipe, &one, &plan, NULL), CLKV_OK);
	ck_assert(plan.general.skip == 1 && plan.sealing.dense);
	ck_assert_int_eq(clkv__recipe_parse("l2norm ; skip=2", &recipe, NULL), CLKV_OK);
	ck_assert_int_eq(clkv__recipe_plan(&recipe, &one, &plan, NULL), CLKV_ERROR_INVALID_RECIPE);
}
END_TEST

/* Rows can't be moved that are all attended to. */
START_TEST(test_what_is_selected_stays_where_kernels_read)
{
	static const char *const recipes[] = {"h2o | place:host", "h2o | place:host,via=copy",
	                                      "snapkv | place:host,via=attend"};
	const struct clkv__shape shape = {
		.layers = LAYERS, .q_heads = 2, .streams = 2, .g = 1, .dk = 64, .dv = 64};
	const clkv_context apart = {.unified = false};
	for (size_t i = 0; i < 3; i++) {
		struct clkv__plan p = planned(recipes[i]);
		clkv_error error = {.status = CLKV_OK};
		ck_assert_int_eq(clkv__place_settle(&apart, &shape, &p, &error), CLKV_ERROR_UNSUPPORTED);
		ck_assert_ptr_nonnull(strstr(error.text, i < 2 ? "'h2o'" : "'snapkv'"));
		ck_assert_ptr_nonnull(strstr(error.text, "via=map"));
	}
}
END_TEST

START_TEST(test_macros_of_selection)
{
	struct clkv__plan p = planned("morphkv:agg=max");
	char text[1024];
	clkv__macros macros;
	clkv__macros_init(&macros);
	clkv__select_macros(&p.select, &macros);
	clkv__macros_text(&macros, text, sizeof text);
	ck_assert_str_eq(text, " -DABOVE=0 -DAGED=0 -DINIT=0 -DMEAN=0 -DNEAR=0 -DOLD=1 -DPOOL=1 "
	                       "-DPOOL_MAX=0 -DSCORE=3 -DSCORE_GROUP=2 -DSCORE_ROWS=1 -DSCORE_SUM=0 "
	                       "-DSEEDS=0 -DSELECT=1 -DTRACED=0");
	p = planned("expected:spread=0");
	clkv__macros_init(&macros);
	clkv__select_macros(&p.select, &macros);
	clkv__macros_text(&macros, text, sizeof text);
	ck_assert_str_eq(text, " -DABOVE=0 -DAGED=0 -DAHEAD=512 -DINIT=0 -DLENGTHS=1 -DMEAN=0 -DNEAR=0 "
	                       "-DOLD=0 -DPOOL=1 -DPOOL_MAX=0 -DSCORE=4 -DSCORE_GROUP=1 -DSCORE_ROWS=0 "
	                       "-DSCORE_SUM=0 -DSEEDS=0 -DSELECT=1 -DTRACED=0 -DVARIANCE=0");
	clkv__macros_init(&macros);
	clkv__select_macros(&(struct clkv__select){.kind = ABI_SELECT_NONE}, &macros);
	clkv__macros_text(&macros, text, sizeof text);
	ck_assert_str_eq(text, " -DSELECT=0");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recipe select");
	TCase *select = tcase_create("select");
	tcase_add_loop_test(select, test_stages_choose_a_policy, 0,
	                    (int)(sizeof chosen / sizeof chosen[0]));
	tcase_add_test(select, test_what_is_particular_of_stages);
	tcase_add_test(select, test_selection_with_other_stages);
	tcase_add_loop_test(select, test_what_does_not_fit_is_refused, 0,
	                    (int)(sizeof misfits / sizeof misfits[0]));
	tcase_add_test(select, test_the_smallest_budgets);
	tcase_add_test(select, test_bytes_are_as_many_slots_as_fit);
	tcase_add_test(select, test_small_models_skip_what_they_have);
	tcase_add_test(select, test_what_is_selected_stays_where_kernels_read);
	tcase_add_test(select, test_macros_of_selection);
	suite_add_tcase(suite, select);
	return run_suite(suite);
}
