/* SPDX-License-Identifier: MIT */
/**
 * \file    check_tokenizer.c
 * \brief   Byte-level BPE on a vocabulary made by hand; on a real one where CLKV_TEST_MODEL names a
 *          model.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "byte_level.h"
#include "support/gguf_build.h"
#include "support/suite.h"
#include "tokenizer.h"
#include "utf8.h"

/* Tokens 0 .. 255 are the bytes in their order; then what merges make; then two control tokens. */
enum { HE = 256, LL, HELL, HELLO, BLANK_H, CONTROL, CONTROL_LONGER, N_TOKENS };

static const char *const merged[] = {"he", "ll", "hell", "hello", "\xc4\xa0h"};
static const char *const merges[] = {"h e", "l l", "he ll", "hell o", "\xc4\xa0 h"};
static const char *const controls[] = {"<|x|>", "<|x|>y"};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct gguf_build vocabulary(const char *model, const char *pre)
{
	struct gguf_build b = {NULL, 0, 0};
	struct byte_level map;
	char text[2];
	byte_level_init(&map);
	gguf_build_header(&b, 3, 0, 6);
	gguf_build_text(&b, "tokenizer.ggml.model", model);
	gguf_build_text(&b, "tokenizer.ggml.pre", pre);
	gguf_build_number(&b, "tokenizer.ggml.eos_token_id", CONTROL);
	gguf_build_array(&b, "tokenizer.ggml.tokens", 8, N_TOKENS);
	for (unsigned i = 0; i < 256; i++)
		gguf_build_string(&b, text, byte_level_encode(&map, (unsigned char)i, text));
	for (size_t i = 0; i < COUNT(merged); i++)
		gguf_build_string(&b, merged[i], strlen(merged[i]));
	for (size_t i = 0; i < COUNT(controls); i++)
		gguf_build_string(&b, controls[i], strlen(controls[i]));
	gguf_build_array(&b, "tokenizer.ggml.merges", 8, COUNT(merges));
	for (size_t i = 0; i < COUNT(merges); i++)
		gguf_build_string(&b, merges[i], strlen(merges[i]));
	gguf_build_array(&b, "tokenizer.ggml.token_type", 5, N_TOKENS);
	for (uint32_t i = 0; i < N_TOKENS; i++)
		gguf_build_u32(&b, i >= CONTROL ? 3 : 1);
	return b;
}

struct fixture {
	struct gguf_build file;
	struct gguf *gguf;
	struct tokenizer *tokenizer;
};

static struct fixture open_vocabulary(const char *pre)
{
	struct tool_error error = {""};
	struct fixture f = {.file = vocabulary("gpt2", pre)};
	ck_assert_msg(gguf_open_memory(f.file.data, f.file.size, &f.gguf, &error), "%s", error.text);
	ck_assert_msg(tokenizer_create(f.gguf, &f.tokenizer, &error), "%s", error.text);
	return f;
}

static void close_vocabulary(struct fixture *f)
{
	tokenizer_destroy(f->tokenizer);
	gguf_close(f->gguf);
	gguf_build_free(&f->file);
}

/* Asserts that text becomes these n ids. */
static void expect_ids(struct tokenizer *t, const char *text, bool special, const int32_t *want,
                       size_t n_want)
{
	struct tool_error error = {""};
	int32_t *ids;
	size_t n;
	ck_assert_msg(tokenizer_encode(t, text, strlen(text), special, &ids, &n, &error), "%s",
	              error.text);
	ck_assert_msg(n == n_want, "'%s': %zu tokens, not %zu", text, n, n_want);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(ids[i] == want[i], "'%s', token %zu: %d, not %d", text, i, ids[i], want[i]);
	free(ids);
}

START_TEST(test_merges_apply_by_rank)
{
	struct fixture f = open_vocabulary("gpt-2");
	expect_ids(f.tokenizer, "", false, NULL, 0);
	expect_ids(f.tokenizer, "hello", false, (int32_t[]){HELLO}, 1);
	expect_ids(f.tokenizer, "hell", false, (int32_t[]){HELL}, 1);
	expect_ids(f.tokenizer, "ehe", false, (int32_t[]){'e', HE}, 2);
	/* "h e" ranks before " h": the blank stays alone */
	expect_ids(f.tokenizer, "o hello", false, (int32_t[]){'o', ' ', HELLO}, 3);
	expect_ids(f.tokenizer, "o ho", false, (int32_t[]){'o', BLANK_H, 'o'}, 3);
	/* the leftmost of overlapping pairs of one rank */
	expect_ids(f.tokenizer, "lll", false, (int32_t[]){LL, 'l'}, 2);
	close_vocabulary(&f);
}
END_TEST

