/* SPDX-License-Identifier: MIT */
/** \file factors.c \brief Files of factors: written, distrusted when read, brought to the device's order. */
#include "plan/factors.h"

#include "base/error.h"
#include "base/little_endian.h"
#include "plan/given_file.h"

#include <math.h>

enum { HEAD = CLKV__GIVEN_HEAD(CLKV__FACTORS_WORDS), CHECKSUM = CLKV__GIVEN_CHECKSUM };

static const char *const word_names[CLKV__FACTORS_WORDS] = {
	"version", "layers", "kv_heads", "head_dim_k", "head_dim_v", "rope.kind", "rank_k", "rank_v",
};

static const struct clkv__given_kind factors_kind = {
	.name = "the factors file",
	.made = "is for",
	.magic = CLKV__FACTORS_MAGIC,
	.words = word_names,
	.n_words = CLKV__FACTORS_WORDS,
	.unknown = CLKV__FACTORS_ROPE,
};

/* Numbers of one head, all four matrices. */
static uint64_t n_entries(const struct clkv__shape *s, const struct clkv__latents *ranks)
{
	return 2 * ((uint64_t)s->dk * (uint64_t)ranks->k + (uint64_t)s->dv * (uint64_t)ranks->v);
}

uint64_t clkv__factors_device_bytes(const struct clkv__shape *shape,
                                    const struct clkv__latents *ranks)
{
	return (uint64_t)shape->layers * (uint64_t)shape->streams * n_entries(shape, ranks) * 4;
}

uint64_t clkv__factors_bytes(const struct clkv__shape *shape, const struct clkv__latents *ranks)
{
	return HEAD + clkv__factors_device_bytes(shape, ranks) + CHECKSUM;
}

static void fill_words(const struct clkv__shape *shape, const struct clkv__latents *ranks,
                       uint32_t words[CLKV__FACTORS_WORDS])
{
	words[CLKV__FACTORS_WORD_VERSION] = CLKV__FACTORS_VERSION;
	words[CLKV__FACTORS_LAYERS] = (uint32_t)shape->layers;
	words[CLKV__FACTORS_KV_HEADS] = (uint32_t)shape->streams;
	words[CLKV__FACTORS_DIM_K] = (uint32_t)shape->dk;
	words[CLKV__FACTORS_DIM_V] = (uint32_t)shape->dv;
	words[CLKV__FACTORS_ROPE] = (uint32_t)shape->rope.kind;
	words[CLKV__FACTORS_RANK_K] = (uint32_t)ranks->k;
	words[CLKV__FACTORS_RANK_V] = (uint32_t)ranks->v;
}

static uint32_t word_of(const void *file, enum clkv__factors_word word)
{
	return clkv__get32((const unsigned char *)file + CLKV__GIVEN_MAGIC + 4 * (int)word);
}

/* A rank that a file says; where no file has so many, or it's 0, the least that is asked for, which then differs from
 * what the file says. */
static int rank_of(const void *file, enum clkv__factors_word word, int least)
{
	uint32_t rank = word_of(file, word);
	return rank >= 1 && rank <= CLKV__FACTORS_RANK ? (int)rank : least;
}

static struct clkv__latents ranks_of(const void *file, const struct clkv__latents *least)
{
	return (struct clkv__latents){
		rank_of(file, CLKV__FACTORS_RANK_K, least->k),
		rank_of(file, CLKV__FACTORS_RANK_V, least->v),
	};
}

struct clkv__latents clkv__factors_ranks(const void *file)
{
	const struct clkv__latents none = {0, 0};
	return ranks_of(file, &none);
}

const unsigned char *clkv__factors_first(const void *file)
{
	return (const unsigned char *)file + HEAD;
}

static clkv_status check_rank(const char *side, int rank, int least, clkv_error *error)
{
	if (rank < least)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"the factors file's rank_%s is %d, and the recipe's is %d; allowed: the file's, or "
			"a lower one",
			side, rank, least);
	return CLKV_OK;
}

/* n entries of a side of a head. */
static clkv_status check_entries(const unsigned char *m, size_t n, const char *side, size_t head,
                                 int streams, clkv_error *error)
{
	for (size_t i = 0; i < n; i++)
		if (!(fabsf(clkv__get_float(m + 4 * i)) <= CLKV__FACTORS_MOST))
			CLKV_FAIL(
				error, CLKV_ERROR_CORRUPT,
				"the factors file's factors of %s, layer %d, KV head %d, have an entry of %g; "
				"allowed: -1e6 to 1e6",
				side, (int)head / streams, (int)head % streams, (double)clkv__get_float(m + 4 * i));
	return CLKV_OK;
}

