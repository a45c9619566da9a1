/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_rotation.c
 * \brief   Any bytes as a file of rotations: refused with an error, or matrices that are orthogonal, unpacked, and written
 *          again to the same bytes.
 *
 * An odd first byte: the checksum, the last 8 bytes, is made right.
 */
#include "fuzz_given.h"

#include "fuzz_given_model.h"
#include "plan/given_file.h"
#include "plan/projection.h"
#include "shape/shape.h"

#include <math.h>
#include <string.h>

enum {
	DK = FUZZ_GIVEN_DK,
	DV = FUZZ_GIVEN_DV,
	LAYERS = FUZZ_GIVEN_LAYERS,
	HEAD = CLKV__GIVEN_HEAD(CLKV__ROTATION_WORDS),
	ENTRIES = DK * DK + DV * DV, /* of a layer, which has one KV head */
	BYTES = HEAD + 4 * LAYERS * ENTRIES + CLKV__GIVEN_CHECKSUM
};

static struct clkv__shape shape;

static void prepare(void)
{
	const clkv_geometry g = fuzz_given_geometry();
	clkv_error error = {.position = -1};
	fuzz_require(clkv__shape_read(&g, &shape, &error) == CLKV_OK, error.text);
	fuzz_require(clkv__rotation_bytes(&shape) == BYTES, "a file has another length");
}

/* What a file says, by no code that reads it: K [DK][DK] and V [DV][DV] of each layer. */
struct matrices {
	float k[LAYERS][DK * DK], v[LAYERS][DV * DV];
};

static const uint8_t *take_floats(const uint8_t *from, float *to, size_t n)
{
	for (size_t i = 0; i < n; i++, from += 4) {
		uint32_t bits = clkv__get32(from);
		memcpy(to + i, &bits, sizeof bits);
	}
	return from;
}

static void take(const uint8_t *body, struct matrices *m)
{
	for (size_t l = 0; l < LAYERS; l++)
		body = take_floats(take_floats(body, m->k[l], DK * DK), m->v[l], DV * DV);
}

/* Sums of at most 32 products of about 1 in double round to far less than a millionth of the slack. */
static void require_orthogonal(const float *m, int dim)
{
	for (int i = 0; i < dim; i++)
		for (int j = 0; j < dim; j++) {
			double sum = i == j ? -1.0 : 0.0;
			for (int c = 0; c < dim; c++)
				sum += (double)m[i * dim + c] * (double)m[j * dim + c];
			fuzz_require(fabs(sum) <= CLKV__ROTATION_SLACK * (1.0 + 1e-6),
			             "rows that aren't orthogonal are accepted");
		}
}

/* The device has K as it is and V turned over. */
static void require_unpacked(const float *at, const struct matrices *m, size_t layer)
{
	fuzz_require(memcmp(at, m->k[layer], sizeof m->k[layer]) == 0, "K is unpacked as another");
	for (int i = 0; i < DV; i++)
		for (int c = 0; c < DV; c++)
			fuzz_require(memcmp(at + DK * DK + c * DV + i, m->v[layer] + i * DV + c, 4) == 0,
			             "V is unpacked as another");
}

/* By the model's shape, and by that of a band that has the last layer alone. */
static void check_unpacking(const uint8_t *file, const struct matrices *m)
{
	static float all[LAYERS * ENTRIES], last[ENTRIES];
	const struct clkv__banding bands = {.layers = LAYERS, .n = 2, .of = {[LAYERS - 1] = 1}};
	struct clkv__shape band = shape;
	clkv__rotation_unpack(&shape, file, all);
	for (size_t l = 0; l < LAYERS; l++)
		require_unpacked(all + l * ENTRIES, m, l);
	band.layers = 1;
	band.bands = &bands;
	band.band = 1;
	clkv__rotation_unpack(&band, file, last);
	require_unpacked(last, m, LAYERS - 1);
}

/* The last file that was written. */
static uint8_t written[BYTES];
static size_t n_written;

static size_t write_file(void *opaque, const void *data, size_t size)
{
	(void)opaque;
	fuzz_require(size == BYTES, "a part is written");
	memcpy(written, data, size);
	n_written = size;
	return size;
}

/* Whoever writes the same matrices is told the same. The kind of RoPE may be missing in the file. */
static void check_writing(const uint8_t *file, const struct matrices *m, bool accepted)
{
	const clkv_geometry g = fuzz_given_geometry();
	clkv_error error = {.position = -1};
	n_written = 0;
	clkv_status status =
		clkv_rotation_write(&g, FUZZ_ROTATION_MODEL, m->k[0], m->v[0], write_file, NULL, &error);
	fuzz_require(error.status == status, "error and status of writing differ");
	fuzz_require((status == CLKV_OK) == (n_written == BYTES), "what is refused is written");
	fuzz_require(!accepted || status == CLKV_OK, "what is accepted can't be written");
	if (status != CLKV_OK)
		return;
	fuzz_require(clkv__rotation_check(&shape, written, BYTES, FUZZ_ROTATION_MODEL, &error) ==
	                 CLKV_OK,
	             "what is written can't be read");
	fuzz_require(memcmp(written + HEAD, file + HEAD, 4 * LAYERS * ENTRIES) == 0,
	             "other matrices are written");
	size_t rope = CLKV__GIVEN_MAGIC + 4 * CLKV__ROTATION_ROPE;
	bool said = clkv__get32(file + rope) != 0;
	fuzz_require(!accepted || memcmp(written, file, said ? BYTES : rope) == 0,
	             "what is written isn't what was read");
}

static void read_rotation(const uint8_t *file, size_t n)
{
	static struct matrices m;
	clkv_error error = {.position = -1};
	clkv_status status = clkv__rotation_check(&shape, file, n, FUZZ_ROTATION_MODEL, &error);
	fuzz_require(error.status == status, "error and status differ");
	fuzz_require(status == CLKV_OK || strlen(error.text) > 10, "refused without a sentence");
	fuzz_require(status != CLKV_OK || n == BYTES, "a part is accepted");
	if (n != BYTES)
		return;
	take(file + HEAD, &m);
	check_writing(file, &m, status == CLKV_OK);
	if (status != CLKV_OK)
		return;
	for (size_t l = 0; l < LAYERS; l++) {
		require_orthogonal(m.k[l], DK);
		require_orthogonal(m.v[l], DV);
	}
	check_unpacking(file, &m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (shape.layers == 0)
		prepare();
	fuzz_given_file(data, size, read_rotation);
	return 0;
}