START_TEST(test_merges_stay_inside_pieces)
{
	struct fixture f = open_vocabulary("gpt-2");
	/* "l" and "'ll" are two pieces; so are "he" and "!" */
	expect_ids(f.tokenizer, "l'll", false, (int32_t[]){'l', '\'', LL}, 3);
	/* of two blanks the second goes with the word */
	expect_ids(f.tokenizer, "o  ho", false, (int32_t[]){'o', ' ', BLANK_H, 'o'}, 4);
	close_vocabulary(&f);
}
END_TEST

START_TEST(test_control_tokens_are_read_on_request_only)
{
	struct fixture f = open_vocabulary("gpt-2");
	expect_ids(f.tokenizer, "he<|x|>he", true, (int32_t[]){HE, CONTROL, HE}, 3);
	expect_ids(f.tokenizer, "<|x|>y", true, (int32_t[]){CONTROL_LONGER}, 1);
	expect_ids(f.tokenizer, "<|x|>", false, (int32_t[]){'<', '|', 'x', '|', '>'}, 5);
	ck_assert_int_eq(tokenizer_eos(f.tokenizer), CONTROL);
	ck_assert_int_eq(tokenizer_find(f.tokenizer, "<|x|>"), CONTROL);
	ck_assert_int_eq(tokenizer_find(f.tokenizer, "<|y|>"), -1);
	ck_assert_uint_eq(tokenizer_decode(f.tokenizer, CONTROL).size, 0);
	ck_assert_uint_eq(tokenizer_decode(f.tokenizer, -1).size, 0);
	ck_assert_uint_eq(tokenizer_decode(f.tokenizer, N_TOKENS).size, 0);
	close_vocabulary(&f);
}
END_TEST

START_TEST(test_decoding_gives_the_text_back)
{
	static const char *const pres[] = {"gpt-2", "smollm"};
	static const char text[] = "hello, h\xc3\xa9llo \xe6\x97\xa5\xe6\x9c\xac 2024\t\n  "
							   "\xf0\x9f\x98\x80 it's 12\xc2\xbd \xe2\x80\x83x   ";
	for (size_t p = 0; p < COUNT(pres); p++) {
		struct fixture f = open_vocabulary(pres[p]);
		struct tool_error error = {""};
		int32_t *ids;
		size_t n;
		size_t at = 0;
		ck_assert(tokenizer_encode(f.tokenizer, text, strlen(text), false, &ids, &n, &error));
		for (size_t i = 0; i < n; i++) {
			struct gguf_string bytes = tokenizer_decode(f.tokenizer, ids[i]);
			ck_assert_uint_le(at + bytes.size, strlen(text));
			ck_assert(memcmp(text + at, bytes.data, bytes.size) == 0);
			at += bytes.size;
		}
		ck_assert_uint_eq(at, strlen(text));
		free(ids);
		close_vocabulary(&f);
	}
}
END_TEST

START_TEST(test_text_that_is_not_utf8_is_refused_with_its_place)
{
	static const char *const wrong[] = {
		"ok\xff", "ok\xc3", "ok\xc0\x80", "ok\xed\xa0\x80", "ok\xf4\x90\x80\x80", "ok\xe2\x82"};
	struct fixture f = open_vocabulary("smollm");
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct tool_error error = {""};
		int32_t *ids;
		size_t n;
		ck_assert(
			!tokenizer_encode(f.tokenizer, wrong[i], strlen(wrong[i]), false, &ids, &n, &error));
		ck_assert_ptr_nonnull(strstr(error.text, "offset 2"));
	}
	close_vocabulary(&f);
}
END_TEST

