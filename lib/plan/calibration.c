/* SPDX-License-Identifier: MIT */
/** \file calibration.c \brief Files of steps, means, expected attention and dictionaries, distrusted when read. */
#include "plan/calibration.h"

#include "base/error.h"
#include "base/little_endian.h"
#include "plan/given_file.h"
#include "shape/rope.h"

#include <math.h>
#include <string.h>

enum { HEAD = CLKV__GIVEN_HEAD(CLKV__CALIBRATION_WORDS), CHECKSUM = CLKV__GIVEN_CHECKSUM };
enum { TOKENS = ABI_TOKEN_CLASSES, CLASSES = ABI_COMPONENT_CLASSES };
enum { TURNED = 4 * 2 * TOKENS, FACTORS = TURNED + 4, DICTIONARY = 4 * (3 + ABI_PHRASES) };

static const char *const word_names[CLKV__CALIBRATION_WORDS] = {
	"version", "layers", "kv_heads", "head_dim_k", "head_dim_v", "rope.kind",
};

static const struct clkv__given_kind calibration_kind = {
	.name = "the calibration file",
	.made = "is for",
	.magic = CLKV__CALIBRATION_MAGIC,
	.words = word_names,
	.n_words = CLKV__CALIBRATION_WORDS,
	.unknown = CLKV__CALIBRATION_ROPE,
};

/* Bytes of a head: what stands in f32, then classes. */
static size_t head_bytes(const struct clkv__shape *shape)
{
	size_t dk = (size_t)shape->dk, dv = (size_t)shape->dv;
	return 4 * ((4 + TOKENS) * dk + TOKENS - 1 + 1 + dv) + dk + dv;
}

/* Of all heads of so many layers. */
static size_t heads_bytes(const struct clkv__shape *shape, uint32_t layers)
{
	return (size_t)layers * (size_t)shape->streams * head_bytes(shape);
}

uint64_t clkv__calibration_bytes(const struct clkv__shape *shape)
{
	return HEAD + FACTORS + heads_bytes(shape, (uint32_t)shape->layers) + 2 * CLASSES * DICTIONARY +
	       CHECKSUM;
}

static void fill_words(const struct clkv__shape *shape, uint32_t words[CLKV__CALIBRATION_WORDS])
{
	words[CLKV__CALIBRATION_WORD_VERSION] = CLKV__CALIBRATION_VERSION;
	words[CLKV__CALIBRATION_LAYERS] = (uint32_t)shape->layers;
	words[CLKV__CALIBRATION_KV_HEADS] = (uint32_t)shape->streams;
	words[CLKV__CALIBRATION_DIM_K] = (uint32_t)shape->dk;
	words[CLKV__CALIBRATION_DIM_V] = (uint32_t)shape->dv;
	words[CLKV__CALIBRATION_ROPE] = (uint32_t)shape->rope.kind;
}

/* ---------------------------------------------------------------- what numbers are allowed ---- */

/* Whether all lie in a range; a NaN lies in none. */
static bool all_within(const float *x, int n, float least, float most)
{
	for (int i = 0; i < n; i++)
		if (!(x[i] >= least && x[i] <= most))
			return false;
	return true;
}

static bool all_finite(const float *x, int n)
{
	for (int i = 0; i < n; i++)
		if (!isfinite(x[i]))
			return false;
	return true;
}

/* Whether they are classes that come in fours. */
static bool are_classes(const uint8_t *x, int n)
{
	int counts[CLASSES] = {0}, odd = 0;
	for (int i = 0; i < n; i++) {
		if (x[i] >= CLASSES)
			return false;
		counts[x[i]]++;
	}
	for (int i = 0; i < CLASSES; i++)
		odd += counts[i] % ABI_QTC_ALIKE;
	return odd == 0;
}

/* Whether thresholds fall, or are equal; a NaN does neither. */
static bool in_order(const float *threshold)
{
	for (int i = 0; i < TOKENS - 1; i++)
		if (isnan(threshold[i]) || (i > 0 && threshold[i] > threshold[i - 1]))
			return false;
	return true;
}

