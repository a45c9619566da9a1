/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_group_factors.c
 * \brief   Any bytes as a file of factors of groups: refused with an error, or numbers of bounded size and orders of heads, unpacked,
 *          and written again to the same bytes.
 *
 * An odd first byte: the checksum, the last 8 bytes, is made right. Files of version 2 are asked for latents of two layers together.
 */
#include "fuzz_given.h"

#include "fuzz_given_model.h"
#include "plan/dictionary.h"
#include "plan/given_file.h"
#include "plan/group_factors.h"
#include "shape/shape.h"

#include <math.h>
#include <string.h>

enum {
	DK = FUZZ_GIVEN_DK,
	DV = FUZZ_GIVEN_DV,
	LAYERS = FUZZ_GIVEN_LAYERS,
	HEADS = FUZZ_GROUP_HEADS,
	EACH_K = FUZZ_GROUP_K,
	EACH_V = FUZZ_GROUP_V,
	SHARE = 2, /* layers that have latents together, in files that say so */
	HEAD = CLKV__GIVEN_HEAD(CLKV__GROUP_WORDS),
	MOST_K =
		SHARE * HEADS * DK * EACH_K * DK, /* numbers of a factor of K of a layer, of full rank */
	MOST_V = SHARE * HEADS * DV * EACH_V * DV,
	MOST_BYTES = HEAD + 4 * LAYERS * 2 * (HEADS + MOST_K + MOST_V) + CLKV__GIVEN_CHECKSUM
};

static struct clkv__groups groups = {EACH_K, EACH_V, true, 1};
static const struct clkv__latents least = {1, 1};
static struct clkv__shape shape;

static void prepare(void)
{
	const clkv_geometry g = fuzz_group_geometry();
	clkv_error error = {.position = -1};
	fuzz_require(clkv__shape_read(&g, &shape, &error) == CLKV_OK, error.text);
}

/* What a file says, by no code that reads it. */
static struct matrices {
	int order_k[LAYERS * HEADS], order_v[LAYERS * HEADS];
	float k_down[LAYERS * MOST_K], k_up[LAYERS * MOST_K];
	float v_down[LAYERS * MOST_V], v_up[LAYERS * MOST_V];
	size_t rank_k, rank_v;
} m;

static const uint8_t *take_floats(const uint8_t *from, float *to, size_t n)
{
	for (size_t i = 0; i < n; i++, from += 4) {
		uint32_t bits = clkv__get32(from);
		memcpy(to + i, &bits, sizeof bits);
		fuzz_require(isfinite(to[i]) && fabsf(to[i]) <= 1e6f, "what is no number is accepted");
	}
	return from;
}

static const uint8_t *take_order(const uint8_t *from, int *to)
{
	unsigned seen = 0;
	for (size_t i = 0; i < HEADS; i++, from += 4) {
		uint32_t head = clkv__get32(from);
		fuzz_require(head < HEADS, "a head that there is not is accepted");
		to[i] = (int)head;
		seen |= 1u << head;
	}
	fuzz_require(seen == (1u << HEADS) - 1, "an order without some head is accepted");
	return from;
}

static void take(const uint8_t *file)
{
	const size_t share = (size_t)groups.share;
	const uint8_t *at = file + HEAD - (share == 1 ? 4 : 0);
	m.rank_k = clkv__get32(file + CLKV__GIVEN_MAGIC + 4 * CLKV__GROUP_RANK_K);
	m.rank_v = clkv__get32(file + CLKV__GIVEN_MAGIC + 4 * CLKV__GROUP_RANK_V);
	fuzz_require(m.rank_k >= share * EACH_K && m.rank_k <= share * EACH_K * DK &&
	                 m.rank_v >= share * EACH_V && m.rank_v <= share * EACH_V * DV,
	             "a rank that no group has is accepted");
	const size_t k = share * EACH_K * DK * m.rank_k, v = share * EACH_V * DV * m.rank_v;
	for (size_t l = 0; l < LAYERS / share; l++) {
		for (size_t i = l * share; i < (l + 1) * share; i++) {
			at = take_order(at, m.order_k + i * HEADS);
			at = take_order(at, m.order_v + i * HEADS);
		}
		for (size_t g = l * HEADS / EACH_K; g < (l + 1) * HEADS / EACH_K; g++) {
			at = take_floats(at, m.k_down + g * k, k);
			at = take_floats(at, m.k_up + g * k, k);
		}
		for (size_t g = l * HEADS / EACH_V; g < (l + 1) * HEADS / EACH_V; g++) {
			at = take_floats(at, m.v_down + g * v, v);
			at = take_floats(at, m.v_up + g * v, v);
		}
	}
}

