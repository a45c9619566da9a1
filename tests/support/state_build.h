/* SPDX-License-Identifier: MIT */
/**
 * \file    state_build.h
 * \brief   Writes state files of llama.cpp in memory, right ones and wrong ones, by the layout alone.
 */
#ifndef STATE_BUILD_H
#define STATE_BUILD_H

#include <stdbool.h>

#include "support/gguf_build.h"

/** Fields that may be written wrong, where they come first. */
enum state_field {
	STATE_NONE,
	STATE_MAGIC,
	STATE_VERSION,
	STATE_TOKENS,
	STATE_LETTERS,
	STATE_STREAMS,
	STATE_CELLS,
	STATE_POSITION,
	STATE_IDS,
	STATE_ID,
	STATE_TRANSPOSED,
	STATE_LAYERS,
	STATE_TYPE_K,
	STATE_ROW_K,
	STATE_TYPE_V,
	STATE_ROW_V,   /**< bytes of a row, or of a value where V is transposed */
	STATE_WIDTH_V, /**< of a transposed V */
	STATE_FIELDS
};

/** A file of one sequence, 0, whose cell i has position order(i). Values count up; all are numbers of half. */
struct state_build {
	bool session, transposed;
	uint32_t type; /**< 0: f32, 1: f16, 30: bf16 */
	uint32_t cells, layers, width_k, width_v;
	bool reversed;          /**< the last position comes first */
	uint32_t streams;       /**< 0: 1 */
	uint32_t stream;        /**< that has the cells */
	enum state_field wrong; /**< is written as `value` */
	uint64_t value;
};

struct gguf_build state_build(const struct state_build *s);

/** The bits of a value as the file has them: of K (side 0) or V at a position. */
uint32_t state_build_bits(const struct state_build *s, uint32_t layer, uint32_t side,
                          uint32_t position, uint32_t d);

/** The same as a number. */
double state_build_number(uint32_t layer, uint32_t side, uint32_t position, uint32_t d);

/** Token i that the file names; it has three. */
int32_t state_build_token(uint32_t i);

#endif
