/* SPDX-License-Identifier: MIT */
/** \file projection.c \brief The rows of projections; a new kind is a row here. Files of matrices, distrusted when read. */
#include "plan/projection.h"

#include "base/error.h"
#include "base/little_endian.h"
#include "plan/factors.h"
#include "plan/given_file.h"
#include "plan/group_factors.h"

#include <math.h>

enum { HEAD = CLKV__GIVEN_HEAD(CLKV__ROTATION_WORDS), CHECKSUM = CLKV__GIVEN_CHECKSUM };

static const struct {
	const char *name;
	enum clkv__given given;
} kinds[] = {
	[ABI_PROJECT_NONE] = {"none", CLKV__GIVEN_NOTHING},
	[ABI_PROJECT_HADAMARD] = {"hadamard", CLKV__GIVEN_NOTHING},
	[ABI_PROJECT_MATRIX] = {"file", CLKV__GIVEN_ROTATION},
	[ABI_PROJECT_STEPS] = {"steps", CLKV__GIVEN_CALIBRATION},
	[ABI_PROJECT_LATENTS] = {"latents", CLKV__GIVEN_FACTORS},
	[ABI_PROJECT_ATOMS] = {"atoms", CLKV__GIVEN_FACTORS},
};

static const char *const word_names[CLKV__ROTATION_WORDS] = {
	"version", "layers", "kv_heads", "head_dim_k", "head_dim_v", "rope.kind",
};

static const struct clkv__given_kind rotation_kind = {
	.name = "the rotation file",
	.made = "is for",
	.magic = CLKV__ROTATION_MAGIC,
	.words = word_names,
	.n_words = CLKV__ROTATION_WORDS,
	.unknown = CLKV__ROTATION_ROPE,
};

const char *clkv__projection_name(int kind)
{
	return kinds[kind].name;
}

clkv_status clkv__projection_set(struct clkv__variant *variant, int kind, const char *stage,
                                 clkv_error *error)
{
	if (variant->project != ABI_PROJECT_NONE)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage '%s' turns rows (%s) that lowrank, lorc or recalkv has made latents of; "
		          "allowed behind them: kivi, q with rot=none, or nothing",
		          stage, clkv__projection_name(kind));
	variant->project = kind;
	return CLKV_OK;
}

/* Where latents are of other rows than a head's own as they lie. */
static void group_macros(const struct clkv__groups *groups, const struct clkv__shape *shape,
                         clkv__macros *m)
{
	if (clkv__groups_own(groups))
		return;
	clkv__macros_int(m, "KEY_HEADS", groups->k * clkv__groups_layers(groups));
	clkv__macros_int(m, "VALUE_HEADS", groups->v * clkv__groups_layers(groups));
	clkv__macros_int(m, "EXPANDS", clkv__groups_expand(groups));
	clkv__macros_int(m, "LATENTS_TURN", clkv__groups_turn(groups, shape));
}

void clkv__projection_macros(const struct clkv__variant *variant, const struct clkv__shape *shape,
                             clkv__macros *m)
{
	bool latents = variant->project == ABI_PROJECT_LATENTS;
	bool stays = latents || variant->project == ABI_PROJECT_ATOMS; /* rows themselves do */
	int kind = stays ? ABI_PROJECT_NONE : variant->project;
	clkv__macros_int(m, "PROJECT_K", kind);
	clkv__macros_int(m, "PROJECT_V", kind);
	if (!latents)
		return;
	clkv__macros_int(m, "LATENTS", 1);
	clkv__macros_int(m, "RANK_K", variant->latents.k);
	clkv__macros_int(m, "RANK_V", variant->latents.v);
	group_macros(&variant->groups, shape, m);
}