static void require_at(const float *got, const float *want)
{
	fuzz_require(memcmp(got, want, sizeof *got) == 0, "a factor is unpacked as another");
}

/* Rank 1 of each head: channels of halves lie in pairs on the device. */
static void check_unpacking(const uint8_t *file)
{
	static float all[LAYERS * HEADS * SHARE * (2 * (EACH_K * DK + EACH_V * DV) + EACH_K + EACH_V)];
	const size_t share = (size_t)groups.share, each = share * EACH_K, others = share * EACH_V;
	const size_t of_head = 2 * (each * DK + others * DV) + each + others;
	clkv__group_factors_unpack(&shape, &least, &groups, file, all);
	for (size_t i = 0; i < LAYERS * HEADS; i++) {
		const float *at = all + i * of_head, *members = at + of_head - each - others;
		const size_t layer = i / HEADS, own = layer % share;
		const int *orders = m.order_k + (layer - own) * HEADS, *order = orders + own * HEADS;
		size_t place = 0;
		while (order[place] != (int)(i % HEADS))
			place++;
		const size_t group = layer / share * (HEADS / EACH_K) + place / EACH_K;
		const size_t first = place / EACH_K * EACH_K, slot = own * EACH_K + place % EACH_K;
		const float *down = m.k_down + group * each * DK * m.rank_k;
		for (size_t j = 0; j < each; j++) {
			const size_t other = j / EACH_K;
			const int head = orders[other * HEADS + first + j % EACH_K];
			fuzz_require(members[j] == (float)(((int)other - (int)own) * HEADS + head),
			             "a member is another");
			for (size_t c = 0; c < DK; c++)
				require_at(at + j * DK + c,
				           down + (j * DK + c / 2 + c % 2 * (DK / 2)) * m.rank_k + slot);
		}
	}
}

static void check_writing(const uint8_t *file, size_t n)
{
	static uint8_t bytes[MOST_BYTES];
	struct fuzz_written written = {bytes, sizeof bytes, 0};
	const clkv_geometry g = fuzz_group_geometry();
	clkv_factors f = CLKV_INIT(clkv_factors);
	clkv_error error = {.position = -1};
	f.rank_k = (int)m.rank_k, f.rank_v = (int)m.rank_v;
	f.k_down = m.k_down, f.k_up = m.k_up, f.v_down = m.v_down, f.v_up = m.v_up;
	f.heads_k = EACH_K, f.heads_v = EACH_V, f.before_rope = 1;
	f.share = groups.share;
	f.order_k = m.order_k, f.order_v = m.order_v;
	fuzz_require(clkv_factors_write(&g, FUZZ_FACTORS_MODEL, &f, fuzz_write, &written, &error) ==
	                 CLKV_OK,
	             error.text);
	fuzz_require(written.n == n && memcmp(written.bytes, file, n) == 0, "another file is written");
}

static void read_file(const uint8_t *file, size_t n)
{
	const bool layers = n >= HEAD && clkv__get32(file + CLKV__GIVEN_MAGIC) == 2;
	groups.share = layers ? SHARE : 1;
	const struct clkv__factors_use use = {.ranks = least, .latents = true, .groups = groups};
	clkv_error error = {.position = -1};
	clkv_status status = clkv__factors_use_check(&shape, &use, file, n, FUZZ_FACTORS_MODEL, &error);
	if (status != CLKV_OK) {
		fuzz_require(error.text[0] != 0, "a refusal without a reason");
		return;
	}
	take(file);
	check_unpacking(file);
	check_writing(file, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (shape.layers == 0)
		prepare();
	fuzz_given_file(data, size, read_file);
	return 0;
}
