/* SPDX-License-Identifier: MIT */
/** \file snapshot_index_doubt.c \brief What an index from a file can't be. */
#include "snapshot/snapshot_index.h"

#include "base/halves.h"

/* ---------------------------------------------------------------- lists of segments ---- */

/* What a segment's numbers can't be. The part of an index that a cut has left may be larger than its tokens want. */
static const char *doubt_segment(const struct clkv__state_io *io,
                                 const struct clkv__index_segment *s)
{
	const struct clkv__recall *r = &io->plan->recall;
	const struct clkv__shape *shape = &io->seq->cache->shape;
	if (s->tokens == 0 || s->tokens > (uint32_t)r->most || s->kept == 0 || s->kept > s->tokens)
		return "a segment has too few or too many tokens";
	uint32_t least = clkv__recall_index(r, shape, s->tokens);
	uint32_t most = clkv__recall_index(r, shape, (uint32_t)r->most);
	bool lists = clkv__index_kind_of(r)->members;
	if (lists ? s->stride != least : s->stride < least || s->stride > most || s->kept != s->tokens)
		return "a segment's index has another size than its tokens want";
	return NULL;
}

/* Segments cover the sealed pages one behind the other, each whole ones and one that need not be full. */
static const char *doubt_cover(const struct clkv__state_io *io, struct clkv__index_list *list)
{
	const uint32_t bt = (uint32_t)io->plan->general.block;
	uint32_t pages, at = 0;
	const uint32_t *entries = clkv__index_entries(io->seq, &pages);
	for (uint32_t i = 0; i < list->n; i++) {
		struct clkv__index_segment *s = &list->segment[i];
		uint32_t of = (s->kept + bt - 1) / bt;
		if (of > pages - at)
			return "segments have more tokens than there are sealed";
		s->pos = entries[at * ABI_ENTRY_WORDS + ABI_ENTRY_POS];
		for (uint32_t j = 0; j < of; j++) {
			uint32_t want = j + 1 < of ? bt : s->kept - j * bt;
			if (entries[(at + j) * ABI_ENTRY_WORDS + ABI_ENTRY_COUNT] != want)
				return "a segment doesn't end where a page does";
		}
		at += of;
	}
	return at == pages ? NULL : "segments have fewer tokens than there are sealed";
}

const char *clkv__index_list_doubt(const struct clkv__state_io *io, struct clkv__index_list *list)
{
	bool books = clkv__index_kind_of(&io->plan->recall)->book;
	if (list->book > CLKV__BOOK_GIVEN || (!books && list->book != CLKV__BOOK_NONE) ||
	    (books && list->book != CLKV__BOOK_GIVEN &&
	     (list->book == CLKV__BOOK_OWN) != (list->n > 0)) ||
	    (list->book != CLKV__BOOK_GIVEN && list->number != 0))
		return "it has a codebook and shouldn't, or lacks one";
	for (uint32_t i = 0; i < list->n; i++) {
		const char *text = doubt_segment(io, &list->segment[i]);
		if (text)
			return text;
	}
	return doubt_cover(io, list);
}

/* ---------------------------------------------------------------- an index ---- */

struct clkv__index_lists clkv__index_lists(const struct clkv__state_io *io,
                                           const struct clkv__index_segment *s)
{
	const struct clkv__recall *r = &io->plan->recall;
	const struct clkv__index_kind *kind = clkv__index_kind_of(r);
	struct clkv__index_lists l = {clkv__recall_units(r, s->tokens),
	                              clkv__recall_places(r, s->tokens), 0, 0, 0};
	l.ends = (size_t)l.places * (size_t)kind->vectors * 2 * io->head->dk;
	l.members = l.ends + 2 * (size_t)l.places;
	l.end = kind->members ? l.members + 2 * (size_t)s->tokens : clkv__index_head_bytes(s->stride);
	return l;
}

/* Whether ends and members name each token of the segment once, those of a unit newest first, and what only fills a tile
 * none. seen [tokens] is work space. */
static bool lists_are_whole(const struct clkv__index_lists *l, const struct clkv__index_segment *s,
                            const unsigned char *at, unsigned char *seen)
{
	const unsigned char *ends = at + l->ends, *members = at + l->members;
	uint32_t begin = 0;
	memset(seen, 0, s->tokens);
	for (uint32_t u = 0; u < l->places; u++) {
		uint32_t end = (uint32_t)clkv__get_le(ends + 2 * u, 2), last = s->tokens;
		if (end < begin || end > s->tokens || (u + 1 >= l->units && end != s->tokens))
			return false;
		for (uint32_t i = begin; i < end; i++) {
			uint32_t token = (uint32_t)clkv__get_le(members + 2 * i, 2);
			if (token >= last || seen[token])
				return false;
			seen[token] = 1;
			last = token;
		}
		begin = end;
	}
	return true;
}

const char *clkv__index_layer_doubt(const struct clkv__state_io *io,
                                    const struct clkv__index_segment *s, const unsigned char *bytes,
                                    unsigned char *seen)
{
	const struct clkv__index_lists lists = clkv__index_lists(io, s);
	bool members = clkv__index_kind_of(&io->plan->recall)->members;
	size_t head = clkv__index_head_bytes(s->stride), halves = members ? lists.ends : lists.end;
	for (uint32_t h = 0; h < io->head->kv_heads; h++) {
		if (!clkv__halves_finite(bytes + h * head, halves / 2))
			return "what stands for a unit isn't finite";
		if (members && !lists_are_whole(&lists, s, bytes + h * head, seen))
			return "its lists don't name each token once";
	}
	return NULL;
}
