/* SPDX-License-Identifier: MIT */
/** \file group_factors.c \brief Files of factors of groups: written, distrusted when read, brought to the device's order. */
#include "plan/group_factors.h"

#include "base/error.h"
#include "base/little_endian.h"
#include "plan/factors.h"
#include "plan/given_file.h"

#include <math.h>
#include <string.h>

enum { CHECKSUM = CLKV__GIVEN_CHECKSUM };

static const char *const word_names[CLKV__GROUP_WORDS] = {
	"version", "layers",  "kv_heads",    "head_dim_k", "head_dim_v", "rope.kind",
	"heads_k", "heads_v", "before_rope", "rank_k",     "rank_v",     "share",
};

/* Files of one layer's latents lack the word of how many there are. */
static int n_words(const struct clkv__groups *groups)
{
	return CLKV__GROUP_WORDS - (clkv__groups_layers(groups) == 1);
}

static size_t head_bytes(const struct clkv__groups *groups)
{
	return (size_t)CLKV__GIVEN_HEAD(n_words(groups));
}

/* Keys in front of RoPE are turned by what the geometry says of it, so that it must be known. */
static struct clkv__given_kind kind_of(const struct clkv__groups *groups)
{
	return (struct clkv__given_kind){
		.name = "the factors file",
		.made = "is for",
		.magic = CLKV__GROUP_FACTORS_MAGIC,
		.words = word_names,
		.n_words = n_words(groups),
		.unknown = groups->before ? -1 : CLKV__GROUP_ROPE,
	};
}

bool clkv__is_group_factors(const void *data, size_t size)
{
	return data && size >= CLKV__GIVEN_MAGIC &&
	       memcmp(data, CLKV__GROUP_FACTORS_MAGIC, CLKV__GIVEN_MAGIC) == 0;
}

/* A side of the layers that have latents together. */
struct side {
	char name;
	int dim, heads; /* channels of a head; heads of a group in each layer */
	int layers;
	int rank; /* of a group in the file */
	int kept; /* of a head on the device */
};

/* Heads of a group, of all its layers. */
static int heads_of(const struct side *s)
{
	return s->layers * s->heads;
}

/* Numbers of a group's row. */
static size_t width_of(const struct side *s)
{
	return (size_t)heads_of(s) * (size_t)s->dim;
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
	const int layers = clkv__groups_layers(groups);
	return v ? (struct side){'V', shape->dv, groups->v, layers, file->v, kept->v}
	         : (struct side){'K', shape->dk, groups->k, layers, file->k, kept->k};
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
	const int layers = clkv__groups_layers(groups);
	return 4 * heads *
	       (device_floats(s->dk, layers * groups->k, ranks->k) +
	        device_floats(s->dv, layers * groups->v, ranks->v));
}

/* Numbers of a layer in a file: those of a group of layers, evenly. */
static uint64_t layer_words(const struct clkv__shape *s, const struct clkv__latents *ranks)
{
	uint64_t k = (uint64_t)s->dk * (uint64_t)ranks->k, v = (uint64_t)s->dv * (uint64_t)ranks->v;
	return 2 * (uint64_t)s->streams * (1 + k + v);
}

uint64_t clkv__group_factors_bytes(const struct clkv__shape *s, const struct clkv__latents *ranks,
                                   const struct clkv__groups *groups)
{
	/* the heads of all groups are the model's */
	return head_bytes(groups) + 4 * (uint64_t)s->layers * layer_words(s, ranks) + CHECKSUM;
}

static void fill_words(const struct clkv__shape *shape, const struct clkv__latents *ranks,
                       const struct clkv__groups *groups, uint32_t words[CLKV__GROUP_WORDS])
{
	words[CLKV__GROUP_WORD_VERSION] =
		clkv__groups_layers(groups) == 1 ? CLKV__GROUP_FACTORS_VERSION : CLKV__GROUP_FACTORS_LAYERS;
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
	words[CLKV__GROUP_SHARE] = (uint32_t)clkv__groups_layers(groups);
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
	const int k = clkv__groups_layers(groups) * groups->k,
			  v = clkv__groups_layers(groups) * groups->v;
	return (struct clkv__latents){
		rank_of(file, CLKV__GROUP_RANK_K, k * least->k, k * s->dk),
		rank_of(file, CLKV__GROUP_RANK_V, v * least->v, v * s->dv),
	};
}

