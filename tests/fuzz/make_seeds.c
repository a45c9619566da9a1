/* SPDX-License-Identifier: MIT */
/**
 * \file    make_seeds.c
 * \brief   Writes the seeds of the fuzz targets that are no text: `make fuzz-seeds` puts them beside their sources.
 *
 * Same library, same bytes. To be run again when a file format changes, by hand: it needs a device.
 */
#include "config.h"
#include "fuzz_given_model.h"
#include "fuzz_recipes.h"
#include "share/chunk.h"
#include "support/calibration.h"
#include "support/factors.h"
#include "support/gguf_build.h"
#include "support/memory_file.h"
#include "support/rotation.h"
#include "support/state_build.h"
#include "support/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *root;

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "make_seeds: %s\n", what);
	exit(EXIT_FAILURE);
}

/* A seed of a target: a byte of switches, unless they are negative, and the file. */
static void write_seed(const char *target, const char *name, int switches, const void *data,
                       size_t n)
{
	char path[4096];
	require(snprintf(path, sizeof path, "%s/%s/%s", root, target, name) < (int)sizeof path,
	        "the path is too long");
	FILE *f = fopen(path, "wb");
	require(f != NULL, path);
	if (switches >= 0)
		require(fputc(switches, f) == switches, path);
	require(fwrite(data, n, 1, f) == 1 && fclose(f) == 0, path);
}

/* ---------------------------------------------------------------- library ---- */

/* A seed for the cache of a recipe. */
static void write_snapshot(const char *name, size_t into, const struct memory_file *file)
{
	write_seed("snapshot", name, (int)(2 * into + 1), file->bytes, file->n);
}

/* The same numbers behind another recipe. */
static void rename_recipe(struct memory_file *file, const char *recipe)
{
	enum { AT = 8 + 40, LENGTH = 8 + 4 };
	size_t n = strlen(recipe), old = file->bytes[LENGTH] + 256u * file->bytes[LENGTH + 1];
	unsigned char *bytes = malloc(file->n + n);
	require(bytes != NULL && n < 256, "a recipe's name");
	memcpy(bytes, file->bytes, AT);
	memcpy(bytes + AT, recipe, n);
	memcpy(bytes + AT + n, file->bytes + AT + old, file->n - AT - old);
	bytes[LENGTH] = (unsigned char)n;
	bytes[LENGTH + 1] = 0;
	free(file->bytes);
	file->bytes = bytes;
	file->room = file->n + n;
	file->n = file->n + n - old;
}

/* A snapshot, and what is appended to it. */
static void write_pair(const char *name, size_t into, const struct memory_file *first,
                       const struct memory_file *second)
{
	size_t n = first->n + second->n;
	unsigned char *bytes = malloc(n);
	require(bytes != NULL, "no memory");
	memcpy(bytes, first->bytes, first->n);
	memcpy(bytes + first->n, second->bytes, second->n);
	write_seed("snapshot", name, (int)(2 * (FUZZ_RECIPES + into) + 1), bytes, n);
	free(bytes);
}

static void save_range(struct feed *feed, const struct stream *stream, size_t from, size_t to,
                       struct memory_file *file)
{
	clkv_error error;
	feed_ok(clkv_seq_save_range(stream->seq, from, to, feed->queue, memory_write, file, &error),
	        &error, "clkv_seq_save_range");
}

/* A range behind the tokens before it, of recipes that have some; of others all behind nothing. */
static void write_range(struct feed *feed, size_t recipe, const struct stream *stream)
{
	static struct stream empty;
	struct memory_file first = {0}, second = {0};
	clkv_ranges ranges = CLKV_INIT(clkv_ranges);
	char name[32];
	size_t from = clkv_seq_range_start(stream->seq, stream->n - 1);
	snprintf(name, sizeof name, "range%zu", recipe);
	bool whole = recipe >= FUZZ_ATTENDS ||
	             clkv_seq_get_ranges(stream->seq, &ranges, NULL) != CLKV_OK || from == 0;
	if (whole) {
		stream_open(feed, &empty);
		memory_save(feed, &empty, NULL, &first);
		memory_save(feed, stream, NULL, &second);
	} else {
		save_range(feed, stream, 0, from, &first);
		save_range(feed, stream, from, stream->n, &second);
	}
	write_pair(name, recipe, &first, &second);
	memory_close(&first);
	memory_close(&second);
}

