/* SPDX-License-Identifier: MIT */
/** \file used.c \brief The blocks, entries and indexes of a sequence of n tokens. */
#include "store/used.h"

#include "base/checked.h"
#include "store/sizes_select.h"

static uint32_t blocks_of(const struct clkv__plan *plan, uint32_t tokens)
{
	return (uint32_t)clkv__ceil_div(tokens, (uint64_t)plan->general.block);
}

/* Half blocks that are left when all tokens before the tail but the sinks are sealed: those between are given back. */
static uint32_t half_blocks(const struct clkv__plan *plan, const struct clkv__filling *f)
{
	uint32_t bt = (uint32_t)plan->general.block, all = blocks_of(plan, f->length);
	uint32_t first = blocks_of(plan, clkv__plan_sinks(plan, f->length)), tail = f->tail / bt;
	return tail > first ? all - (tail - first) : all;
}

/* Half blocks of a layer that never seals. */
static uint32_t dense_blocks(const struct clkv__plan *plan, const struct clkv__filling *f)
{
	return blocks_of(plan, f->length) -
	       clkv__plan_slid(plan, f->length) / (uint32_t)plan->general.block;
}

static uint64_t index_units(const struct clkv__shape *shape, const struct clkv__plan *plan,
                            const struct clkv__sizes *s, uint32_t n)
{
	const struct clkv__recall *r = &plan->recall;
	uint32_t bt = (uint32_t)plan->general.block, parts = clkv__recall_parts(r, n);
	uint64_t units = 0;
	for (uint32_t i = 0; i < parts; i++)
		units += clkv__recall_index(r, shape, clkv__recall_part(n, bt, parts, i));
	return units * s->index_heads;
}

/* All tokens are kept: a prompt's steps, one behind the other. */
static void fill(const struct clkv__shape *shape, const struct clkv__plan *plan,
                 const struct clkv__sizes *s, uint32_t n, struct clkv__used *u)
{
	for (uint32_t rows; n > 0; n -= rows) {
		rows = n < s->max_step_tokens ? n : s->max_step_tokens;
		clkv_phase phase = rows < n ? CLKV_PROMPT : CLKV_PROMPT_END;
		uint32_t sealed = clkv__leaving_commit(plan, s, &u->filling, phase, rows);
		u->entries += blocks_of(plan, sealed);
		if (s->segs > 0)
			u->index_units += index_units(shape, plan, s, sealed);
	}
}

/* Whether each head keeps as many tokens as it has slots, whatever they are. */
static bool is_even(const struct clkv__select *s)
{
	const struct clkv__rule *rule = clkv__rule_of(s);
	const struct clkv__choice *choice = clkv__choice_of(s);
	return rule->bounded && !rule->pooled && choice->bounded && !choice->rings;
}

/* Tokens are selected: blocks of those kept, and of merged slots. */
static void select_fill(const struct clkv__plan *plan, const struct clkv__sizes *s, uint32_t n,
                        struct clkv__used *u)
{
	struct clkv__quota q;
	uint32_t bt = (uint32_t)plan->general.block;
	uint32_t leaving = clkv__leaving_window(plan, &u->filling, CLKV_PROMPT_END, n, &q);
	uint32_t kept = clkv__select_most(&plan->select, &q, leaving);
	bool even = is_even(&plan->select), once = plan->general.seal == 1 || n <= s->max_step_tokens;
	u->filling.length = n;
	if (leaving == 0)
		return;
	u->filling.tail = n - q.window;
	u->filling.selected = true;
	u->merged = leaving > kept || !even ? blocks_of(plan, q.merged) : 0;
	/* a choice that is made again leaves blocks half empty, and so do heads whose slots differ */
	u->entries = even && once ? blocks_of(plan, kept)
	             : kept > 0   ? clkv__kept_blocks(kept, bt) + 2
	                          : 0;
	u->exact = u->exact && ((even && once) || kept == 0);
}

struct clkv__used clkv__used_at(const struct clkv__shape *shape, const struct clkv__plan *plan,
                                const struct clkv__sizes *sizes, uint32_t n, bool sealed)
{
	struct clkv__used u = {.exact = true};
	if (!sealed)
		u.filling.length = n;
	else if (clkv__selects(&plan->select))
		select_fill(plan, sizes, n, &u);
	else
		fill(shape, plan, sizes, n, &u);
	if (u.entries > 0 && sizes->sized)
		u.exact = false;
	u.half = half_blocks(plan, &u.filling);
	return u;
}

/* Units of the sealed blocks of a layer. */
static uint64_t sealed_units(const struct clkv__shape *shape, const struct clkv__plan *plan,
                             const struct clkv__sizes *s, const struct clkv__used *u, int layer)
{
	bool even = !clkv__selects(&plan->select) || is_even(&plan->select);
	uint64_t units = even ? clkv__plan_units(plan, shape->streams, layer)
	                      : (uint64_t)shape->streams * s->sealed_units;
	return u->entries * units;
}

/* What the entries of a sequence's tables take: those that are set. */
static uint64_t table_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                            const struct clkv__sizes *s, const struct clkv__used *u)
{
	uint64_t words = 0;
	for (int l = 0; l < shape->layers; l++)
		words += ABI_ROW_HEAD +
		         (clkv__layer_is_dense(plan, l)
		              ? dense_blocks(plan, &u->filling)
		              : (uint64_t)u->half + ABI_ENTRY_WORDS * ((uint64_t)u->entries + u->merged));
	uint64_t list = s->segs > 0 ? 1 + (uint64_t)u->filling.segments * ABI_SEG_WORDS : 0;
	return 4 * (words * (uint64_t)shape->streams + list);
}

void clkv__used_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                      const struct clkv__sizes *s, const struct clkv__used *one, uint32_t m,
                      clkv_bytes_used *b)
{
	uint64_t streams = (uint64_t)shape->streams;
	uint64_t half = (uint64_t)s->half_units * ABI_UNIT * streams, open = 0, sealed = 0;
	bool given = plan->recall.given, booked = given || one->filling.segments > 0;
	uint64_t book = booked ? (uint64_t)s->book_units * ABI_UNIT : 0;
	for (int l = 0; l < shape->layers; l++) {
		bool dense = clkv__layer_is_dense(plan, l);
		open +=
			half * (dense ? dense_blocks(plan, &one->filling) : (uint64_t)one->half + one->merged);
		sealed += dense ? 0 : sealed_units(shape, plan, s, one, l) * ABI_UNIT;
	}
	uint64_t index = one->index_units * ABI_UNIT;
	*b = (clkv_bytes_used){.struct_size = sizeof *b, .exact = one->exact};
	*(plan->place.host ? &b->host : &b->sealed) = m * sealed;
	b->open = m * open;
	b->tables = (uint64_t)m * s->slab_words * 4;
	b->index = m * index + (given ? 1 : m) * book;
	b->device = b->sealed + b->open + b->tables + b->index;
	b->sequence =
		open + (plan->place.host ? 0 : sealed) + index + book + table_bytes(shape, plan, s, one);
	b->sequence_host = plan->place.host ? sealed : 0;
	uint32_t first = clkv__plan_sinks(plan, one->filling.length);
	b->sealed_tokens = one->filling.tail > first ? one->filling.tail - first : 0;
}
