/* SPDX-License-Identifier: MIT */
/**
 * \file    backend.h
 * \brief   What a store must do: a row of functions. Another kind of store is another row.
 *
 * A store maps keys to bytes and promises nothing about them: who reads distrusts. Calls on one store never overlap.
 */
#ifndef SHARE_BACKEND_H
#define SHARE_BACKEND_H

#include "config.h"
#include "share/blob.h"
#include "share/fail.h"
#include "share/key.h"

#include <clkv/share.h>

/** Gets the bytes of key number i of those asked for; false: no more are wanted. */
typedef bool (*share_take_fn)(void *opaque, size_t i, const unsigned char *data, size_t size);

/** Is shown a key; false stops. */
typedef bool (*share_each_fn)(void *opaque, const struct share_key *key, uint64_t bytes,
                              double age);

/** Keys that a sequence asks for at once: so many chunks lie in memory while a cache takes them, and the store is free for others. */
enum { SHARE_AHEAD = 4 };

/** All errors are IO or NO_HOST_MEMORY, of open INVALID_ARGUMENT too. */
struct share_backend {
	const char *scheme; /**< of urls */
	bool bounded;       /**< max_bytes is kept by evicting */
	/** rest: the url behind "scheme:". */
	clkv_status (*open)(const char *rest, const clkv_share_options *options, void **self,
	                    clkv_error *error);
	void (*close)(void *self);
	/** Tells which of n keys are there; where the store is bounded, marks them as used, the first one last. */
	clkv_status (*has)(void *self, const struct share_key *keys, size_t n, bool *found,
	                   clkv_error *error);
	/** Hands over the bytes of n keys in their order, up to the first that isn't there. Servers of their own accord mark
	 *  them as used. */
	clkv_status (*get)(void *self, const struct share_key *keys, size_t n, share_take_fn take,
	                   void *opaque, clkv_error *error);
	/** All or nothing, for readers too. */
	clkv_status (*put)(void *self, const struct share_key *key, const struct share_blob *blob,
	                   clkv_error *error);
	clkv_status (*drop)(void *self, const struct share_key *key, clkv_error *error);
	clkv_status (*each)(void *self, share_each_fn fn, void *opaque, clkv_error *error);
};

extern const struct share_backend share_folder;
#ifdef HAVE_HIREDIS
extern const struct share_backend share_redis, share_rediss;
#endif

/** Drops the least recently used until no more than most bytes are there. *left: bytes that are. */
clkv_status share_trim(const struct share_backend *backend, void *self, uint64_t most,
                       size_t *removed, uint64_t *left, clkv_error *error);

#endif