/* Files that go from one cache into another. */
static void write_strange(size_t recipe, struct memory_file *file)
{
	static const struct {
		const char *name, *of, *into;
	} strange[] = {{"bands-half", "layers=0: f16", "f16"},
	               {"half-bands", "f16", "layers=0: f16"},
	               {"rotated-half", "q:k=4,v=4,group=16,rot=file", "f16"},
	               {"bands-bands", "layers=0: kvcomp", "layers=0: f16"}};
	for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
		for (size_t into = 0; into < FUZZ_RECIPES; into++)
			if (strstr(fuzz_recipes[recipe], strange[i].of) == fuzz_recipes[recipe] &&
			    strstr(fuzz_recipes[into], strange[i].into) == fuzz_recipes[into])
				write_snapshot(strange[i].name, into, file);
	if (recipe == 0) {
		rename_recipe(file, "expected:budget=40,obs=8 ; window=8,block=32");
		write_snapshot("selects", 0, file);
	}
}

/* At queries: these have to be asked. */
static bool looks(const char *recipe)
{
	return strstr(recipe, "expected") || strstr(recipe, "snapkv") || strstr(recipe, "zeromerge") ||
	       strstr(recipe, "qaq") || strstr(recipe, "kvzip");
}

/* A prompt, read again where that judges it, and its end. */
static void feed_prompt(struct feed *feed, struct stream *stream, size_t tokens, bool rereads)
{
	struct feed_item again = {stream, 40, CLKV_REREAD, 40, 7};
	clkv_error error;
	feed_one(feed, stream, tokens, rereads ? CLKV_PROMPT : CLKV_PROMPT_END, 1, NULL);
	if (!rereads)
		return;
	feed_step(feed, &again, 1, NULL);
	feed_ok(clkv_seq_end_prompt(stream->seq, feed->queue, &error), &error, "clkv_seq_end_prompt");
}

static void make_snapshot(clkv_context *context, cl_command_queue queue, size_t recipe,
                          size_t tokens)
{
	static struct stream stream;
	static struct fuzz_matrices matrices;
	struct feed feed = {.geometry = fuzz_geometry(), .append_only = !looks(fuzz_recipes[recipe])};
	struct memory_file file = {0};
	char name[32];
	fuzz_make_matrices(&matrices);
	clkv_cache_options o = fuzz_options(fuzz_recipes[recipe], &matrices);
	feed_open(&feed, context, queue, fuzz_recipes[recipe], &o);
	stream_open(&feed, &stream);
	if (tokens > 0)
		feed_prompt(&feed, &stream, tokens, strstr(fuzz_recipes[recipe], "kvzip"));
	memory_save(&feed, &stream, NULL, &file);
	snprintf(name, sizeof name, "recipe%zu-%zu", recipe, tokens);
	write_snapshot(name, recipe, &file);
	if (tokens > 0) {
		write_strange(recipe, &file);
		write_range(&feed, recipe, &stream);
	}
	memory_close(&file);
	feed_close(&feed);
}

static void make_snapshots(void)
{
	clkv_context *context;
	clkv_error error;
	cl_int code;
	require(clkv_context_open(getenv("CLKV_TEST_DEVICE"), NULL, &context, &error) == CLKV_OK,
	        error.text);
	cl_command_queue queue =
		clCreateCommandQueue(clkv_context_cl(context), clkv_context_device(context), 0, &code);
	require(code == CL_SUCCESS, "no queue");
	for (size_t i = 0; i < FUZZ_RECIPES; i++) {
		make_snapshot(context, queue, i, 0);
		make_snapshot(context, queue, i,
		              i < FUZZ_ATTENDS                    ? 50
		              : strstr(fuzz_recipes[i], "recall") ? 150
		                                                  : 90);
	}
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}