static const char *wrong_tokens(const struct clkv__shape *shape, const struct clkv__calibrated *h)
{
	if (!all_finite(h->k_ask, shape->dk))
		return "ask has a number that isn't finite; allowed: finite ones";
	if (!all_finite(h->k_square, shape->dk))
		return "square has a number that isn't finite; allowed: finite ones";
	if (!in_order(h->threshold))
		return "its thresholds; allowed: numbers, the second not above the first";
	for (int i = 0; i < TOKENS; i++)
		if (!all_within(h->k_error[i], shape->dk, 0, CLKV__STEP_MOST))
			return "an error of K; allowed: 0 to 1e12";
	return NULL;
}

const char *clkv__calibrated_wrong(const struct clkv__shape *shape,
                                   const struct clkv__calibrated *h)
{
	const float mean = CLKV__MEAN_MOST, least = CLKV__STEP_LEAST, most = CLKV__STEP_MOST;
	if (!all_within(h->k_step, shape->dk, least, most))
		return "a step of K; allowed: 1e-12 to 1e12";
	if (!all_within(&h->v_step, 1, least, most))
		return "its step of V; allowed: 1e-12 to 1e12";
	if (!all_within(h->k_mean, shape->dk, -mean, mean))
		return "a mean of K; allowed: -1e6 to 1e6";
	if (!all_within(h->v_mean, shape->dv, -mean, mean))
		return "a mean of V; allowed: -1e6 to 1e6";
	if (!are_classes(h->k_class, shape->dk) || !are_classes(h->v_class, shape->dv))
		return "the class of a channel; allowed: 0 to 7, each of a multiple of 4 channels";
	return wrong_tokens(shape, h);
}

bool clkv__calibration_factors_valid(const float *factors)
{
	return all_within(factors, TOKENS, CLKV__FACTOR_LEAST, CLKV__FACTOR_MOST);
}

/* ---------------------------------------------------------------- reading ---- */

static const unsigned char *get_bytes(const unsigned char *from, uint8_t *to, size_t n)
{
	memcpy(to, from, n);
	return from + n;
}

static void get_head(const struct clkv__shape *shape, const unsigned char *from,
                     struct clkv__calibrated *out)
{
	const size_t dk = (size_t)shape->dk, dv = (size_t)shape->dv;
	from = clkv__get_floats(from, out->k_step, dk);
	from = clkv__get_floats(from, out->k_mean, dk);
	from = clkv__get_floats(from, out->k_ask, dk);
	from = clkv__get_floats(from, out->k_square, dk);
	for (int i = 0; i < TOKENS; i++)
		from = clkv__get_floats(from, out->k_error[i], dk);
	from = clkv__get_floats(from, out->threshold, TOKENS - 1);
	from = clkv__get_floats(from, &out->v_step, 1);
	from = clkv__get_floats(from, out->v_mean, dv);
	from = get_bytes(from, out->k_class, dk);
	get_bytes(from, out->v_class, dv);
}

static void get_phrases(const unsigned char *from, struct clkv__phrases *phrases)
{
	phrases->bits = clkv__get32(from);
	phrases->n = clkv__get32(from + 4);
	phrases->rate = clkv__get32(from + 8);
	for (size_t i = 0; i < ABI_PHRASES; i++)
		phrases->phrase[i] = clkv__get32(from + 12 + 4 * i);
}

/* The file may be of more layers than the shape, which may be a band of the model's. */
static const unsigned char *dictionaries_of(const struct clkv__shape *shape, const void *file)
{
	const unsigned char *data = file;
	uint32_t layers = clkv__get32(data + CLKV__GIVEN_MAGIC + 4 * CLKV__CALIBRATION_LAYERS);
	return data + HEAD + FACTORS + heads_bytes(shape, layers);
}

void clkv__calibration_factors(const void *file, int side, float *factors)
{
	clkv__get_floats((const unsigned char *)file + HEAD + 4 * TOKENS * side, factors, TOKENS);
}

int clkv__calibration_turned(const void *file)
{
	return (int)clkv__get32((const unsigned char *)file + HEAD + TURNED);
}

void clkv__calibration_head(const struct clkv__shape *shape, const void *file, int layer, int head,
                            struct clkv__calibrated *out)
{
	const size_t number = (size_t)layer * (size_t)shape->streams + (size_t)head;
	get_head(shape, (const unsigned char *)file + HEAD + FACTORS + number * head_bytes(shape), out);
}

