/* SPDX-License-Identifier: MIT */
/** \file group_factors.c \brief Files of factors of groups: written, distrusted when read, brought to the device's order. */
#include "plan/group_factors.h"

#include "base/error.h"
#include "base/little_endian.h"
#include "plan/factors.h"
#include "plan/given_file.h"

#include <math.h>
#include <string.h>

enum { HEAD = CLKV__GIVEN_HEAD(CLKV__GROUP_WORDS), CHECKSUM = CLKV__GIVEN_CHECKSUM };

static const char *const word_names[CLKV__GROUP_WORDS] = {
	"version", "layers",  "kv_heads",    "head_dim_k", "head_dim_v", "rope.kind",
	"heads_k", "heads_v", "before_rope", "rank_k",     "rank_v",
};

/* Keys in front of RoPE are turned by what the geometry says of it, so that it must be known. */
static struct clkv__given_kind kind_of(const struct clkv__groups *groups)
{
	return (struct clkv__given_kind){
		.name = "the factors file",
		.made = "is for",
		.magic = CLKV__GROUP_FACTORS_MAGIC,
		.words = word_names,
		.n_words = CLKV__GROUP_WORDS,
		.unknown = groups->before ? -1 : CLKV__GROUP_ROPE,
	};
}

bool clkv__is_group_factors(const void *data, size_t size)
{
	return data && size >= CLKV__GIVEN_MAGIC &&
	       memcmp(data, CLKV__GROUP_FACTORS_MAGIC, CLKV__GIVEN_MAGIC) == 0;
}

/* A side of a layer. */
struct side {
	char name;
	int dim, heads; /* channels of a head; heads of a group */
	int rank;       /* of a group in the file */
	int kept;       /* of a head on the device */
};

/* Numbers of a group's row. */
static size_t width_of(const struct side *s)
{
	return (size_t)s->heads * (size_t)s->dim;
}

/* Numbers of either factor of a group in a file. */
static size_t factor_of(const struct side *s)
{
	return width_of(s) * (size_t)s->rank;
}

static struct side side_of(const struct clkv__shape *shape, const struct clkv__groups *groups,
                           const struct clkv__latents *file, const struct clkv__latents *kept,
                           bool v)
{
	return v ? (struct side){'V', shape->dv, groups->v, file->v, kept->v}
	         : (struct side){'K', shape->dk, groups->k, file->k, kept->k};
}

/* Numbers of a side of a head on the device: its two factors, and the group's heads if there are others. */
static uint64_t device_floats(int dim, int heads, int rank)
{
	uint64_t factor = (uint64_t)heads * (uint64_t)dim * (uint64_t)rank;
	return 2 * factor + (heads > 1 ? (uint64_t)heads : 0);
}

uint64_t clkv__group_factors_device_bytes(const struct clkv__shape *s,
                                          const struct clkv__latents *ranks,
                                          const struct clkv__groups *groups)
{
	uint64_t heads = (uint64_t)s->layers * (uint64_t)s->streams;
	return 4 * heads *
	       (device_floats(s->dk, groups->k, ranks->k) + device_floats(s->dv, groups->v, ranks->v));
}

/* Numbers of a layer in a file. */
static uint64_t layer_words(const struct clkv__shape *s, const struct clkv__latents *ranks)
{
	uint64_t k = (uint64_t)s->dk * (uint64_t)ranks->k, v = (uint64_t)s->dv * (uint64_t)ranks->v;
	return 2 * (uint64_t)s->streams * (1 + k + v);
}

uint64_t clkv__group_factors_bytes(const struct clkv__shape *s, const struct clkv__latents *ranks,
                                   const struct clkv__groups *groups)
{
	(void)groups; /* the heads of all groups are the model's */
	return HEAD + 4 * (uint64_t)s->layers * layer_words(s, ranks) + CHECKSUM;
}

static void fill_words(const struct clkv__shape *shape, const struct clkv__latents *ranks,
                       const struct clkv__groups *groups, uint32_t words[CLKV__GROUP_WORDS])
{
	words[CLKV__GROUP_WORD_VERSION] = CLKV__GROUP_FACTORS_VERSION;
	words[CLKV__GROUP_LAYERS] = (uint32_t)shape->layers;
	words[CLKV__GROUP_KV_HEADS] = (uint32_t)shape->streams;
	words[CLKV__GROUP_DIM_K] = (uint32_t)shape->dk;
	words[CLKV__GROUP_DIM_V] = (uint32_t)shape->dv;
	words[CLKV__GROUP_ROPE] = (uint32_t)shape->rope.kind;
	words[CLKV__GROUP_HEADS_K] = (uint32_t)groups->k;
	words[CLKV__GROUP_HEADS_V] = (uint32_t)groups->v;
	words[CLKV__GROUP_BEFORE] = groups->before;
	words[CLKV__GROUP_RANK_K] = (uint32_t)ranks->k;
	words[CLKV__GROUP_RANK_V] = (uint32_t)ranks->v;
}

/* A rank that a file says; where a group's row has fewer numbers, or it's 0, the least that is asked for, which then differs
 * from what the file says. */
