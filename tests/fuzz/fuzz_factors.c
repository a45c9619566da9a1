/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_factors.c
 * \brief   Any bytes as a file of factors: refused with an error, or numbers of bounded size, unpacked, and written again to the
 *          same bytes.
 *
 * An odd first byte: the checksum, the last 8 bytes, is made right.
 */
#include "fuzz_given.h"

#include "fuzz_given_model.h"
#include "plan/dictionary.h"
#include "plan/factors.h"
#include "plan/given_file.h"
#include "shape/shape.h"

#include <math.h>
#include <string.h>

enum {
	DK = FUZZ_GIVEN_DK,
	DV = FUZZ_GIVEN_DV,
	LAYERS = FUZZ_GIVEN_LAYERS,
	HEAD = CLKV__GIVEN_HEAD(CLKV__FACTORS_WORDS),
	RANK = 40,                   /* files of larger ones are checked alone */
	MOST = 2 * (DK + DV) * RANK, /* numbers of a layer, which has one KV head */
	MOST_BYTES = HEAD + 4 * LAYERS * MOST + CLKV__GIVEN_CHECKSUM
};

/* What a recipe of the lowest ranks asks for. */
static const struct clkv__latents least = {1, 1};
static struct clkv__shape shape;

static void prepare(void)
{
	const clkv_geometry g = fuzz_given_geometry();
	clkv_error error = {.position = -1};
	fuzz_require(clkv__shape_read(&g, &shape, &error) == CLKV_OK, error.text);
}

/* What a file says, by no code that reads it. */
struct matrices {
	size_t rank_k, rank_v;
	float k_down[LAYERS * DK * RANK], k_up[LAYERS * DK * RANK];
	float v_down[LAYERS * DV * RANK], v_up[LAYERS * DV * RANK];
};

static const uint8_t *take_floats(const uint8_t *from, float *to, size_t n)
{
	for (size_t i = 0; i < n; i++, from += 4) {
		uint32_t bits = clkv__get32(from);
		memcpy(to + i, &bits, sizeof bits);
		fuzz_require(isfinite(to[i]) && fabsf(to[i]) <= 1e6f, "what is no number is accepted");
	}
	return from;
}

/* False: the ranks are too large to look at. */
static bool take(const uint8_t *file, struct matrices *m)
{
	const uint8_t *at = file + HEAD;
	m->rank_k = clkv__get32(file + CLKV__GIVEN_MAGIC + 4 * CLKV__FACTORS_RANK_K);
	m->rank_v = clkv__get32(file + CLKV__GIVEN_MAGIC + 4 * CLKV__FACTORS_RANK_V);
	fuzz_require(m->rank_k >= 1 && m->rank_k <= 65536 && m->rank_v >= 1 && m->rank_v <= 65536,
	             "a rank that no file has is accepted");
	if (m->rank_k > RANK || m->rank_v > RANK)
		return false;
	for (size_t l = 0; l < LAYERS; l++) {
		const size_t k = DK * m->rank_k, v = DV * m->rank_v;
		at = take_floats(at, m->k_down + l * k, k);
		at = take_floats(at, m->k_up + l * k, k);
		at = take_floats(at, m->v_down + l * v, v);
		at = take_floats(at, m->v_up + l * v, v);
	}
	return true;
}

/* One number of the device's, by its place in the file's matrices. */
static void require_at(const float *got, const float *want)
{
	fuzz_require(memcmp(got, want, sizeof *got) == 0, "a factor is unpacked as another");
}

/* A layer at ranks k and v: K's B turned over, the others as they are, the first columns and rows of each. */
static void require_unpacked(const float *at, const struct matrices *m, size_t layer, size_t k,
                             size_t v)
{
	const size_t ak = layer * DK * m->rank_k, av = layer * DV * m->rank_v;
	for (size_t r = 0; r < k; r++)
		for (size_t c = 0; c < DK; c++) {
			require_at(at + c * k + r, m->k_down + ak + c * m->rank_k + r);
			require_at(at + k * DK + c * k + r, m->k_up + ak + r * DK + c);
		}
	at += 2 * k * DK;
	for (size_t r = 0; r < v; r++)
		for (size_t c = 0; c < DV; c++) {
			require_at(at + c * v + r, m->v_down + av + c * m->rank_v + r);
			require_at(at + v * DV + r * DV + c, m->v_up + av + r * DV + c);
		}
}

