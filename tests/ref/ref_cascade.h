/* SPDX-License-Identifier: MIT */
/** \file ref_cascade.h \brief Rings of tokens, walked one token at a time. Source: arXiv 2406.17808. */
#ifndef REF_CASCADE_H
#define REF_CASCADE_H

#include <stddef.h>

#define REF_RINGS 16
#define REF_RING_ROOM 512

/** Ring 0 is the first one behind the window; each holds positions, oldest first. */
struct ref_cascade {
	size_t rings, room[REF_RINGS], n[REF_RINGS];
	size_t token[REF_RINGS][REF_RING_ROOM];
	size_t seen; /**< tokens so far */
};

/** The next token behind the sinks leaves the window. score: of every position. */
void ref_cascade_push(struct ref_cascade *c, size_t position, const double *score);

/** All positions, oldest first; returns how many. */
size_t ref_cascade_list(const struct ref_cascade *c, size_t *positions);

#endif