/* Layers that a file's latents are of together: before any other word, as files of several have one more. */
static clkv_status check_share(const struct clkv__groups *groups, const void *file, size_t size,
                               clkv_error *error)
{
	const unsigned char *words = (const unsigned char *)file + CLKV__GIVEN_MAGIC;
	uint32_t theirs = 1, ours = (uint32_t)clkv__groups_layers(groups);
	if (!clkv__is_group_factors(file, size) ||
	    size < (size_t)CLKV__GIVEN_HEAD(CLKV__GROUP_WORDS) + CHECKSUM)
		return CLKV_OK; /* the frame says what it lacks */
	if (clkv__get32(words) == CLKV__GROUP_FACTORS_LAYERS)
		theirs = clkv__get32(words + 4 * CLKV__GROUP_SHARE);
	if (theirs != ours)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "the factors file's latents are of %u layers together; allowed: the recipe's %u",
		          theirs, ours);
	return CLKV_OK;
}

static clkv_status check_rank(const struct side *s, clkv_error *error)
{
	if (s->rank < heads_of(s) * s->kept)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"the factors file's rank_%c is %d, and the recipe's is %d for each of a group's %d "
			"heads; allowed: the file's in all, or fewer",
			s->name - 'A' + 'a', s->rank, s->kept, heads_of(s));
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
	const int heads = shape->streams, layers = sides[0].layers;
	for (int l = 0; l < shape->layers; l += layers) {
		for (int i = 0; i < layers; i++, at += 8 * heads) {
			CLKV_TRY(check_order(at, heads, 'K', l + i, error));
			CLKV_TRY(check_order(at + 4 * heads, heads, 'V', l + i, error));
		}
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
	const int layers = clkv__groups_layers(groups);
	struct clkv__latents ranks = {layers * groups->k * least->k, layers * groups->v * least->v};
	CLKV_TRY(check_share(groups, file, size, error));
	if (file && size >= head_bytes(groups) + CHECKSUM)
		ranks = ranks_of(s, groups, least, file);
	fill_words(s, &ranks, groups, words);
	CLKV_TRY(clkv__given_check(&kind, words, file, size,
	                           clkv__group_factors_bytes(s, &ranks, groups), model, error));
	const struct side sides[2] = {side_of(s, groups, &ranks, least, false),
	                              side_of(s, groups, &ranks, least, true)};
	CLKV_TRY(check_rank(&sides[0], error));
	CLKV_TRY(check_rank(&sides[1], error));
	return check_layers(s, sides, (const unsigned char *)file + head_bytes(groups), error);
}

/* The channel at place c of the device's factors of K: latent_channel of cl/base/latents.clh. */
static int channel_at(const struct clkv__shape *shape, bool turned, int c)
{
	const clkv_rope *rope = &shape->rope;
	if (!turned || c >= rope->dims || rope->kind == CLKV_ROPE_PAIRS)
		return c;
	return c / 2 + c % 2 * (rope->dims / 2);
}

/* Where a head of one of the layers is in its side's orders, and the factors of its group. */
struct member {
	int first,
		slot;  /* place of the group's first head in each layer's order; the head's in its group */
	int layer; /* of those that have latents together */
	const unsigned char *order, *down, *up; /* order: the first layer's */
};

static struct member find_member(const struct side *s, const unsigned char *order, int streams,
                                 const unsigned char *factors, int layer, int head)
{
	int place = 0;
	while (clkv__get32(order + 4 * (2 * streams * layer + place)) != (uint32_t)head)
		place++;
	const int group = place / s->heads;
	const unsigned char *down = factors + 8 * factor_of(s) * (size_t)group;
	return (struct member){
		group * s->heads,       layer * s->heads + place % s->heads, layer, order, down,
		down + 4 * factor_of(s)};
}