START_TEST(test_long_pieces_take_no_quadratic_time)
{
	const size_t size = 400000;
	struct fixture f = open_vocabulary("gpt-2");
	struct tool_error error = {""};
	char *text = malloc(size);
	int32_t *ids;
	size_t n;
	ck_assert_ptr_nonnull(text);
	memset(text, 'l', size);
	ck_assert(tokenizer_encode(f.tokenizer, text, size, false, &ids, &n, &error));
	ck_assert_uint_eq(n, size / 2);
	free(ids);
	free(text);
	close_vocabulary(&f);
}
END_TEST

/* Asserts that a tokenizer of these tables is refused with `word` in the message. */
static void refuse(struct gguf_build *b, const char *word)
{
	struct tool_error error = {""};
	struct gguf *gguf;
	struct tokenizer *tokenizer;
	ck_assert_msg(gguf_open_memory(b->data, b->size, &gguf, &error), "%s", error.text);
	ck_assert(!tokenizer_create(gguf, &tokenizer, &error));
	ck_assert_msg(strstr(error.text, word) != NULL, "'%s' lacks '%s'", error.text, word);
	gguf_close(gguf);
	gguf_build_free(b);
}

START_TEST(test_unknown_tokenizers_are_refused_by_name)
{
	struct gguf_build b = vocabulary("llama", "default");
	refuse(&b, "'llama'");
	b = vocabulary("gpt2", "qwen9");
	refuse(&b, "'qwen9'");
	gguf_build_header(&b, 3, 0, 0);
	refuse(&b, "no tokenizer");
	gguf_build_header(&b, 3, 0, 2);
	gguf_build_text(&b, "tokenizer.ggml.model", "gpt2");
	gguf_build_array(&b, "tokenizer.ggml.tokens", 4, 0);
	refuse(&b, "tokenizer.ggml.tokens");
}
END_TEST

START_TEST(test_incomplete_characters_are_held_back)
{
	ck_assert_uint_eq(utf8_incomplete_tail("a", 1), 0);
	ck_assert_uint_eq(utf8_incomplete_tail("a\xc3", 2), 1);
	ck_assert_uint_eq(utf8_incomplete_tail("\xf0\x9f\x98", 3), 3);
	ck_assert_uint_eq(utf8_incomplete_tail("\xf0\x9f\x98\x80", 4), 0);
	ck_assert_uint_eq(utf8_incomplete_tail("\x80", 1), 0);
	ck_assert_uint_eq(utf8_incomplete_tail("", 0), 0);
}
END_TEST

START_TEST(test_ids_of_a_real_model)
{
	const char *path = getenv("CLKV_TEST_MODEL");
	struct tool_error error = {""};
	struct gguf *gguf;
	struct tokenizer *tokenizer;
	struct gguf_string pre;
	if (path == NULL || *path == '\0') {
		printf("SKIPPED: ids of a real model; CLKV_TEST_MODEL names none\n");
		return;
	}
	ck_assert_msg(gguf_open(path, &gguf, &error), "%s", error.text);
	ck_assert_msg(tokenizer_create(gguf, &tokenizer, &error), "%s", error.text);
	/* ids of SmolLM2's vocabulary */
	if (gguf_get_string(gguf, "tokenizer.ggml.pre", &pre) && gguf_string_is(pre, "smollm"))
		expect_ids(
			tokenizer, "<|im_start|>user\n  hello 2024 it's  ok\n", true,
			(int32_t[]){1, 4093, 3805, 33662, 216, 34, 32, 34, 36, 357, 506, 216, 10907, 198}, 14);
	tokenizer_destroy(tokenizer);
	gguf_close(gguf);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tokenizer");
	TCase *encode = tcase_create("encode");
	tcase_set_timeout(encode, 30);
	tcase_add_test(encode, test_merges_apply_by_rank);
	tcase_add_test(encode, test_merges_stay_inside_pieces);
	tcase_add_test(encode, test_control_tokens_are_read_on_request_only);
	tcase_add_test(encode, test_decoding_gives_the_text_back);
	tcase_add_test(encode, test_text_that_is_not_utf8_is_refused_with_its_place);
	tcase_add_test(encode, test_long_pieces_take_no_quadratic_time);
	tcase_add_test(encode, test_unknown_tokenizers_are_refused_by_name);
	tcase_add_test(encode, test_incomplete_characters_are_held_back);
	tcase_add_test(encode, test_ids_of_a_real_model);
	suite_add_tcase(suite, encode);
	return run_suite(suite);
}
