/* SPDX-License-Identifier: MIT */
/** \file prune.c \brief Sections of pruned blocks: sizes, macros, checks. */
#include "prune/prune.h"

#include "base/halves.h"

#include <stdio.h>
#include <string.h>

static const struct clkv__prune_kind kinds[] = {
	[ABI_PRUNE_NONE] = {.drops = false},
	[ABI_PRUNE_CHANNELS] = {.kernel = {"prune_channels.cl", "prune_channels"}, .drops = true},
	[ABI_PRUNE_TOKENS] = {.kernel = {"prune_tokens.cl", "prune_tokens"}, .holes = true},
};

const struct clkv__prune_kind *clkv__prune_kind_of(const struct clkv__prune *prune)
{
	return &kinds[prune->kind];
}

/* Where the parts of a section lie, as cl/prune/prune_block.clh says. */
struct section {
	uint32_t amplitudes, factors, signs, k_end; /* of K; each ends where the next begins */
	uint32_t v_mask, v_amplitudes, v_signs, v_end;
	uint32_t bytes;
};

static uint32_t n_amplitudes(int recover)
{
	static const unsigned char n[] = {0, 0, 1, 1, 1, 3, 4};
	return n[recover];
}

static uint32_t align16(uint32_t bytes)
{
	return (bytes + 15) / 16 * 16;
}

static struct section section_of(const struct clkv__prune *p, const struct clkv__shape *shape,
                                 int block)
{
	uint32_t dk = (uint32_t)shape->dk, dv = (uint32_t)shape->dv, bt = (uint32_t)block;
	uint32_t lacking = dk - (uint32_t)p->kept, signs = p->recover != ABI_RECOVER_ZERO;
	struct section s = {0};
	if (p->kind == ABI_PRUNE_CHANNELS) {
		s.k_end = dk / 8;
	} else if (p->kind == ABI_PRUNE_TOKENS) {
		s.amplitudes = dk * bt / 8;
		s.factors = s.amplitudes + n_amplitudes(p->recover) * bt * 2;
		s.signs = s.factors + (p->recover >= ABI_RECOVER_MEAN ? dk * 2 : 0);
		s.k_end = s.signs + (p->grouped ? 0 : signs * lacking * bt / 8);
	}
	s.bytes = align16(s.k_end);
	if (p->lacking_v > 0) {
		s.v_mask = s.bytes;
		s.v_amplitudes = s.v_mask + bt * dv / 8;
		s.v_signs = s.v_amplitudes + (p->recover > ABI_RECOVER_CONST ? bt * 2 : 0);
		s.v_end = s.v_signs + signs * bt * (uint32_t)p->lacking_v / 8;
		s.bytes = align16(s.v_end);
	}
	return s;
}

struct clkv__kept clkv__prune_kept(const struct clkv__prune *p, const struct clkv__shape *shape)
{
	struct clkv__kept kept = {shape->dk, shape->dk, shape->dv - p->lacking_v};
	if (p->kind == ABI_PRUNE_CHANNELS)
		kept.k_rows = kept.k_channels = (p->kept + 1) / 2 * 2;
	else if (p->kind == ABI_PRUNE_TOKENS)
		kept.k_rows = p->kept;
	return kept;
}

uint32_t clkv__prune_bytes(const struct clkv__prune *p, const struct clkv__shape *shape, int block)
{
	return section_of(p, shape, block).bytes;
}

/* SparK's classes: a tenth, three, five, seven, nine tenths of the channels. */
static bool is_class(int n, int dk)
{
	bool found = false;
	for (int tenths = 1; tenths < 10; tenths += 2)
		found = found || n == dk * tenths / 10;
	return found;
}

int clkv__prune_least(const struct clkv__prune *p, int dk)
{
	return p->grouped ? dk / 10 : p->kept;
}

uint32_t clkv__prune_room(const struct clkv__prune *p, const struct clkv__shape *shape, int block)
{
	const struct section s = section_of(p, shape, block);
	uint32_t most = (uint32_t)(shape->dk - clkv__prune_least(p, shape->dk)) * (uint32_t)block / 8;
	return p->grouped && s.bytes < s.signs + most ? align16(s.signs + most) : s.bytes;
}