/* As fuzz_rotation has it. */
static void make_rotation(const char *name, int switches, enum rotation_kind kind,
                          clkv_rope_kind rope)
{
	clkv_geometry g = fuzz_given_geometry();
	struct memory_file file = {0};
	clkv_error error;
	g.rope.kind = (int)rope;
	float *k = rotation_matrices(&g, FEED_K, kind, 1), *v = rotation_matrices(&g, FEED_V, kind, 1);
	feed_ok(clkv_rotation_write(&g, FUZZ_ROTATION_MODEL, k, v, memory_write, &file, &error), &error,
	        "clkv_rotation_write");
	write_seed("rotation", name, switches, file.bytes, file.n);
	if (rope == CLKV_ROPE_NONE)
		write_seed("rotation", "cut", 1, file.bytes, 60);
	file.bytes[file.n - 10] ^= 0x40; /* the last entry, two bytes before the checksum */
	if (kind == ROTATION_RANDOM)
		write_seed("rotation", "stretched", 1, file.bytes, file.n);
	free(k);
	free(v);
	memory_close(&file);
}

/* As fuzz_calibration has it: one whole, one that ends early. */
static void make_calibration(void)
{
	const clkv_geometry g = fuzz_given_geometry();
	const struct calibration_kind kind = {.step = 0.5, .error = 0.1, .turned = 3};
	struct memory_file file = calibration_file(&g, &kind);
	write_seed("calibration", "whole", 1, file.bytes, file.n);
	write_seed("calibration", "cut", 1, file.bytes, 60);
	memory_close(&file);
}

/* As fuzz_factors has it: one whole, one that ends early. */
static void make_factors(void)
{
	const clkv_geometry g = fuzz_given_geometry();
	struct factors f;
	factors_make(&f, &g, FACTORS_SCALED, 5, 8, 1);
	write_seed("factors", "whole", 1, f.file.bytes, f.file.n);
	write_seed("factors", "cut", 1, f.file.bytes, 60);
	factors_free(&f);
}

/* As fuzz_group_factors has it: one whole, one that ends early. */
static void make_group_factors(void)
{
	static const int order[FUZZ_GIVEN_LAYERS * FUZZ_GROUP_HEADS] = {1, 2, 3, 0, 3, 0, 1, 2};
	const clkv_geometry g = fuzz_group_geometry();
	const struct factors_groups groups = {FUZZ_GROUP_K, FUZZ_GROUP_V, true, order, 0, false};
	struct factors f;
	factors_make_groups(&f, &g, FACTORS_SCALED, &groups, 3, 5, 1);
	write_seed("group_factors", "whole", 1, f.file.bytes, f.file.n);
	write_seed("group_factors", "cut", 1, f.file.bytes, 80);
	factors_free(&f);
	const struct factors_groups layers = {FUZZ_GROUP_K, FUZZ_GROUP_V, true, order, 2, true};
	factors_make_groups(&f, &g, FACTORS_SCALED, &layers, 4, 8, 1);
	write_seed("group_factors", "layers", 1, f.file.bytes, f.file.n);
	factors_free(&f);
}

/* The feed reports failures as a test's. */
START_TEST(test_make_files)
{
	make_snapshots();
	make_calibration();
	make_factors();
	make_group_factors();
	make_rotation("whole", 1, ROTATION_RANDOM, CLKV_ROPE_HALVES);
	make_rotation("hadamard", 1, ROTATION_HADAMARD, CLKV_ROPE_HALVES);
	make_rotation("no-rope", 0, ROTATION_HADAMARD, CLKV_ROPE_NONE);
}
END_TEST

static int run_feed(void)
{
	Suite *suite = suite_create("seeds");
	TCase *c = tcase_create("seeds");
	tcase_add_test(c, test_make_files);
	suite_add_tcase(suite, c);
	return run_suite_as(suite, CK_NOFORK);
}

/* As fuzz_codebook has it: 2 layers of one head, 33 codes of 16 channels, model 7. */
static void make_codebook(void)
{
	static unsigned char data[8 + 7 * 4 + 8 + 2 * 33 * 16 * 2 + 8];
	static const uint32_t words[] = {1, 2, 0, 1, 16, 33, 0, 7, 0};
	memcpy(data,
	       "\x89"
	       "CLKB\r\n\x1a",
	       8);
	memcpy(data + 8, words, sizeof words);
	for (size_t i = 44; i + 8 < sizeof data; i += 2)
		data[i + 1] = (unsigned char)(0x30 + i % 12);
	write_seed("codebook", "whole", 1, data, sizeof data);
	write_seed("codebook", "checksum", 0, data, sizeof data);
	write_seed("codebook", "cut", 1, data, 60);
}