/* At the file's ranks and at lower ones; by a band that has the last layer alone. */
static void check_unpacking(const uint8_t *file, const struct matrices *m)
{
	static float all[LAYERS * MOST];
	const struct clkv__banding bands = {.layers = LAYERS, .n = 2, .of = {[LAYERS - 1] = 1}};
	const struct clkv__latents ranks[] = {{(int)m->rank_k, (int)m->rank_v},
	                                      {(int)(m->rank_k + 1) / 2, 1}};
	struct clkv__shape band = shape;
	band.layers = 1;
	band.bands = &bands;
	band.band = 1;
	for (size_t i = 0; i < 2; i++) {
		const size_t k = (size_t)ranks[i].k, v = (size_t)ranks[i].v;
		clkv__factors_unpack(&shape, &ranks[i], file, all);
		for (size_t l = 0; l < LAYERS; l++)
			require_unpacked(all + l * 2 * (DK * k + DV * v), m, l, k, v);
		clkv__factors_unpack(&band, &ranks[i], file, all);
		require_unpacked(all, m, LAYERS - 1, k, v);
	}
}

/* Whoever writes the same factors makes the same file. The kind of RoPE may be missing in it. */
static void check_writing(const uint8_t *file, size_t n, const struct matrices *m)
{
	static uint8_t bytes[MOST_BYTES];
	struct fuzz_written written = {bytes, sizeof bytes, 0};
	const clkv_geometry g = fuzz_given_geometry();
	clkv_factors f = CLKV_INIT(clkv_factors);
	clkv_error error = {.position = -1};
	f.rank_k = (int)m->rank_k, f.rank_v = (int)m->rank_v;
	f.k_down = m->k_down, f.k_up = m->k_up, f.v_down = m->v_down, f.v_up = m->v_up;
	fuzz_require(clkv_factors_write(&g, FUZZ_FACTORS_MODEL, &f, fuzz_write, &written, &error) ==
	                 CLKV_OK,
	             "what is accepted can't be written");
	fuzz_require(written.n == n, "a file of another length is written");
	size_t rope = CLKV__GIVEN_MAGIC + 4 * CLKV__FACTORS_ROPE;
	bool said = clkv__get32(file + rope) != 0;
	fuzz_require(memcmp(written.bytes, file, said ? n : rope) == 0,
	             "what is written isn't what was read");
	fuzz_require(memcmp(written.bytes + HEAD, file + HEAD, n - HEAD - CLKV__GIVEN_CHECKSUM) == 0,
	             "other factors are written");
}

/* Factors of latents are of a rank that heads have; as atoms each row and its column have the product 1. */
static void check_uses(const uint8_t *file, size_t n)
{
	const struct clkv__factors_use latents = {.ranks = least, .latents = true},
								   atoms = {.ranks = least, .chunks = {2, 2}};
	const struct clkv__latents ranks = clkv__factors_ranks(file);
	clkv_error error = {.position = -1};
	const bool fits = ranks.k <= DK && ranks.v <= DV;
	fuzz_require((clkv__factors_use_check(&shape, &latents, file, n, FUZZ_FACTORS_MODEL, &error) ==
	              CLKV_OK) == fits,
	             "latents of other ranks than heads have");
	clkv__factors_use_check(&shape, &atoms, file, n, FUZZ_FACTORS_MODEL, &error);
	fuzz_require(error.status == CLKV_OK || strlen(error.text) > 10, "refused without a sentence");
}

static void read_factors(const uint8_t *file, size_t n)
{
	static struct matrices m;
	clkv_error error = {.position = -1};
	clkv_status status = clkv__factors_check(&shape, &least, file, n, FUZZ_FACTORS_MODEL, &error);
	fuzz_require(error.status == status, "error and status differ");
	fuzz_require(status == CLKV_OK || strlen(error.text) > 10, "refused without a sentence");
	if (status != CLKV_OK)
		return;
	check_uses(file, n);
	if (!take(file, &m))
		return;
	fuzz_require(n <= MOST_BYTES, "more than a file is accepted");
	check_unpacking(file, &m);
	check_writing(file, n, &m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (shape.layers == 0)
		prepare();
	fuzz_given_file(data, size, read_factors);
	return 0;
}