void clkv__calibration_phrases(const struct clkv__shape *shape, const void *file, int side,
                               int number, struct clkv__phrases *phrases)
{
	get_phrases(dictionaries_of(shape, file) + (side * CLASSES + number) * DICTIONARY, phrases);
}

/* ---------------------------------------------------------------- checking ---- */

static clkv_status check_factors(const void *file, clkv_error *error)
{
	float factors[TOKENS];
	for (int side = 0; side < 2; side++) {
		clkv__calibration_factors(file, side, factors);
		if (!clkv__calibration_factors_valid(factors))
			CLKV_FAIL(error, CLKV_ERROR_CORRUPT,
			          "the calibration file: a factor of %s; allowed: 0.01 to 100",
			          side ? "V" : "K");
	}
	return CLKV_OK;
}

static clkv_status check_turned(const struct clkv__shape *shape, const void *file,
                                clkv_error *error)
{
	const uint32_t turned = clkv__get32((const unsigned char *)file + HEAD + TURNED);
	if (turned > 0 && shape->rope.kind == CLKV_ROPE_NONE)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "the calibration file is of keys in front of RoPE, but the geometry has none; "
		          "allowed: the model's rope, by_library or not");
	if (turned > (uint32_t)shape->rope.dims / 2)
		CLKV_FAIL(error, CLKV_ERROR_CORRUPT,
		          "the calibration file: %u turned pairs; allowed: 0 to %d", turned,
		          shape->rope.dims / 2);
	return CLKV_OK;
}

const char *clkv__calibrated_unpaired(const struct clkv__shape *shape, int turned,
                                      const struct clkv__calibrated *h)
{
	float steps[256], *first, *second;
	memcpy(steps, h->k_step, sizeof steps);
	for (int i = 0; i < turned; i++) {
		clkv__rope_pair(&shape->rope, i, steps, &first, &second);
		if (!(*first == *second))
			return "steps of K that RoPE turns into each other; allowed: equal ones";
	}
	return NULL;
}

static clkv_status check_heads(const struct clkv__shape *shape, const void *file, clkv_error *error)
{
	struct clkv__calibrated head;
	for (int l = 0; l < shape->layers; l++)
		for (int h = 0; h < shape->streams; h++) {
			clkv__calibration_head(shape, file, l, h, &head);
			const char *wrong = clkv__calibrated_wrong(shape, &head);
			if (!wrong)
				wrong = clkv__calibrated_unpaired(shape, clkv__calibration_turned(file), &head);
			if (wrong)
				CLKV_FAIL(error, CLKV_ERROR_CORRUPT,
				          "the calibration file, layer %d, KV head %d: %s", l, h, wrong);
		}
	return CLKV_OK;
}

static bool ends_in_zeros(const struct clkv__phrases *phrases)
{
	for (uint32_t i = phrases->n; i < ABI_PHRASES; i++)
		if (phrases->phrase[i] != 0)
			return false;
	return true;
}

static clkv_status check_dictionaries(const struct clkv__shape *shape, const void *file,
                                      clkv_error *error)
{
	struct clkv__phrases phrases;
	for (int i = 0; i < 2 * CLASSES; i++) {
		clkv__calibration_phrases(shape, file, i / CLASSES, i % CLASSES, &phrases);
		if (!clkv__phrases_valid(&phrases) || !ends_in_zeros(&phrases))
			CLKV_FAIL(error, CLKV_ERROR_CORRUPT,
			          "the calibration file's dictionary of %s, class %d, is none; allowed: words "
			          "of 8, 10 "
			          "or 12 bits, phrases that add a code to one before them, of at most %d codes",
			          i < CLASSES ? "K" : "V", i % CLASSES, ABI_PHRASE_LONGEST);
	}
	return CLKV_OK;
}

clkv_status clkv__calibration_check(const struct clkv__shape *shape, const void *file, size_t size,
                                    uint64_t model, clkv_error *error)
{
	uint32_t words[CLKV__CALIBRATION_WORDS];
	if (!file)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "cache options: calibration is NULL, but the recipe has qtc; allowed: a file of "
		          "the model's");
	fill_words(shape, words);
	CLKV_TRY(clkv__given_check(&calibration_kind, words, file, size, clkv__calibration_bytes(shape),
	                           model, error));
	CLKV_TRY(check_factors(file, error));
	CLKV_TRY(check_turned(shape, file, error));
	CLKV_TRY(check_heads(shape, file, error));
	return check_dictionaries(shape, file, error);
}