static void make_program(void)
{
	static const char key[] = "device|driver|clkv|0123456789abcdef";
	const size_t n = 32 + sizeof key - 1 + 100;
	const uint64_t lengths[] = {sizeof key - 1, 100};
	unsigned char data[256] = "CLKVPRG1";
	memcpy(data + 8, lengths, sizeof lengths);
	memcpy(data + 32, key, sizeof key - 1);
	memset(data + n - 100, 0x5a, 100);
	write_seed("program", "whole", 1, data, n);
	write_seed("program", "checksum", 0, data, n);
	write_seed("program", "cut", 1, data, 80);
}

/* ---------------------------------------------------------------- models ---- */

enum { DIM = 32, WORDS = 102, CONTROL = 98 };

static void put_tokenizer(struct gguf_build *b)
{
	static const char *const more[] = {"\xc4\xa0", "ab",     "abc",      "\xc4\xa0z",
	                                   "<|e|>",    "<|e|>x", "\xc4\x8a", "12"};
	static const char *const merges[] = {"a b", "ab c", "\xc4\xa0 z", "1 2"};
	gguf_build_text(b, "general.name", "ab abc <|e|> 12");
	gguf_build_text(b, "tokenizer.ggml.model", "gpt2");
	gguf_build_text(b, "tokenizer.ggml.pre", "smollm");
	gguf_build_number(b, "tokenizer.ggml.eos_token_id", CONTROL);
	gguf_build_array(b, "tokenizer.ggml.tokens", 8, WORDS);
	for (char c = 0x21; c < 0x7f; c++)
		gguf_build_string(b, &c, 1);
	for (size_t i = 0; i < 8; i++)
		gguf_build_string(b, more[i], strlen(more[i]));
	gguf_build_array(b, "tokenizer.ggml.merges", 8, 4);
	for (size_t i = 0; i < 4; i++)
		gguf_build_string(b, merges[i], strlen(merges[i]));
	gguf_build_array(b, "tokenizer.ggml.token_type", 5, WORDS);
	for (uint32_t i = 0; i < WORDS; i++)
		gguf_build_u32(b, i == CONTROL ? 3 : i == CONTROL + 1 ? 4 : 1);
}

struct entry {
	const char *name;
	uint64_t rows;
	uint32_t type, row_bytes;
};

static const struct entry tensors[] = {
	{"token_embd.weight", WORDS, 2, 18},      {"output_norm.weight", 1, 0, 128},
	{"blk.0.attn_norm.weight", 1, 0, 128},    {"blk.0.attn_q.weight", DIM, 2, 18},
	{"blk.0.attn_k.weight", DIM, 3, 20},      {"blk.0.attn_v.weight", DIM, 2, 18},
	{"blk.0.attn_output.weight", DIM, 2, 18}, {"blk.0.ffn_norm.weight", 1, 0, 128},
	{"blk.0.ffn_gate.weight", DIM, 2, 18},    {"blk.0.ffn_up.weight", DIM, 8, 34},
	{"blk.0.ffn_down.weight", DIM, 1, 64},
};

enum { TENSORS = sizeof tensors / sizeof tensors[0] };

static void make_model(uint32_t version, const char *name)
{
	struct gguf_build b = {NULL, 0, 0};
	uint64_t offset = 0;
	gguf_build_header(&b, version, TENSORS, 15);
	gguf_build_text(&b, "general.architecture", "llama");
	gguf_build_number(&b, "llama.block_count", 1);
	gguf_build_number(&b, "llama.embedding_length", DIM);
	gguf_build_number(&b, "llama.feed_forward_length", DIM);
	gguf_build_number(&b, "llama.attention.head_count", 2);
	gguf_build_number(&b, "llama.attention.sliding_window", 9);
	gguf_build_number(&b, "general.alignment", 32);
	gguf_build_text(&b, "llama.rope.scaling.type", "linear");
	put_tokenizer(&b);
	for (size_t i = 0; i < TENSORS; i++) {
		const struct entry *t = &tensors[i];
		const uint64_t dims[] = {DIM, t->rows};
		gguf_build_tensor(&b, t->name, t->rows > 1 ? 2 : 1, dims, t->type, offset);
		offset += (t->row_bytes * t->rows + 31) / 32 * 32;
	}
	gguf_build_data(&b, 32, (size_t)offset);
	write_seed("gguf", name, -1, b.data, b.size);
	gguf_build_free(&b);
}