/* A head's A: what makes its share of the group's latents of the rows of all. channels [dim]. */
static float *put_down(const struct side *s, const struct member *m, const int *channels, float *to)
{
	for (int j = 0; j < heads_of(s); j++)
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
	const int latents = heads_of(s) * s->kept;
	for (int c = 0; c < s->dim; c++)
		for (int r = 0; r < latents; r++) {
			size_t at = (size_t)r * width_of(s) + (size_t)(m->slot * s->dim + channels[c]);
			to[turned ? c * latents + r : r * s->dim + c] = clkv__get_float(m->up + 4 * at);
		}
	return to + s->dim * latents;
}

/* Heads of other layers are counted on from the head's own. */
static float *put_members(const struct side *s, const struct member *m, int streams, float *to)
{
	for (int j = 0; j < heads_of(s) && heads_of(s) > 1; j++) {
		const int layer = j / s->heads, at = 2 * streams * layer + m->first + j % s->heads;
		*to++ =
			(float)((layer - m->layer) * streams + (int)clkv__get32(m->order + (size_t)(4 * at)));
	}
	return to;
}

enum { MOST_DIM = 256 };

static float *unpack_head(const struct clkv__shape *shape, const struct side sides[2], bool turned,
                          const unsigned char *layers, int layer, int head, float *to)
{
	const int streams = shape->streams;
	const unsigned char *k_order = layers, *v_order = layers + 4 * streams;
	const unsigned char *k_factors = layers + 8 * streams * sides[0].layers;
	const unsigned char *v_factors =
		k_factors + 8 * factor_of(&sides[0]) * (size_t)(streams / sides[0].heads);
	const struct member k = find_member(&sides[0], k_order, streams, k_factors, layer, head);
	const struct member v = find_member(&sides[1], v_order, streams, v_factors, layer, head);
	int channels[2][MOST_DIM];
	for (int c = 0; c < MOST_DIM; c++) {
		channels[0][c] = channel_at(shape, turned, c);
		channels[1][c] = c;
	}
	to = put_down(&sides[0], &k, channels[0], to);
	to = put_up(&sides[0], &k, channels[0], true, to);
	to = put_down(&sides[1], &v, channels[1], to);
	to = put_up(&sides[1], &v, channels[1], false, to);
	return put_members(&sides[1], &v, streams, put_members(&sides[0], &k, streams, to));
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
		const int at = clkv__shape_layer(s, l), own = at % sides[0].layers;
		const unsigned char *from =
			(const unsigned char *)file + head_bytes(groups) + (size_t)(at - own) * layer;
		for (int h = 0; h < s->streams; h++)
			factors = unpack_head(s, sides, turned, from, own, h, factors);
	}
}

static unsigned char *put_order(unsigned char *to, const int *order, int layer, int heads)
{
	for (int i = 0; i < heads; i++, to += 4)
		clkv__put32(to, (uint32_t)(order ? order[layer * heads + i] : i));
	return to;
}

/* The groups of a side of layers that have latents together, which are number `at` of those. */
static unsigned char *put_groups(unsigned char *to, const struct side *s, int at, int groups,
                                 const float *down, const float *up)
{
	size_t n = factor_of(s);
	for (int i = at * groups; i < (at + 1) * groups; i++) {
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
	for (int l = 0; l < s->layers; l += k.layers) {
		for (int i = l; i < l + k.layers; i++) {
			to = put_order(to, f->order_k, i, s->streams);
			to = put_order(to, f->order_v, i, s->streams);
		}
		to = put_groups(to, &k, l / k.layers, s->streams / k.heads, f->k_down, f->k_up);
		to = put_groups(to, &v, l / k.layers, s->streams / v.heads, f->v_down, f->v_up);
	}
	clkv__given_end(file, to);
}