static int rank_of(const void *file, enum clkv__group_factors_word word, int least, int width)
{
	uint32_t rank = clkv__get32((const unsigned char *)file + CLKV__GIVEN_MAGIC + 4 * (int)word);
	return rank >= 1 && rank <= (uint32_t)width ? (int)rank : least;
}

static struct clkv__latents ranks_of(const struct clkv__shape *s, const struct clkv__groups *groups,
                                     const struct clkv__latents *least, const void *file)
{
	return (struct clkv__latents){
		rank_of(file, CLKV__GROUP_RANK_K, groups->k * least->k, groups->k * s->dk),
		rank_of(file, CLKV__GROUP_RANK_V, groups->v * least->v, groups->v * s->dv),
	};
}

static clkv_status check_rank(const struct side *s, clkv_error *error)
{
	if (s->rank < s->heads * s->kept)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"the factors file's rank_%c is %d, and the recipe's is %d for each of a group's %d "
			"heads; allowed: the file's in all, or fewer",
			s->name - 'A' + 'a', s->rank, s->kept, s->heads);
	return CLKV_OK;
}

/* Each head once. */
static clkv_status check_order(const unsigned char *order, int heads, char side, int layer,
                               clkv_error *error)
{
	for (int i = 0; i < heads; i++) {
		int found = 0;
		for (int j = 0; j < heads; j++)
			found += clkv__get32(order + 4 * j) == (uint32_t)i;
		if (found != 1)
			CLKV_FAIL(
				error, CLKV_ERROR_CORRUPT,
				"the factors file's order of %c in layer %d has KV head %d %d times; allowed: "
				"each once",
				side, layer, i, found);
	}
	return CLKV_OK;
}

static clkv_status check_entries(const unsigned char *m, const struct side *s, int groups,
                                 int layer, clkv_error *error)
{
	size_t each = 2 * factor_of(s);
	for (size_t i = 0; i < (size_t)groups * each; i++) {
		float x = clkv__get_float(m + 4 * i);
		if (!(fabsf(x) <= CLKV__FACTORS_MOST))
			CLKV_FAIL(error, CLKV_ERROR_CORRUPT,
			          "the factors file's factors of %c, layer %d, group %d, have an entry of %g; "
			          "allowed: -1e6 to 1e6",
			          s->name, layer, (int)(i / each), (double)x);
	}
	return CLKV_OK;
}

static clkv_status check_layers(const struct clkv__shape *shape, const struct side sides[2],
                                const unsigned char *at, clkv_error *error)
{
	int heads = shape->streams;
	for (int l = 0; l < shape->layers; l++) {
		CLKV_TRY(check_order(at, heads, 'K', l, error));
		CLKV_TRY(check_order(at + 4 * heads, heads, 'V', l, error));
		at += 8 * heads;
		for (int i = 0; i < 2; i++) {
			const struct side *s = &sides[i];
			CLKV_TRY(check_entries(at, s, heads / s->heads, l, error));
			at += 8 * factor_of(s) * (size_t)(heads / s->heads);
		}
	}
	return CLKV_OK;
}

clkv_status clkv__group_factors_check(const struct clkv__shape *s,
                                      const struct clkv__latents *least,
                                      const struct clkv__groups *groups, const void *file,
                                      size_t size, uint64_t model, clkv_error *error)
{
	const struct clkv__given_kind kind = kind_of(groups);
	uint32_t words[CLKV__GROUP_WORDS];
	struct clkv__latents ranks = {groups->k * least->k, groups->v * least->v};
	if (size >= HEAD + CHECKSUM)
		ranks = ranks_of(s, groups, least, file);
	fill_words(s, &ranks, groups, words);
	CLKV_TRY(clkv__given_check(&kind, words, file, size,
	                           clkv__group_factors_bytes(s, &ranks, groups), model, error));
	const struct side sides[2] = {side_of(s, groups, &ranks, least, false),
	                              side_of(s, groups, &ranks, least, true)};
	CLKV_TRY(check_rank(&sides[0], error));
	CLKV_TRY(check_rank(&sides[1], error));
	return check_layers(s, sides, (const unsigned char *)file + HEAD, error);
}

/* The channel at place c of the device's factors of K: latent_channel of cl/base/latents.clh. */
static int channel_at(const struct clkv__shape *shape, bool turned, int c)
{
	const clkv_rope *rope = &shape->rope;
	if (!turned || c >= rope->dims || rope->kind == CLKV_ROPE_PAIRS)
		return c;
	return c / 2 + c % 2 * (rope->dims / 2);
}

/* Where a head is in its side's order, and the factors of its group. */
struct member {
	int first, slot; /* place of the group's first head in the order; the head's in its group */
	const unsigned char *order, *down, *up;
};

static struct member find_member(const struct side *s, const unsigned char *order,
                                 const unsigned char *factors, int head)
{
	int place = 0;
	while (clkv__get32(order + 4 * place) != (uint32_t)head)
		place++;
	const int group = place / s->heads;
	const unsigned char *down = factors + 8 * factor_of(s) * (size_t)group;
	return (struct member){group * s->heads, place % s->heads, order, down,
	                       down + 4 * factor_of(s)};
}

