/* SPDX-License-Identifier: MIT */
/** \file calibration_image.c \brief From a calibration file to what kernels read. */
#include "plan/calibration_image.h"

#include "base/alloc.h"
#include "base/error.h"
#include "plan/calibration.h"
#include "shape/rope.h"

#include <math.h>
#include <string.h>

static size_t head_words(const struct clkv__shape *shape)
{
	return (size_t)ABI_QTC_WORDS(shape->dk, shape->dv);
}

static size_t heads_of(const struct clkv__shape *shape)
{
	return (size_t)shape->layers * (size_t)shape->streams;
}

uint64_t clkv__calibration_words(const struct clkv__shape *shape)
{
	return ABI_QTC_HEADS + (uint64_t)heads_of(shape) * head_words(shape);
}

static void put_dictionary(const struct clkv__phrases *phrases, struct clkv__phrase_coder *coder,
                           uint32_t *words)
{
	clkv__phrases_coder(phrases, coder);
	words[0] = phrases->bits;
	words[1] = coder->sparse;
	clkv__phrases_decoder(
		phrases, (unsigned char(*)[ABI_PHRASE_STORED])(void *)(words + ABI_DICTIONARY_INTEGERS),
		(unsigned char *)(void *)(words + ABI_DICTIONARY_COUNTS));
	memcpy(words + ABI_DICTIONARY_SLOTS, coder->slots, sizeof coder->slots);
}

static uint32_t *put(uint32_t *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
	return to + bytes / 4;
}

/* Ranks of components with these classes: classes, then components. */
static void put_ranks(const uint8_t *classes, size_t dim, uint32_t *words)
{
	unsigned char *to = (unsigned char *)(void *)words;
	size_t rank = 0;
	for (int number = 0; number < ABI_COMPONENT_CLASSES; number++)
		for (size_t i = 0; i < dim; i++)
			if (classes[i] == number) {
				to[rank] = (unsigned char)number;
				to[dim + rank++] = (unsigned char)i;
			}
}

/* In the order of abi.clh; the first words come later. */
static void put_head(const struct clkv__shape *shape, const struct clkv__calibrated *h,
                     const float factors[2][4], uint32_t *words)
{
	size_t dk = (size_t)shape->dk, dv = (size_t)shape->dv;
	const float thresholds[4] = {h->threshold[0], h->threshold[1], 0, 0};
	uint32_t *to = put(words + ABI_QTC_FACTORS_K, factors, 2 * 4 * sizeof(float));
	to = put(to, thresholds, sizeof thresholds);
	to = put(to, h->k_mean, 4 * dk);
	to = put(to, h->k_ask, 4 * dk);
	to = put(to, h->k_square, 4 * dk);
	for (int i = 0; i < ABI_TOKEN_CLASSES; i++)
		to = put(to, h->k_error[i], 4 * dk);
	put(to, h->v_mean, 4 * dv);
	put_ranks(h->k_class, dk, words + ABI_QTC_RANKS_K(dk, dv));
	put_ranks(h->v_class, dv, words + ABI_QTC_RANKS_V(dk, dv));
}

void clkv__calibration_place(const struct clkv__shape *shape, uint32_t *words)
{
	for (size_t i = 0; i < heads_of(shape); i++) {
		size_t at = ABI_QTC_HEADS + i * head_words(shape);
		words[at] = (uint32_t)at;
	}
}

clkv_status clkv__calibration_image(const struct clkv__shape *shape, const void *data,
                                    const clkv_allocator *allocator, uint32_t *words,
                                    clkv_error *error)
{
	struct room {
		struct clkv__calibrated head;
		struct clkv__phrases phrases;
		struct clkv__phrase_coder coder;
		cl_ulong turns[CLKV__ROPE_MOST]; /* 0 behind those of the model */
	} *room = clkv__calloc(allocator, 1, sizeof *room);
	float factors[2][4] = {{0}};
	if (!room)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for a calibration");
	for (int side = 0; side < 2; side++) {
		clkv__calibration_factors(data, side, factors[side]);
		for (int i = 0; i < ABI_COMPONENT_CLASSES; i++) {
			clkv__calibration_phrases(shape, data, side, i, &room->phrases);
			put_dictionary(&room->phrases, &room->coder, words + ABI_DICTIONARY(side, i));
		}
	}
	clkv__rope_turns(&shape->rope, room->turns);
	memcpy(words + ABI_QTC_TURNS, room->turns, sizeof room->turns);
	uint32_t *to = words + ABI_QTC_HEADS;
	for (int l = 0; l < shape->layers; l++)
		for (int h = 0; h < shape->streams; h++, to += head_words(shape)) {
			clkv__calibration_head(shape, data, clkv__shape_layer(shape, l), h, &room->head);
			put_head(shape, &room->head, (const float(*)[4])factors, to);
		}
	clkv__calibration_place(shape, words);
	clkv__free(allocator, room);
	return CLKV_OK;
}

/* Bits of a token in a head. */
static double bits_of_head(const struct clkv__shape *shape, const struct clkv__calibrated *h,
                           double bits[2][ABI_COMPONENT_CLASSES])
{
	double sum = 0;
	for (int i = 0; i < shape->dk; i++)
		sum += bits[0][h->k_class[i]];
	for (int i = 0; i < shape->dv; i++)
		sum += bits[1][h->v_class[i]];
	return sum;
}

/* Bits of a code in planes, by those that phrases take, as measured (doc/qtc.md). */
static double packed_rate(double phrases)
{
	return fmin(2.4 * phrases, 1.05 * phrases + 0.9);
}

void clkv__calibration_units(const struct clkv__shape *shape, const void *data, int block,
                             const struct clkv__codec_layout *layout,
                             const struct clkv__qtc_spec *spec, uint32_t *units)
{
	double bits[2][ABI_COMPONENT_CLASSES];
	struct clkv__phrases phrases;
	struct clkv__calibrated head;
	for (int i = 0; i < 2 * ABI_COMPONENT_CLASSES; i++) {
		int side = i / ABI_COMPONENT_CLASSES, number = i % ABI_COMPONENT_CLASSES;
		clkv__calibration_phrases(shape, data, side, number, &phrases);
		bits[side][number] = clkv__phrases_rate(&phrases);
		if (spec->packed)
			bits[side][number] = packed_rate(bits[side][number]);
	}
	for (int l = 0; l < shape->layers; l++) {
		double sum = 0;
		for (int h = 0; h < shape->streams; h++) {
			clkv__calibration_head(shape, data, clkv__shape_layer(shape, l), h, &head);
			double bytes = layout->payload + bits_of_head(shape, &head, bits) * block / 8;
			double most = (double)layout->units, want = bytes * (double)spec->room / ABI_UNIT + 1;
			sum += want < most ? want : most;
		}
		units[l] = (uint32_t)ceil(sum);
	}
}

void clkv__calibration_steps(const struct clkv__shape *shape, const void *data, float *steps)
{
	struct clkv__calibrated head;
	for (int l = 0; l < shape->layers; l++)
		for (int h = 0; h < shape->streams; h++) {
			clkv__calibration_head(shape, data, clkv__shape_layer(shape, l), h, &head);
			memcpy(steps, head.k_step, 4 * (size_t)shape->dk);
			steps += shape->dk;
			for (int d = 0; d < shape->dv; d++)
				*steps++ = head.v_step;
		}
}