/* ---------------------------------------------------------------- writing ---- */

static void copy(float *to, const float *from, size_t number, int n)
{
	memcpy(to, from + number * (size_t)n, (size_t)n * sizeof *to);
}

static void copy_bytes(uint8_t *to, const uint8_t *from, size_t number, int n)
{
	memcpy(to, from + number * (size_t)n, (size_t)n);
}

void clkv__calibration_gather(const struct clkv__shape *shape, const clkv_calibration *c,
                              const struct clkv__calibration_codes *codes, int layer, int head,
                              struct clkv__calibrated *out)
{
	const size_t number = (size_t)layer * (size_t)shape->streams + (size_t)head;
	copy(out->k_step, c->k_step, number, shape->dk);
	copy(out->k_mean, c->k_mean, number, shape->dk);
	copy(out->k_ask, c->k_ask, number, shape->dk);
	copy(out->k_square, c->k_square, number, shape->dk);
	for (size_t i = 0; i < TOKENS; i++)
		copy(out->k_error[i], c->k_error, number * TOKENS + i, shape->dk);
	copy(out->threshold, c->threshold, number, TOKENS - 1);
	out->v_step = c->v_step[number];
	copy(out->v_mean, c->v_mean, number, shape->dv);
	copy_bytes(out->k_class, codes->k_class, number, shape->dk);
	copy_bytes(out->v_class, codes->v_class, number, shape->dv);
}

static unsigned char *put_bytes(unsigned char *to, const uint8_t *from, size_t n)
{
	memcpy(to, from, n);
	return to + n;
}

static unsigned char *put_head(const struct clkv__shape *shape, const struct clkv__calibrated *h,
                               unsigned char *to)
{
	const size_t dk = (size_t)shape->dk, dv = (size_t)shape->dv;
	to = clkv__put_floats(to, h->k_step, dk);
	to = clkv__put_floats(to, h->k_mean, dk);
	to = clkv__put_floats(to, h->k_ask, dk);
	to = clkv__put_floats(to, h->k_square, dk);
	for (int i = 0; i < TOKENS; i++)
		to = clkv__put_floats(to, h->k_error[i], dk);
	to = clkv__put_floats(to, h->threshold, TOKENS - 1);
	to = clkv__put_floats(to, &h->v_step, 1);
	to = clkv__put_floats(to, h->v_mean, dv);
	to = put_bytes(to, h->k_class, dk);
	return put_bytes(to, h->v_class, dv);
}

static unsigned char *put_phrases(const struct clkv__phrases *phrases, unsigned char *to)
{
	clkv__put32(to, phrases->bits);
	clkv__put32(to + 4, phrases->n);
	clkv__put32(to + 8, phrases->rate);
	for (size_t i = 0; i < ABI_PHRASES; i++)
		clkv__put32(to + 12 + 4 * i, i < phrases->n ? phrases->phrase[i] : 0);
	return to + DICTIONARY;
}

void clkv__calibration_pack(const struct clkv__shape *shape, const clkv_calibration *calibration,
                            const struct clkv__calibration_codes *codes, uint64_t model, void *file)
{
	uint32_t words[CLKV__CALIBRATION_WORDS];
	struct clkv__calibrated head;
	fill_words(shape, words);
	unsigned char *to = clkv__given_begin(&calibration_kind, words, model, file);
	to = clkv__put_floats(to, calibration->k_factor, TOKENS);
	to = clkv__put_floats(to, calibration->v_factor, TOKENS);
	clkv__put32(to, (uint32_t)calibration->turned_pairs);
	to += 4;
	for (int l = 0; l < shape->layers; l++)
		for (int h = 0; h < shape->streams; h++) {
			clkv__calibration_gather(shape, calibration, codes, l, h, &head);
			to = put_head(shape, &head, to);
		}
	for (int i = 0; i < 2 * CLASSES; i++)
		to = put_phrases(codes->dictionaries + i, to);
	clkv__given_end(file, to);
}