/* A head's A: what makes its share of the group's latents of the rows of all. channels [dim]. */
static float *put_down(const struct side *s, const struct member *m, const int *channels, float *to)
{
	for (int j = 0; j < s->heads; j++)
		for (int c = 0; c < s->dim; c++)
			for (int r = 0; r < s->kept; r++) {
				size_t row = (size_t)(j * s->dim + channels[c]);
				size_t at = row * (size_t)s->rank + (size_t)(m->slot * s->kept + r);
				*to++ = clkv__get_float(m->down + 4 * at);
			}
	return to;
}

/* Its B: its channels of the rows of all latents that are kept. turned: channel by channel. */
static float *put_up(const struct side *s, const struct member *m, const int *channels, bool turned,
                     float *to)
{
	const int latents = s->heads * s->kept;
	for (int c = 0; c < s->dim; c++)
		for (int r = 0; r < latents; r++) {
			size_t at = (size_t)r * width_of(s) + (size_t)(m->slot * s->dim + channels[c]);
			to[turned ? c * latents + r : r * s->dim + c] = clkv__get_float(m->up + 4 * at);
		}
	return to + s->dim * latents;
}

static float *put_members(const struct side *s, const struct member *m, float *to)
{
	for (int j = 0; j < s->heads && s->heads > 1; j++)
		*to++ = (float)clkv__get32(m->order + 4 * (m->first + j));
	return to;
}

enum { MOST_DIM = 256 };

static float *unpack_head(const struct clkv__shape *shape, const struct side sides[2], bool turned,
                          const unsigned char *layer, int head, float *to)
{
	const unsigned char *k_order = layer, *v_order = layer + 4 * shape->streams;
	const unsigned char *k_factors = layer + 8 * shape->streams;
	const unsigned char *v_factors =
		k_factors + 8 * factor_of(&sides[0]) * (size_t)(shape->streams / sides[0].heads);
	const struct member k = find_member(&sides[0], k_order, k_factors, head);
	const struct member v = find_member(&sides[1], v_order, v_factors, head);
	int channels[2][MOST_DIM];
	for (int c = 0; c < MOST_DIM; c++) {
		channels[0][c] = channel_at(shape, turned, c);
		channels[1][c] = c;
	}
	to = put_down(&sides[0], &k, channels[0], to);
	to = put_up(&sides[0], &k, channels[0], true, to);
	to = put_down(&sides[1], &v, channels[1], to);
	to = put_up(&sides[1], &v, channels[1], false, to);
	return put_members(&sides[1], &v, put_members(&sides[0], &k, to));
}

void clkv__group_factors_unpack(const struct clkv__shape *s, const struct clkv__latents *ranks,
                                const struct clkv__groups *groups, const void *file, float *factors)
{
	const struct clkv__latents of_file = ranks_of(s, groups, ranks, file);
	const struct side sides[2] = {side_of(s, groups, &of_file, ranks, false),
	                              side_of(s, groups, &of_file, ranks, true)};
	const bool turned = clkv__groups_turn(groups, s);
	const size_t layer = (size_t)layer_words(s, &of_file) * 4;
	for (int l = 0; l < s->layers; l++) {
		const unsigned char *from =
			(const unsigned char *)file + HEAD + (size_t)clkv__shape_layer(s, l) * layer;
		for (int h = 0; h < s->streams; h++)
			factors = unpack_head(s, sides, turned, from, h, factors);
	}
}

static unsigned char *put_order(unsigned char *to, const int *order, int layer, int heads)
{
	for (int i = 0; i < heads; i++, to += 4)
		clkv__put32(to, (uint32_t)(order ? order[layer * heads + i] : i));
	return to;
}

/* The groups of a side of a layer. */
static unsigned char *put_groups(unsigned char *to, const struct side *s, int layer, int groups,
                                 const float *down, const float *up)
{
	size_t n = factor_of(s);
	for (int i = layer * groups; i < (layer + 1) * groups; i++) {
		to = clkv__put_floats(to, down + (size_t)i * n, n);
		to = clkv__put_floats(to, up + (size_t)i * n, n);
	}
	return to;
}

void clkv__group_factors_pack(const struct clkv__shape *s, const struct clkv__latents *ranks,
                              const struct clkv__groups *groups, const clkv_factors *f,
                              uint64_t model, void *file)
{
	const struct clkv__given_kind kind = kind_of(groups);
	const struct side k = side_of(s, groups, ranks, ranks, false),
					  v = side_of(s, groups, ranks, ranks, true);
	uint32_t words[CLKV__GROUP_WORDS];
	fill_words(s, ranks, groups, words);
	unsigned char *to = clkv__given_begin(&kind, words, model, file);
	for (int l = 0; l < s->layers; l++) {
		to = put_order(to, f->order_k, l, s->streams);
		to = put_order(to, f->order_v, l, s->streams);
		to = put_groups(to, &k, l, s->streams / k.heads, f->k_down, f->k_up);
		to = put_groups(to, &v, l, s->streams / v.heads, f->v_down, f->v_up);
	}
	clkv__given_end(file, to);
}