static const struct {
	const char *name, *asked;
} givens[CLKV__GIVENS] = {
	[CLKV__GIVEN_NOTHING] = {"none", "none"},
	[CLKV__GIVEN_ROTATION] = {"rotation", "rot=file"},
	[CLKV__GIVEN_CALIBRATION] = {"calibration", "qtc"},
	[CLKV__GIVEN_FACTORS] = {"factors", "lowrank, lorc, recalkv, clla, cskv or csr"},
};

const char *clkv__given_name(enum clkv__given given)
{
	return givens[given].name;
}

const char *clkv__given_asked(enum clkv__given given)
{
	return givens[given].asked;
}

enum clkv__given clkv__projection_given(const struct clkv__plan *plan)
{
	return kinds[plan->sealing.project].given;
}

/* Entries of a head's two matrices. */
static uint64_t n_entries(const struct clkv__shape *shape)
{
	uint64_t dk = (uint64_t)shape->dk, dv = (uint64_t)shape->dv;
	return dk * dk + dv * dv;
}

uint64_t clkv__projection_bytes(const struct clkv__plan *plan, const struct clkv__shape *shape)
{
	uint64_t heads = (uint64_t)shape->layers * (uint64_t)shape->streams;
	switch (clkv__projection_given(plan)) {
	case CLKV__GIVEN_ROTATION:
		return heads * n_entries(shape) * 4;
	case CLKV__GIVEN_CALIBRATION:
		return heads * (uint64_t)(shape->dk + shape->dv) * 4;
	case CLKV__GIVEN_FACTORS:
		if (!clkv__groups_own(&plan->sealing.groups))
			return clkv__group_factors_device_bytes(shape, &plan->sealing.latents,
			                                        &plan->sealing.groups);
		return clkv__factors_device_bytes(shape, &plan->sealing.latents);
	default:
		return 0;
	}
}

uint64_t clkv__rotation_bytes(const struct clkv__shape *shape)
{
	uint64_t heads = (uint64_t)shape->layers * (uint64_t)shape->streams;
	return HEAD + heads * n_entries(shape) * 4 + CHECKSUM;
}

static void fill_words(const struct clkv__shape *shape, uint32_t words[CLKV__ROTATION_WORDS])
{
	words[CLKV__ROTATION_WORD_VERSION] = CLKV__ROTATION_VERSION;
	words[CLKV__ROTATION_LAYERS] = (uint32_t)shape->layers;
	words[CLKV__ROTATION_KV_HEADS] = (uint32_t)shape->streams;
	words[CLKV__ROTATION_DIM_K] = (uint32_t)shape->dk;
	words[CLKV__ROTATION_DIM_V] = (uint32_t)shape->dv;
	words[CLKV__ROTATION_ROPE] = (uint32_t)shape->rope.kind;
}

/* Rows of a matrix that are looked at together; head sizes are multiples of it. */
enum { BAND = 16, MOST_DIM = 256 };

static void get_rows(const unsigned char *m, int dim, int first, int n, float (*rows)[MOST_DIM])
{
	for (int i = 0; i < n; i++)
		for (int c = 0; c < dim; c++)
			rows[i][c] = clkv__get_float(m + 4 * ((first + i) * dim + c));
}

static double product(const float *a, const float *b, int dim)
{
	double sum = 0;
	for (int c = 0; c < dim; c++)
		sum += (double)a[c] * (double)b[c];
	return sum;
}

/* The largest magnitude in R R^T - 1. m: the bytes in the file of R [dim][dim], all finite: no sum of their products leaves
 * the range of double. */
static double defect(const unsigned char *m, int dim)
{
	float band[BAND][MOST_DIM], other[1][MOST_DIM];
	double worst = 0;
	for (int first = 0; first < dim; first += BAND) {
		get_rows(m, dim, first, BAND, band);
		for (int j = 0; j < first + BAND; j++) {
			get_rows(m, dim, j, 1, other);
			for (int i = 0; i < BAND; i++) {
				double off = fabs(product(band[i], other[0], dim) - (first + i == j));
				worst = off > worst ? off : worst;
			}
		}
	}
	return worst;
}