static int bits_of(float x)
{
	int bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

void clkv__prune_macros(const struct clkv__prune *p, const struct clkv__shape *shape,
                        uint32_t section, clkv__macros *m)
{
	if (!clkv__prunes(p))
		return;
	clkv__macros_int(m, "LAYERS", shape->layers);
	clkv__macros_int(m, "SECTION_ROOM", (int)section);
	clkv__macros_int(m, "RECOVER", p->recover);
	clkv__macros_int(m, "RECOVER_CONST", bits_of(p->filled));
	if (p->lacking_v > 0)
		clkv__macros_int(m, "V_KEPT", shape->dv - p->lacking_v);
	if (!clkv__prunes_k(p))
		return;
	clkv__macros_int(m, "K_PRUNE", p->kind);
	clkv__macros_int(m, "K_KEPT", p->kept);
	clkv__macros_int(m, "OBSERVE", p->observe);
	clkv__macros_int(m, "QAGG", p->qagg);
	if (p->kind != ABI_PRUNE_TOKENS)
		return;
	clkv__macros_int(m, "SALIENCY_SQ", p->squared);
	clkv__macros_int(m, "REFINE", p->refine);
	clkv__macros_int(m, "SEED", p->seed);
	clkv__macros_int(m, "GROUPED", p->grouped);
	clkv__macros_int(m, "K_LEAST", clkv__prune_least(p, shape->dk));
}

void clkv__prune_label(const struct clkv__prune *p, char *text, size_t n)
{
	char k[16] = "", v[16] = "";
	if (p->kind == ABI_PRUNE_CHANNELS)
		snprintf(k, sizeof k, "-c%d", p->kept);
	else if (p->kind == ABI_PRUNE_TOKENS)
		snprintf(k, sizeof k, "-t%s%dr%d", p->grouped ? "g" : "", p->kept, p->recover);
	if (p->lacking_v > 0)
		snprintf(v, sizeof v, "-v%d", p->lacking_v);
	snprintf(text, n, "%s%s", k, v);
}

static bool bit(const unsigned char *bits, int i)
{
	return bits[i / 8] >> i % 8 & 1;
}

/* How many of n bits, a stride apart, are set. */
static int count(const unsigned char *bits, int first, int stride, int n)
{
	int set = 0;
	for (int i = 0; i < n; i++)
		set += bit(bits, first + i * stride);
	return set;
}

static bool is_kept_number(const struct clkv__prune *p, int n, int dk)
{
	return p->grouped ? is_class(n, dk) : n == p->kept;
}

static bool masks_are_right(const struct clkv__prune *p, const struct clkv__shape *shape, int block,
                            const struct section *s, const unsigned char *section)
{
	bool right = p->kind != ABI_PRUNE_CHANNELS || count(section, 0, 1, shape->dk) == p->kept;
	for (int t = 0; t < block && p->kind == ABI_PRUNE_TOKENS; t++)
		right = right && is_kept_number(p, count(section, t, block, shape->dk), shape->dk);
	for (int t = 0; t < block && p->lacking_v > 0; t++)
		right = right &&
		        count(section + s->v_mask, t * shape->dv, 1, shape->dv) == shape->dv - p->lacking_v;
	return right;
}

const char *clkv__prune_check(const struct clkv__prune *p, const struct clkv__shape *shape,
                              int block, const unsigned char *section)
{
	const struct section s = section_of(p, shape, block);
	if (!masks_are_right(p, shape, block, &s, section))
		return "a mask of channels has another number of them than the recipe keeps";
	if (!clkv__halves_finite(section + s.amplitudes, (s.signs - s.amplitudes) / 2) ||
	    !clkv__halves_finite(section + s.v_amplitudes, (s.v_signs - s.v_amplitudes) / 2))
		return "what stands for pruned channels isn't finite";
	return NULL;
}

void clkv__prune_tidy(const struct clkv__prune *p, const struct clkv__shape *shape, int block,
                      unsigned char *section)
{
	const struct section s = section_of(p, shape, block);
	uint32_t v = s.v_end ? s.v_mask : s.bytes;
	memset(section + s.k_end, 0, v - s.k_end);
	if (s.v_end)
		memset(section + s.v_end, 0, s.bytes - s.v_end);
}

uint32_t clkv__prune_grouped_bytes(const struct clkv__prune *p, const struct clkv__shape *shape,
                                   int block, const unsigned char *section, uint32_t *values)
{
	int all = shape->dk * block;
	uint32_t kept = (uint32_t)count(section, 0, 1, all);
	uint32_t signs = p->recover != ABI_RECOVER_ZERO ? ((uint32_t)all - kept + 7) / 8 : 0;
	*values = 2 * kept;
	return *values + signs;
}