static void make_tokenizer(void)
{
	struct gguf_build b = {NULL, 0, 0};
	gguf_build_header(&b, 3, 0, 7);
	put_tokenizer(&b);
	write_seed("gguf", "tokenizer", -1, b.data, b.size);
	gguf_build_free(&b);
}

/* Both kinds of file, with V by token and by channel, one of several streams. */
static void make_states(void)
{
	struct state_build s = {.type = 1, .cells = 3, .layers = 2, .width_k = 3, .width_v = 2};
	struct gguf_build b = state_build(&s);
	write_seed("llama", "sequence", -1, b.data, b.size);
	gguf_build_free(&b);
	s.type = 30;
	s.transposed = s.session = true;
	s.streams = 3;
	s.stream = 1;
	b = state_build(&s);
	write_seed("llama", "session", -1, b.data, b.size);
	gguf_build_free(&b);
	s = (struct state_build){.type = 0, .cells = 1, .layers = 1, .width_k = 1, .width_v = 1};
	b = state_build(&s);
	write_seed("llama", "least", -1, b.data, b.size);
	write_seed("llama", "cut", -1, b.data, b.size - 3);
	gguf_build_free(&b);
}

#ifdef HAVE_SHARE
static void write_chunk(const char *name, int switches, const struct share_blob *blob, size_t n)
{
	write_seed("share", name, switches, blob->data, n);
}

/* Chunks with the head of a file in f16 and a note; a text of 300 tokens. */
static void make_share(void)
{
	static const char file[64] = "\x89"
								 "CLKV\r\n\x1a\1\0\0\0\3\0\0";
	struct share_blob blob = {.data = NULL};
	struct share_chunk chunk = {.kind = SHARE_CHUNK, .from = 0, .to = 256, .note = {NULL, 5, 0}};
	unsigned char head[SHARE_CHUNK_HEAD] = {0}, text[602] = {3, 31};
	memset(chunk.key.bytes, 7, sizeof chunk.key.bytes);
	require(share_blob_write(&blob, head, sizeof head) == sizeof head, "no memory");
	require(share_blob_write(&blob, "note", 5) == 5, "no memory");
	require(share_blob_write(&blob, file, 48) == 48, "no memory");
	require(share_blob_write(&blob, "f16 and more", 12) == 12, "no memory");
	share_chunk_seal(&chunk, &blob);
	write_chunk("chunk", 1, &blob, blob.size);
	write_chunk("other-key", 0, &blob, blob.size);
	write_chunk("cut", 1, &blob, SHARE_CHUNK_HEAD + 2);
	chunk.kind = SHARE_END;
	chunk.from = chunk.to;
	chunk.to = 300;
	chunk.note.size = 0;
	share_chunk_seal(&chunk, &blob);
	write_chunk("end", 1, &blob, blob.size);
	blob.data[8] = 2;
	write_chunk("newer", 1, &blob, blob.size);
	blob.data[8] = 0;
	write_chunk("no-version", 1, &blob, blob.size);
	for (int i = 2; i < 602; i++)
		text[i] = (unsigned char)(i * i);
	write_seed("share", "text", 2, text, sizeof text);
	share_blob_free(&blob);
}
#endif

int main(int argc, char **argv)
{
	require(argc == 2, "usage: make_seeds FOLDER");
	root = argv[1];
	make_codebook();
	make_program();
	make_model(3, "model");
	make_model(2, "model-v2");
	make_tokenizer();
	make_states();
#ifdef HAVE_SHARE
	make_share();
#endif
	return run_feed();
}
