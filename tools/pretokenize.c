/* SPDX-License-Identifier: MIT */
/**
 * \file    pretokenize.c
 * \brief   The expressions of the known pre-tokenizers, run by PCRE2, which has Unicode's tables.
 */
#include "pretokenize.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* GPT-2 (Radford et al., 2019): contractions, letters, numbers, other signs, and white space of
 * which the last blank goes with the word behind it. */
static const char gpt2_expression[] =
	"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static const char digit_expression[] = "\\p{N}";

struct pretokenizer {
	pcre2_code *pieces;
	pcre2_code *digit; /* NULL: digits are not cut out first */
	pcre2_match_data *match;
};

static pcre2_code *compile(const char *expression)
{
	int code;
	PCRE2_SIZE at;
	pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED,
	                                     PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
	if (compiled != NULL)
		(void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); /* slower without, not wrong */
	return compiled;
}

bool pretokenizer_create(struct gguf_string name, struct pretokenizer **out,
                         struct tool_error *error)
{
	bool cuts_digits = gguf_string_is(name, "smollm");
	if (!cuts_digits && !gguf_string_is(name, "gpt-2") && !gguf_string_is(name, "gpt2") &&
	    !gguf_string_is(name, "default"))
		return tool_fail(error,
		                 "the model's pre-tokenizer '%.*s' is not known here; 'smollm', 'gpt-2' "
		                 "and 'default' are",
		                 (int)(name.size < 64 ? name.size : 64), name.data);
	struct pretokenizer *pre = calloc(1, sizeof *pre);
	if (pre == NULL)
		return tool_fail(error, "out of memory");
	pre->pieces = compile(gpt2_expression);
	if (cuts_digits)
		pre->digit = compile(digit_expression);
	if (pre->pieces != NULL)
		pre->match = pcre2_match_data_create_from_pattern(pre->pieces, NULL);
	if (pre->match == NULL || (cuts_digits && pre->digit == NULL)) {
		pretokenizer_destroy(pre);
		return tool_fail(error,
		                 "PCRE2 can't compile the pre-tokenizer (is it built with Unicode?)");
	}
	*out = pre;
	return true;
}

void pretokenizer_destroy(struct pretokenizer *pre)
{
	if (pre == NULL)
		return;
	pcre2_match_data_free(pre->match);
	pcre2_code_free(pre->pieces);
	pcre2_code_free(pre->digit);
	free(pre);
}

/* Finds the next match from byte `from` on; false when there is none. */
static bool find(const struct pretokenizer *pre, const pcre2_code *code, const char *text,
                 size_t size, size_t from, size_t *begin, size_t *end)
{
	int found =
		pcre2_match(code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK, pre->match, NULL);
	if (found < 1)
		return false;
	const PCRE2_SIZE *range = pcre2_get_ovector_pointer(pre->match);
	*begin = range[0];
	*end = range[1];
	return *end > *begin;
}

/* What lies between matches is a piece too: nothing of a text gets lost. */
static bool cut(struct pretokenizer *pre, const char *text, size_t size, pretokenize_fn fn,
                void *opaque, struct tool_error *error)
{
	size_t done = 0;
	while (done < size) {
		size_t begin;
		size_t end;
		if (!find(pre, pre->pieces, text, size, done, &begin, &end))
			begin = end = size;
		if (begin > done && !fn(opaque, text + done, begin - done, error))
			return false;
		if (end > begin && !fn(opaque, text + begin, end - begin, error))
			return false;
		done = end;
	}
	return true;
}

bool pretokenize(struct pretokenizer *pre, const char *text, size_t size, pretokenize_fn fn,
                 void *opaque, struct tool_error *error)
{
	size_t done = 0;
	if (pre->digit == NULL)
		return cut(pre, text, size, fn, opaque, error);
	/* the text between digits is cut as if it stood alone, so that " 5" is " " and "5" */
	while (done < size) {
		size_t begin;
		size_t end;
		if (!find(pre, pre->digit, text, size, done, &begin, &end))
			begin = end = size;
		if (begin > done && !cut(pre, text + done, begin - done, fn, opaque, error))
			return false;
		if (end > begin && !fn(opaque, text + begin, end - begin, error))
			return false;
		done = end;
	}
	return true;
}
