/* SPDX-License-Identifier: MIT */
/** \file block_table.c \brief Slabs of table words, their mirror, and what the device must learn. */
#include "store/block_table.h"

#include "base/alloc.h"
#include "base/error.h"
#include "store/slots.h"

#include <assert.h>
#include <string.h>

clkv_status clkv__tables_init(struct clkv__tables *tables, const clkv_allocator *allocator,
                              cl_context cl, const struct clkv__sizes *sizes, clkv_error *error)
{
	size_t words = (size_t)sizes->slab_words * sizes->max_sequences;
	*tables = (struct clkv__tables){
		.slab_words = sizes->slab_words,
		.row_words = sizes->row_words,
		.cap = sizes->cap,
		.segs_word = sizes->segs_word,
		.segs = sizes->segs,
		.n_slabs = sizes->max_sequences,
		.n_free = sizes->max_sequences,
		.allocator = allocator,
	};
	tables->mirror = clkv__calloc(allocator, words, sizeof(uint32_t));
	tables->free_list = clkv__calloc(allocator, tables->n_slabs, sizeof(uint32_t));
	tables->journal =
		clkv__calloc(allocator, (size_t)sizes->journal_entries, sizeof *tables->journal);
	if (!tables->mirror || !tables->free_list || !tables->journal) {
		clkv__tables_free(tables);
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for tables of %zu words",
		          words);
	}
	for (uint32_t i = 0; i < tables->n_slabs; i++)
		tables->free_list[i] = (tables->n_slabs - 1 - i) * tables->slab_words;
	cl_int code;
	tables->mem = clCreateBuffer(cl, CL_MEM_READ_WRITE, words * 4, NULL, &code);
	if (code != CL_SUCCESS) {
		tables->mem = NULL;
		clkv__tables_free(tables);
	}
	CLKV_CL_CODE(error, code, "clCreateBuffer");
	return CLKV_OK;
}

void clkv__tables_free(struct clkv__tables *tables)
{
	if (tables->mem)
		clReleaseMemObject(tables->mem);
	clkv__free(tables->allocator, tables->mirror);
	clkv__free(tables->allocator, tables->free_list);
	clkv__free(tables->allocator, tables->pending);
	clkv__free(tables->allocator, tables->journal);
	*tables = (struct clkv__tables){0};
}

uint32_t clkv__tables_take(struct clkv__tables *tables)
{
	if (tables->n_free == 0)
		return UINT32_MAX;
	uint32_t slab = tables->free_list[--tables->n_free];
	if (tables->segs > 0)
		tables->mirror[slab + tables->segs_word] = 0;
	for (uint32_t row = slab; row < slab + tables->segs_word; row += tables->row_words) {
		memset(&tables->mirror[row], 0, ABI_ROW_HEAD * sizeof(uint32_t));
		for (uint32_t j = 0; j < tables->cap; j++)
			tables->mirror[row + ABI_ROW_HALF(tables->cap, j)] = CLKV__NO_SLOT;
	}
	return slab;
}

void clkv__tables_release(struct clkv__tables *tables, uint32_t slab)
{
	tables->free_list[tables->n_free++] = slab;
}

clkv_status clkv__tables_reserve(struct clkv__tables *tables, size_t n, clkv_error *error)
{
	size_t need = tables->n_pending + n;
	if (need <= tables->pending_room)
		return CLKV_OK;
	size_t room = need * 2;
	uint32_t *pending = clkv__calloc(tables->allocator, room, sizeof *pending);
	if (!pending)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu table updates", room);
	if (tables->n_pending > 0)
		memcpy(pending, tables->pending, tables->n_pending * sizeof *pending);
	clkv__free(tables->allocator, tables->pending);
	tables->pending = pending;
	tables->pending_room = room;
	return CLKV_OK;
}

void clkv__tables_set(struct clkv__tables *tables, uint32_t word, uint32_t value)
{
	assert(tables->n_pending < tables->pending_room);
	tables->mirror[word] = value;
	tables->pending[tables->n_pending++] = word;
}
