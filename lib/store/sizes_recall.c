/* SPDX-License-Identifier: MIT */
/** \file sizes_recall.c \brief The arithmetic of what recall keeps on the device. */
#include "store/sizes_recall.h"

#include "base/error.h"

/* Bytes of work space that indexes may take while they are made; more than one layer's only within it. */
#define BUILD_MOST ((uint64_t)32 << 20)

/* Segments that a cut has left with few tokens; each but the largest is small. */
enum { CUT_SEGMENTS = 16 };

/* The longest segment that a cut can leave with few tokens: a prompt that becomes another near its beginning. */
static uint32_t longest_cut(const struct clkv__recall *r, const struct clkv__sizes *s)
{
	return (uint32_t)r->most < s->max_seq_tokens ? (uint32_t)r->most : s->max_seq_tokens;
}

/* Segments have at least `every` tokens when they are made; of each sequence one long one may have been cut. */
static clkv_status index_sizes(const struct clkv__shape *shape, const struct clkv__recall *r,
                               struct clkv__sizes *s, clkv_error *error)
{
	uint64_t every = (uint64_t)r->every, segs = s->max_tokens / every + s->max_sequences;
	uint64_t cut = clkv__recall_index(r, shape, longest_cut(r, s));
	uint64_t units =
		s->index_heads *
		(clkv__recall_index_most(r, shape, s->max_tokens + every, segs) + s->max_sequences * cut);
	uint64_t book = s->index_heads * (uint64_t)clkv__recall_book(r, shape);
	uint64_t books = book == 0 ? 0 : r->given ? 1 : s->max_sequences;
	if (units >= (uint64_t)1 << 31 || book * books >= (uint64_t)1 << 31)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"cache options: max_tokens (%u) and max_sequences (%u) need an index or codebooks "
			"of 128 GiB",
			s->max_tokens, s->max_sequences);
	s->segs = s->max_seq_tokens / (uint32_t)every + 1 + CUT_SEGMENTS;
	s->index_units = (uint32_t)units;
	s->book_units = (uint32_t)book;
	s->books = (uint32_t)books;
	return CLKV_OK;
}

/* Units of a sequence, rows that recall in one go, and what they may choose. A sequence that can't get as long as a
 * budget has all of it recalled; one that can't get as long as a first segment stays in half. */
static void choice_sizes(const struct clkv__shape *shape, const struct clkv__recall *r,
                         struct clkv__sizes *s)
{
	uint64_t tokens = (uint64_t)s->max_seq_tokens + longest_cut(r, s);
	uint64_t places = clkv__recall_places_most(r, tokens, s->segs);
	uint64_t listed = clkv__recall_listed(r, shape);
	s->max_places = (uint32_t)((places + ABI_TILE - 1) / ABI_TILE * ABI_TILE);
	s->asks = s->max_sequences < s->max_step_tokens ? s->max_sequences : s->max_step_tokens;
	s->probe_bytes = clkv__recall_probes(r, shape, s->max_step_tokens);
	s->budget_bytes = clkv__recall_budgets(r, s->max_step_tokens);
	s->listed = (uint32_t)(listed < s->max_seq_tokens ? listed : s->max_seq_tokens);
}

clkv_status clkv__sizes_recall(const struct clkv__shape *shape, const struct clkv__plan *plan,
                               struct clkv__sizes *s, clkv_error *error)
{
	const struct clkv__recall *r = &plan->recall;
	uint64_t layers = (uint64_t)(shape->layers - plan->general.skip);
	if (!clkv__recalls(r) || plan->sealing.dense)
		return CLKV_OK;
	s->index_heads = (uint32_t)layers * (uint32_t)shape->streams;
	CLKV_TRY(index_sizes(shape, r, s, error));
	choice_sizes(shape, r, s);
	s->build_bytes = clkv__recall_build(r, shape);
	uint64_t layer = s->build_bytes * (uint64_t)shape->streams;
	uint64_t at_once = layer > 0 && BUILD_MOST > layer ? BUILD_MOST / layer : 1;
	s->build_layers = (uint32_t)(at_once < layers ? at_once : layers);
	return CLKV_OK;
}

uint64_t clkv__sizes_recall_scratch(const struct clkv__shape *shape, const struct clkv__sizes *s)
{
	uint64_t heads = (uint64_t)shape->q_heads, streams = (uint64_t)shape->streams;
	return s->asks * (heads * s->max_places * 6 + streams * (1 + (uint64_t)s->listed) * 4) +
	       s->build_layers * streams * s->build_bytes + s->probe_bytes + s->budget_bytes;
}
