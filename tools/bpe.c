/* SPDX-License-Identifier: MIT */
/**
 * \file    bpe.c
 * \brief   Byte-pair merges with a linked list of symbols and a heap of candidate pairs.
 */
#include "bpe.h"

#include <stdlib.h>
#include <string.h>

struct bpe_merge {
	int32_t left, right;
	int32_t rank, merged;
};

struct bpe_symbol {
	int32_t id;       /* -1: merged into its left neighbour */
	int32_t previous; /* index, -1 at the ends */
	int32_t next;
};

/* A pair that could merge when it was pushed; stale when its symbols have changed since. */
struct bpe_candidate {
	int32_t rank, at;
	int32_t left, right;
};

static uint64_t hash_bytes(const char *text, size_t size)
{
	uint64_t h = 14695981039346656037U; /* FNV-1a */
	for (size_t i = 0; i < size; i++)
		h = (h ^ (unsigned char)text[i]) * 1099511628211U;
	return h ^ h >> 32;
}

static uint64_t hash_pair(int32_t left, int32_t right)
{
	uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15U;
	return h ^ h >> 29;
}

/* A power of two, at least twice n: open addressing stays short. */
static size_t table_size(size_t n)
{
	size_t size = 16;
	while (size < 2 * n)
		size *= 2;
	return size;
}

int32_t bpe_find(const struct bpe *bpe, const char *text, size_t size)
{
	size_t at = (size_t)hash_bytes(text, size) & bpe->text_mask;
	while (bpe->by_text[at] >= 0) {
		struct gguf_string token = bpe->tokens[bpe->by_text[at]];
		if (token.size == size && memcmp(token.data, text, size) == 0)
			return bpe->by_text[at];
		at = (at + 1) & bpe->text_mask;
	}
	return -1;
}

static const struct bpe_merge *find_merge(const struct bpe *bpe, int32_t left, int32_t right)
{
	size_t at = (size_t)hash_pair(left, right) & bpe->merge_mask;
	while (bpe->merges[at].left >= 0) {
		if (bpe->merges[at].left == left && bpe->merges[at].right == right)
			return &bpe->merges[at];
		at = (at + 1) & bpe->merge_mask;
	}
	return NULL;
}

static bool fill_tokens(struct bpe *bpe, const struct gguf_value *tokens)
{
	size_t size = table_size(tokens->n_items);
	bpe->n_tokens = tokens->n_items;
	bpe->tokens = calloc(tokens->n_items + 1, sizeof *bpe->tokens);
	bpe->by_text = malloc(size * sizeof *bpe->by_text);
	if (bpe->tokens == NULL || bpe->by_text == NULL)
		return false;
	bpe->text_mask = size - 1;
	memset(bpe->by_text, 0xFF, size * sizeof *bpe->by_text);
	const unsigned char *cursor = tokens->data;
	for (size_t i = 0; i < tokens->n_items; i++) {
		struct gguf_string token = gguf_next_string(&cursor);
		bpe->tokens[i] = token;
		if (bpe_find(bpe, token.data, token.size) >= 0)
			continue; /* the first of two equal ones counts */
		size_t at = (size_t)hash_bytes(token.data, token.size) & bpe->text_mask;
		while (bpe->by_text[at] >= 0)
			at = (at + 1) & bpe->text_mask;
		bpe->by_text[at] = (int32_t)i;
	}
	return true;
}

static void add_merge(struct bpe *bpe, struct gguf_string text, size_t rank, char *joined)
{
	/* a token may begin with a blank in no byte-level vocabulary: the first blank behind the first
	 * byte parts the two */
	const char *blank = text.size > 1 ? memchr(text.data + 1, ' ', text.size - 1) : NULL;
	if (blank == NULL)
		return;
	size_t n = (size_t)(blank - text.data);
	memcpy(joined, text.data, n);
	memcpy(joined + n, blank + 1, text.size - n - 1);
	int32_t left = bpe_find(bpe, text.data, n);
	int32_t right = bpe_find(bpe, blank + 1, text.size - n - 1);
	int32_t merged = bpe_find(bpe, joined, text.size - 1);
	if (left < 0 || right < 0 || merged < 0 || find_merge(bpe, left, right) != NULL)
		return;
	size_t at = (size_t)hash_pair(left, right) & bpe->merge_mask;
	while (bpe->merges[at].left >= 0)
		at = (at + 1) & bpe->merge_mask;
	bpe->merges[at] = (struct bpe_merge){left, right, (int32_t)rank, merged};
}

