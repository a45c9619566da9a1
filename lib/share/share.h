/* SPDX-License-Identifier: MIT */
/** \file share.h \brief An open store. */
#ifndef SHARE_SHARE_H
#define SHARE_SHARE_H

#include "share/backend.h"

#include <pthread.h>

struct clkv_share {
	clkv_share_options options; /**< with what the caller's don't say */
	const struct share_backend *backend;
	void *self;
	pthread_mutex_t mutex; /**< calls on the store take turns; guards all below */
	clkv_share_stats stats;
	bool counted;     /**< known is */
	uint64_t known;   /**< bytes in a bounded store when it was last counted */
	uint64_t written; /**< since then, by this process */
};

/** Notes why something is missing; counts it, if counter isn't NULL. The mutex isn't held. */
void share_note(clkv_share *share, uint64_t *counter, const char *why);

/** The same for a call that the store failed. */
clkv_status share_note_failure(clkv_share *share, clkv_status status, const clkv_error *why);

/** Marks chunks of a text in a bounded store as used. found: [n], of no meaning afterwards. The mutex isn't held. */
void share_used(clkv_share *share, const struct share_key *keys, size_t n, bool *found);

/** A file of clkv without tokens, of a sequence's cache: shape, recipe, format. */
clkv_status share_empty_file(clkv_seq *seq, cl_command_queue queue, struct share_blob *out,
                             clkv_error *error);

#endif
