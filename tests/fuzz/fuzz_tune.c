/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_tune.c
 * \brief   Any bytes as a tuning file: refused with a reason, or entries in range, each key once.
 *
 * An odd first byte: the rest are the lines between the head of this library on a device and their checksum.
 */
#include "fuzz.h"

#include "base/hash.h"
#include "cache/tune_file.h"
#include "device/context.h"
#include "plan/tune_key.h"

#include <inttypes.h>
#include <string.h>

static const clkv_context context = {
	.info = {.platform = "P",
             .name = "N",
             .vendor = "V",
             .driver = "D",
             .cl_version = "C",
             .max_work_group = 4096},
};

/* The file of the input as a text of its own, so that a sanitizer sees what is read behind it. */
static char *make_file(const uint8_t *data, size_t size, size_t *n)
{
	char *text = malloc(CLKV__TUNE_HEAD + size + 64);
	fuzz_require(text != NULL, "no memory");
	*n = data[0] & 1 ? clkv__tune_text_head(&context, text) : 0;
	memcpy(text + *n, data + 1, size - 1);
	*n += size - 1;
	if (data[0] & 1)
		*n += (size_t)snprintf(text + *n, 64, "end %016" PRIx64 "\n",
		                       clkv__hash(CLKV__HASH_START, text, *n));
	text[*n] = '\0';
	char *file = realloc(text, *n + 1);
	fuzz_require(file != NULL, "no memory");
	return file;
}

static void check_list(const struct clkv__tune_list *list)
{
	char text[CLKV__TUNING_TEXT];
	fuzz_require(list->n <= CLKV__TUNE_ENTRIES, "too many entries");
	for (size_t i = 0; i < list->n; i++) {
		const struct clkv__tune_entry *e = &list->entries[i];
		struct clkv__tuning again = {0};
		clkv__tuning_print(&e->tuning, text);
		fuzz_require(clkv__tune_key_is_valid(e->key), "a key isn't one");
		fuzz_require(clkv__tuning_parse(text, 1u << 30, true, &again), "a tuning isn't one");
		for (size_t j = 0; j < i; j++)
			fuzz_require(strcmp(e->key, list->entries[j].key) != 0, "a key is there twice");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct clkv__tune_entry entries[CLKV__TUNE_ENTRIES];
	struct clkv__tune_list list = {entries, 0};
	size_t n;
	if (size == 0)
		return 0;
	char *file = make_file(data, size, &n);
	const char *why = clkv__tune_text_parse(&context, file, n, &list);
	fuzz_require(!why || strlen(why) > 5, "refused without a reason");
	if (!why)
		check_list(&list);
	free(file);
	return 0;
}
