/* SPDX-License-Identifier: MIT */
/**
 * \file    state_build.c
 * \brief   Writes state files of llama.cpp in memory.
 */
#include "support/state_build.h"

#include <string.h>

enum { TOKENS = 3 };

int32_t state_build_token(uint32_t i)
{
	static const int32_t tokens[TOKENS] = {7, 49151, -1};
	return tokens[i];
}

/* Quarters from -16 to 16, which bf16 has exactly too: 7 bits behind the point of its mantissa. */
double state_build_number(uint32_t layer, uint32_t side, uint32_t position, uint32_t d)
{
	const uint32_t mixed = (layer * 2 + side) * 7919 + position * 104729 + d * 613;
	return ((double)(mixed * 2654435761U >> 25) - 64) / 4;
}

uint32_t state_build_bits(const struct state_build *s, uint32_t layer, uint32_t side,
                          uint32_t position, uint32_t d)
{
	const float number = (float)state_build_number(layer, side, position, d);
	uint32_t bits;
	memcpy(&bits, &number, sizeof bits);
	if (s->type != 1)
		return s->type == 0 ? bits : bits >> 16;
	if (number == 0)
		return bits >> 16; /* exponents move from 8 bits with bias 127 to 5 with bias 15 */
	return (bits >> 16 & 0x8000) | (((bits >> 23 & 0xff) - 112) << 10) | (bits >> 13 & 0x3ff);
}

static void put_u16(struct gguf_build *b, uint32_t value)
{
	gguf_build_u8(b, value & 0xff);
	gguf_build_u8(b, value >> 8 & 0xff);
}

/* A field; the first of its kind may be wrong. */
static void put(struct gguf_build *b, struct state_build *s, enum state_field field, uint64_t value,
                bool wide)
{
	if (s->wrong == field) {
		value = s->value;
		s->wrong = STATE_NONE;
	}
	if (wide)
		gguf_build_u64(b, value);
	else
		gguf_build_u32(b, (uint32_t)value);
}

static uint32_t position_of(const struct state_build *s, uint32_t cell)
{
	return s->reversed ? s->cells - 1 - cell : cell;
}

static void put_value(struct gguf_build *b, const struct state_build *s, uint32_t layer,
                      uint32_t side, uint32_t cell, uint32_t d)
{
	const uint32_t bits = state_build_bits(s, layer, side, position_of(s, cell), d);
	if (s->type == 0)
		gguf_build_u32(b, bits);
	else
		put_u16(b, bits);
}

static void put_rows(struct gguf_build *b, struct state_build *s, uint32_t layer, uint32_t side)
{
	const uint32_t width = side == 0 ? s->width_k : s->width_v, bytes = s->type == 0 ? 4 : 2;
	const bool turned = side == 1 && s->transposed;
	put(b, s, side == 0 ? STATE_TYPE_K : STATE_TYPE_V, s->type, false);
	put(b, s, side == 0 ? STATE_ROW_K : STATE_ROW_V, turned ? bytes : (uint64_t)width * bytes,
	    !turned);
	if (turned)
		put(b, s, STATE_WIDTH_V, width, false);
	for (uint32_t i = 0; i < s->cells * width; i++)
		put_value(b, s, layer, side, turned ? i % s->cells : i / width,
		          turned ? i / s->cells : i % width);
}

static void put_stream(struct gguf_build *b, struct state_build *s)
{
	put(b, s, STATE_CELLS, s->cells, false);
	for (uint32_t i = 0; i < s->cells; i++) {
		put(b, s, STATE_POSITION, position_of(s, i), false);
		put(b, s, STATE_IDS, 1, false);
		put(b, s, STATE_ID, 0, false);
	}
	put(b, s, STATE_TRANSPOSED, s->transposed, false);
	put(b, s, STATE_LAYERS, s->layers, false);
	for (uint32_t side = 0; side < 2; side++)
		for (uint32_t i = 0; i < s->layers; i++)
			put_rows(b, s, i, side);
}

struct gguf_build state_build(const struct state_build *state)
{
	struct gguf_build b = {NULL, 0, 0};
	struct state_build s = *state;
	const uint32_t streams = s.streams > 0 ? s.streams : 1;
	put(&b, &s, STATE_MAGIC, s.session ? 0x6767736e : 0x67677371, false);
	put(&b, &s, STATE_VERSION, s.session ? 10 : 3, false);
	put(&b, &s, STATE_TOKENS, TOKENS, false);
	for (uint32_t i = 0; i < TOKENS; i++)
		gguf_build_u32(&b, (uint32_t)state_build_token(i));
	if (s.session) {
		put(&b, &s, STATE_LETTERS, 5, false);
		for (const char *c = "llama"; *c != '\0'; c++)
			gguf_build_u8(&b, (unsigned char)*c);
	}
	put(&b, &s, STATE_STREAMS, streams, false);
	for (uint32_t i = 0; i < streams; i++) {
		if (i == s.stream)
			put_stream(&b, &s);
		else
			gguf_build_u32(&b, 0);
	}
	return b;
}