static bool fill_merges(struct bpe *bpe, const struct gguf_value *merges)
{
	size_t size = table_size(merges->n_items);
	size_t longest = 0;
	const unsigned char *cursor = merges->data;
	for (size_t i = 0; i < merges->n_items; i++) {
		size_t length = gguf_next_string(&cursor).size;
		longest = length > longest ? length : longest;
	}
	char *joined = malloc(longest + 1);
	bpe->merges = malloc(size * sizeof *bpe->merges);
	if (joined == NULL || bpe->merges == NULL) {
		free(joined);
		return false;
	}
	bpe->merge_mask = size - 1;
	memset(bpe->merges, 0xFF, size * sizeof *bpe->merges);
	cursor = merges->data;
	for (size_t i = 0; i < merges->n_items; i++)
		add_merge(bpe, gguf_next_string(&cursor), i, joined);
	free(joined);
	return true;
}

bool bpe_init(struct bpe *bpe, const struct gguf_value *tokens, const struct gguf_value *merges,
              struct tool_error *error)
{
	memset(bpe, 0, sizeof *bpe);
	if (tokens->n_items > (1U << 24) || merges->n_items > (1U << 24))
		return tool_fail(error, "the tokenizer has over 16 million tokens or merges");
	if (!fill_tokens(bpe, tokens) || !fill_merges(bpe, merges)) {
		bpe_free(bpe);
		return tool_fail(error, "out of memory for the tokenizer");
	}
	return true;
}

void bpe_free(struct bpe *bpe)
{
	free(bpe->tokens);
	free(bpe->by_text);
	free(bpe->merges);
	free(bpe->symbols);
	free(bpe->heap);
	memset(bpe, 0, sizeof *bpe);
}

static bool before(const struct bpe_candidate *a, const struct bpe_candidate *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void push(struct bpe *bpe, size_t *n_heap, int32_t at)
{
	const struct bpe_symbol *symbol = &bpe->symbols[at];
	if (symbol->next < 0)
		return;
	int32_t right = bpe->symbols[symbol->next].id;
	const struct bpe_merge *merge = find_merge(bpe, symbol->id, right);
	if (merge == NULL)
		return;
	struct bpe_candidate candidate = {merge->rank, at, symbol->id, right};
	size_t i = (*n_heap)++;
	while (i > 0 && before(&candidate, &bpe->heap[(i - 1) / 2])) {
		bpe->heap[i] = bpe->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	bpe->heap[i] = candidate;
}

static struct bpe_candidate pop(struct bpe *bpe, size_t *n_heap)
{
	struct bpe_candidate top = bpe->heap[0];
	struct bpe_candidate last = bpe->heap[--*n_heap];
	size_t i = 0;
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= *n_heap)
			break;
		if (child + 1 < *n_heap && before(&bpe->heap[child + 1], &bpe->heap[child]))
			child++;
		if (!before(&bpe->heap[child], &last))
			break;
		bpe->heap[i] = bpe->heap[child];
		i = child;
	}
	bpe->heap[i] = last;
	return top;
}

static bool reserve(struct bpe *bpe, size_t n)
{
	if (n <= bpe->capacity)
		return true;
	size_t capacity = n < 64 ? 64 : 2 * n;
	struct bpe_symbol *symbols = realloc(bpe->symbols, capacity * sizeof *symbols);
	if (symbols == NULL)
		return false;
	bpe->symbols = symbols;
	/* n - 1 pairs at first, then at most two more for each of at most n - 1 merges */
	struct bpe_candidate *heap = realloc(bpe->heap, 3 * capacity * sizeof *heap);
	if (heap == NULL)
		return false;
	bpe->heap = heap;
	bpe->capacity = capacity;
	return true;
}

/* Joins the pair at symbol `at`, unless it has changed since it was pushed. */
static void apply(struct bpe *bpe, size_t *n_heap, const struct bpe_candidate *pair)
{
	struct bpe_symbol *left = &bpe->symbols[pair->at];
	if (left->id != pair->left || left->next < 0 || bpe->symbols[left->next].id != pair->right)
		return;
	struct bpe_symbol *right = &bpe->symbols[left->next];
	left->id = find_merge(bpe, pair->left, pair->right)->merged;
	right->id = -1;
	left->next = right->next;
	if (left->next >= 0)
		bpe->symbols[left->next].previous = pair->at;
	push(bpe, n_heap, pair->at);
	if (left->previous >= 0)
		push(bpe, n_heap, left->previous);
}

size_t bpe_merge_piece(struct bpe *bpe, int32_t *ids, size_t n)
{
	size_t n_heap = 0;
	if (n > INT32_MAX / 4 || !reserve(bpe, n))
		return 0;
	for (size_t i = 0; i < n; i++)
		bpe->symbols[i] =
			(struct bpe_symbol){ids[i], (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1};
	for (size_t i = 0; i < n; i++)
		push(bpe, &n_heap, (int32_t)i);
	while (n_heap > 0) {
		struct bpe_candidate pair = pop(bpe, &n_heap);
		apply(bpe, &n_heap, &pair);
	}
	size_t left = 0;
	for (int32_t i = 0; i >= 0; i = bpe->symbols[i].next)
		ids[left++] = bpe->symbols[i].id;
	return left;
}