static clkv_status check_matrix(const unsigned char *m, int dim, const char *side, int layer,
                                int head, clkv_error *error)
{
	for (int i = 0; i < dim * dim; i++)
		if (!isfinite(clkv__get_float(m + 4 * i)))
			CLKV_FAIL(error, CLKV_ERROR_CORRUPT,
			          "the rotation file's matrix of %s, layer %d, KV head %d, has an entry that "
			          "isn't finite",
			          side, layer, head);
	double off = defect(m, dim);
	if (off > CLKV__ROTATION_SLACK)
		CLKV_FAIL(error, CLKV_ERROR_CORRUPT,
		          "the rotation file's matrix of %s, layer %d, KV head %d, isn't orthogonal: R R^T "
		          "differs from the identity by %.3g; allowed: %.3g",
		          side, layer, head, off, CLKV__ROTATION_SLACK);
	return CLKV_OK;
}

static clkv_status check_matrices(const struct clkv__shape *shape, const unsigned char *at,
                                  clkv_error *error)
{
	size_t k = 4 * (size_t)(shape->dk * shape->dk), v = 4 * (size_t)(shape->dv * shape->dv);
	for (int l = 0; l < shape->layers; l++)
		for (int h = 0; h < shape->streams; h++, at += k + v) {
			CLKV_TRY(check_matrix(at, shape->dk, "K", l, h, error));
			CLKV_TRY(check_matrix(at + k, shape->dv, "V", l, h, error));
		}
	return CLKV_OK;
}

clkv_status clkv__rotation_check(const struct clkv__shape *shape, const void *file, size_t size,
                                 uint64_t model, clkv_error *error)
{
	uint32_t words[CLKV__ROTATION_WORDS];
	if (!file)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"cache options: rotation is NULL, but the recipe has rot=file; allowed: a file of "
			"its matrices");
	fill_words(shape, words);
	CLKV_TRY(clkv__given_check(&rotation_kind, words, file, size, clkv__rotation_bytes(shape),
	                           model, error));
	return check_matrices(shape, (const unsigned char *)file + HEAD, error);
}

/* The next head's matrices: V's is turned over. */
static const unsigned char *unpack_head(const struct clkv__shape *shape, const unsigned char *from,
                                        float *to)
{
	int nk = shape->dk * shape->dk, dv = shape->dv;
	for (int i = 0; i < nk; i++, from += 4)
		to[i] = clkv__get_float(from);
	for (int i = 0; i < dv * dv; i++, from += 4)
		to[nk + i % dv * dv + i / dv] = clkv__get_float(from);
	return from;
}

void clkv__rotation_unpack(const struct clkv__shape *shape, const void *file, float *projections)
{
	const size_t layer = (size_t)shape->streams * (size_t)n_entries(shape) * 4;
	for (int l = 0; l < shape->layers; l++) {
		const unsigned char *from = (const unsigned char *)file + HEAD;
		from += (size_t)clkv__shape_layer(shape, l) * layer;
		for (int h = 0; h < shape->streams; h++, projections += n_entries(shape))
			from = unpack_head(shape, from, projections);
	}
}

void clkv__rotation_pack(const struct clkv__shape *shape, const float *k, const float *v,
                         uint64_t model, void *file)
{
	size_t heads = (size_t)shape->layers * (size_t)shape->streams;
	size_t nk = (size_t)(shape->dk * shape->dk), nv = (size_t)(shape->dv * shape->dv);
	uint32_t words[CLKV__ROTATION_WORDS];
	fill_words(shape, words);
	unsigned char *to = clkv__given_begin(&rotation_kind, words, model, file);
	for (size_t h = 0; h < heads; h++)
		to = clkv__put_floats(clkv__put_floats(to, k + h * nk, nk), v + h * nv, nv);
	clkv__given_end(file, to);
}
