/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_profile.h
 * \brief   Where the time of a pass goes: the device's clock, summed by kind of command.
 *
 * Every launch leaves an event; engine_run() reads them at its end. The library's attention is two or more
 * launches with one event, so its time counts from the end of the command before it.
 */
#ifndef ENGINE_PROFILE_H
#define ENGINE_PROFILE_H

#include <stdio.h>

#include "engine.h"

enum engine_kind {
	ENGINE_EMBED,
	ENGINE_QKV,
	ENGINE_APPEND,
	ENGINE_ATTEND,
	ENGINE_ATTN_OUT,
	ENGINE_GATE,
	ENGINE_DOWN,
	ENGINE_LOGITS_OF,
	ENGINE_BEST,
	ENGINE_READ,
	ENGINE_MANY, /**< everything between the products of many rows, and those */
	ENGINE_KINDS
};

struct engine_profile;

bool engine_profile_create(struct engine_profile **out, struct tool_error *error);
void engine_profile_destroy(struct engine_profile *profile);

/** Takes the event over; bytes of weights that its command reads. Order is that of the queue. */
void engine_profile_note(struct engine_profile *profile, enum engine_kind kind, cl_event event,
                         size_t bytes);

/** Reads the clocks of all noted events, which have to be complete. */
bool engine_profile_collect(struct engine_profile *profile, struct tool_error *error);

/** Forgets what has been summed so far: what came before wasn't typical. */
void engine_profile_reset(struct engine_profile *profile);

/** A table: per token, of `tokens` that took `seconds` together. read_gbps is what a kernel reaches that does
 *  nothing but read the weights. */
void engine_profile_print(const struct engine_profile *profile, FILE *file, size_t tokens,
                          double seconds, double read_gbps);

#endif