static clkv_status check_factors(const struct clkv__shape *s, const struct clkv__latents *ranks,
                                 const unsigned char *at, clkv_error *error)
{
	size_t k = (size_t)(2 * s->dk * ranks->k), v = (size_t)(2 * s->dv * ranks->v);
	for (size_t h = 0; h < (size_t)(s->layers * s->streams); h++, at += 4 * (k + v)) {
		CLKV_TRY(check_entries(at, k, "K", h, s->streams, error));
		CLKV_TRY(check_entries(at + 4 * k, v, "V", h, s->streams, error));
	}
	return CLKV_OK;
}

clkv_status clkv__factors_check(const struct clkv__shape *s, const struct clkv__latents *least,
                                const void *file, size_t size, uint64_t model, clkv_error *error)
{
	uint32_t words[CLKV__FACTORS_WORDS];
	struct clkv__latents ranks = *least;
	if (!file)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"cache options: factors is NULL, but the recipe has lowrank, lorc, recalkv, clla, cskv "
			"or csr; allowed: a file "
			"of its factors");
	if (size >= HEAD + CHECKSUM)
		ranks = ranks_of(file, least);
	fill_words(s, &ranks, words);
	CLKV_TRY(clkv__given_check(&factors_kind, words, file, size, clkv__factors_bytes(s, &ranks),
	                           model, error));
	CLKV_TRY(check_rank("k", ranks.k, least->k, error));
	CLKV_TRY(check_rank("v", ranks.v, least->v, error));
	return check_factors(s, &ranks, (const unsigned char *)file + HEAD, error);
}

/* A matrix in a file, by its place; its element (i, j) is at i * stride + j. */
struct matrix {
	const unsigned char *at;
	int stride;
};

static float *copy(struct matrix m, int rows, int cols, float *to)
{
	for (int i = 0; i < rows; i++)
		for (int j = 0; j < cols; j++)
			*to++ = clkv__get_float(m.at + 4 * (i * m.stride + j));
	return to;
}

static float *copy_turned(struct matrix m, int rows, int cols, float *to)
{
	for (int j = 0; j < cols; j++)
		for (int i = 0; i < rows; i++)
			*to++ = clkv__get_float(m.at + 4 * (i * m.stride + j));
	return to;
}

/* One head's: K's B is turned over. */
static float *unpack_head(const struct clkv__shape *s, const struct clkv__latents *of_file,
                          const struct clkv__latents *ranks, const unsigned char *from, float *to)
{
	const struct matrix k_down = {from, of_file->k};
	const struct matrix k_up = {k_down.at + 4 * s->dk * of_file->k, s->dk};
	const struct matrix v_down = {k_up.at + 4 * s->dk * of_file->k, of_file->v};
	const struct matrix v_up = {v_down.at + 4 * s->dv * of_file->v, s->dv};
	to = copy(k_down, s->dk, ranks->k, to);
	to = copy_turned(k_up, ranks->k, s->dk, to);
	to = copy(v_down, s->dv, ranks->v, to);
	return copy(v_up, ranks->v, s->dv, to);
}

void clkv__factors_unpack(const struct clkv__shape *s, const struct clkv__latents *ranks,
                          const void *file, float *factors)
{
	const struct clkv__latents of_file = ranks_of(file, ranks);
	const size_t head = (size_t)n_entries(s, &of_file) * 4;
	for (int l = 0; l < s->layers; l++) {
		const unsigned char *from = (const unsigned char *)file + HEAD;
		from += (size_t)clkv__shape_layer(s, l) * (size_t)s->streams * head;
		for (int h = 0; h < s->streams; h++, from += head)
			factors = unpack_head(s, &of_file, ranks, from, factors);
	}
}

void clkv__factors_pack(const struct clkv__shape *s, const struct clkv__latents *ranks,
                        const clkv_factors *f, uint64_t model, void *file)
{
	size_t k = (size_t)(s->dk * ranks->k), v = (size_t)(s->dv * ranks->v);
	uint32_t words[CLKV__FACTORS_WORDS];
	fill_words(s, ranks, words);
	unsigned char *to = clkv__given_begin(&factors_kind, words, model, file);
	for (size_t h = 0; h < (size_t)(s->layers * s->streams); h++) {
		to = clkv__put_floats(to, f->k_down + h * k, k);
		to = clkv__put_floats(to, f->k_up + h * k, k);
		to = clkv__put_floats(to, f->v_down + h * v, v);
		to = clkv__put_floats(to, f->v_up + h * v, v);
	}
	clkv__given_end(file, to);
}
