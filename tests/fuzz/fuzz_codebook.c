/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_codebook.c
 * \brief   Any bytes as a codebook: refused with an error, or unpacked and packed to the same bytes.
 *
 * An odd first byte: the checksum, the last 8 bytes, is made right.
 */
#include "fuzz_given.h"

#include "plan/codebook.h"
#include "recipe/recipe.h"

#include <string.h>

enum { MODEL = 7 };

static struct clkv__shape shape;
static struct clkv__plan plan;
static unsigned char *books; /* of all heads */

static void prepare(void)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	struct clkv__recipe recipe;
	clkv_error error = {.position = -1};
	g.layers = 2;
	g.q_heads = g.kv_heads = 1;
	g.head_dim_k = g.head_dim_v = 16;
	fuzz_require(clkv__shape_read(&g, &shape, &error) == CLKV_OK &&
	                 clkv__recipe_parse("a2ats:codes=33", &recipe, &error) == CLKV_OK &&
	                 clkv__recipe_plan(&recipe, &shape, &plan, &error) == CLKV_OK,
	             error.text);
	books = calloc((size_t)2 * clkv__recall_book(&plan.recall, &shape), ABI_UNIT);
	fuzz_require(books != NULL, "no memory");
}

static void read_codebook(const uint8_t *file, size_t n)
{
	clkv_error error = {.position = -1};
	clkv_status status = clkv__codebook_check(&plan, &shape, file, n, MODEL, &error);
	fuzz_require(error.status == status, "error and status differ");
	if (status != CLKV_OK)
		return;
	uint8_t *again = malloc(n);
	fuzz_require(again != NULL, "no memory");
	fuzz_require(n == clkv__codebook_bytes(&plan, &shape), "a part is accepted");
	clkv__codebook_unpack(&plan, &shape, file, books);
	clkv__codebook_pack(&plan, &shape, books, MODEL, again);
	fuzz_require(memcmp(file, again, n) == 0, "what is packed isn't what was unpacked");
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!books)
		prepare();
	fuzz_given_file(data, size, read_codebook);
	return 0;
}
