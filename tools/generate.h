/* SPDX-License-Identifier: MIT */
/**
 * \file    generate.h
 * \brief   Generation of text, token by token, from a compressed cache.
 */
#ifndef GENERATE_H
#define GENERATE_H

#include "generate_share.h"
#include "sampler.h"
#include "session.h"

struct generate_options {
	const char *model, *recipe, *prompt, *device;
	size_t n_tokens; /**< to generate */
	size_t depth;    /**< rows of noise that fill the cache first */
	bool chat;       /**< the prompt is a user's turn */
	bool ignore_eos;
	bool profile; /**< say where the time of generation went */
	struct sampler_options sampling;
	struct given_paths given;
	struct generate_share share;
	enum engine_products products;
};

struct generate_report {
	size_t prompt_tokens, generated;
	double prompt_seconds, decode_seconds;
	size_t timed;  /**< steps that decode_seconds is the mean of */
	size_t cached; /**< tokens in the cache at the end */
	uint64_t cache_bytes, f16_bytes;
	char half[SESSION_HALF_BYTES]; /**< why nothing is sealed, or "" */
	struct generate_share_report share;
};

/** Streams the text to standard output. */
bool generate(struct session *session, const struct generate_options *options,
              struct generate_report *report, struct tool_error *error);

#endif
