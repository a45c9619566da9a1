/* SPDX-License-Identifier: MIT */
/**
 * \file  clkv/share.h
 * \brief Prefixes that outlive a process: chunks of sequences in a folder or on a server, for whoever has the same text.
 *
 * A library of its own (libclkv-share, pkg-config clkv-share) over clkv's interface. doc/share.md has the whole of it: what a
 * chunk is, how it is found, what each store does.
 *
 *   - A text is cut into chunks of 256 tokens, or of the next number that is whole blocks of the recipe; the first
 *     has the recipe's sinks beside. A chunk's key is a SHA-256 over all tokens up to its end, the number of the model, shape,
 *     recipe and format: it is found by what it holds, or not at all.
 *   - What lies in a store isn't believed: it is checked before it comes near a device, and what is wrong with it costs
 *     that it isn't there. But who can write to a store can put rows there that are well formed and false: stores are
 *     for those who trust each other.
 *   - A share may be used by several threads; calls on its store take turns. Many processes may use one store.
 */
#ifndef CLKV_SHARE_H
#define CLKV_SHARE_H

#include "base.h"

CLKV_BEGIN_DECLS

typedef struct clkv_share clkv_share; /**< a store that is open */

typedef struct clkv_share_options {
	size_t struct_size;
	uint64_t model; /**< tells the model's weights, and its RoPE, from all others' */
	uint64_t
		max_bytes; /**< of a folder: what was used least recently goes beyond it; 0: 16 GiB. Servers have bounds of their own */
	size_t max_chunk_bytes; /**< larger ones are neither written nor read; 0: 256 MiB */
	unsigned timeout_ms;    /**< of a server: to connect, and for each answer; 0: 2000 */
	unsigned retry_ms;      /**< a server that failed isn't asked again for so long; 0: 1000 */
} clkv_share_options;

/** Opens a store: "file:PATH" or a path: a folder, made if it isn't there (its parent must be);
 *  "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]": a server that speaks Redis' protocol, connected to when it is
 *  asked first (a word in user and password may have %XX); "rediss://...?ca=FILE[&cert=FILE&key=FILE]": the same over TLS.
 *  Errors: INVALID_ARGUMENT (names the part of the url), UNSUPPORTED (built without hiredis, or without its TLS), IO (the
 *  folder can't be made), NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_share_open(const char *url, const clkv_share_options *options,
                                     clkv_share **out, clkv_error *error);
CLKV_API void clkv_share_close(clkv_share *share);

/** Bytes of the caller's beside a whole text: what its last token gave, say, so that it needn't run again. */
typedef struct clkv_share_note {
	void *data;  /**< put: the bytes; get: where they go */
	size_t room; /**< get: of data */
	size_t
		size; /**< put: bytes; get, out: what there is, which is in data if room holds it; 0: nothing */
} clkv_share_note;

/** Stores what the first n_tokens tokens of a sequence have made: each chunk that has all of its blocks sealed and isn't
 *  there yet, and one more with all that is left, which whoever asks for exactly these tokens gets, and with it note (which
 *  may be NULL). tokens [n_tokens] are what the sequence was fed. Blocks. The sequence stays as it is. Errors: IO (the
 *  store failed: what it has taken is whole), UNSUPPORTED (the recipe doesn't keep all tokens; a chunk above
 *  max_chunk_bytes), INVALID_ARGUMENT, and those of clkv_seq_save_range. Since 0.1. */
CLKV_API clkv_status clkv_share_put(clkv_share *share, clkv_seq *seq, const int32_t *tokens,
                                    size_t n_tokens, const clkv_share_note *note,
                                    cl_command_queue queue, clkv_error *error);

/** Makes a sequence of the longest beginning of tokens [n_tokens] that the store has. *matched: its tokens; with 0 *seq is
 *  NULL. Blocks go into the cache as they are. The cache must allow one sequence more than it has afterwards. To go on, run
 *  the tokens behind *matched. If all matched, note (may be NULL) has what was put with them; without one, truncate
 *  the sequence by a token and run that: its output is then attention over what is sealed, as any later token's is.
 *  as: NULL, or a cache of the recipe whose chunks are wanted, for which a new sequence must be allowed: if it's not the
 *  cache's recipe, chunks are decoded and sealed anew. Its size doesn't matter.
 *  A store that fails, lacks or damages something is no error: that is where the beginning ends, and clkv_share_get_stats
 *  says why. Blocks. Errors: INVALID_ARGUMENT, UNSUPPORTED (recipes without ranges), BUSY, POOL_FULL (no sequence more is
 *  allowed), OPENCL, BUILD, NO_HOST_MEMORY, NO_DEVICE_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_share_get(clkv_share *share, clkv_cache *cache, clkv_cache *as,
                                    const int32_t *tokens, size_t n_tokens, cl_command_queue queue,
                                    clkv_seq **seq, size_t *matched, clkv_share_note *note,
                                    clkv_error *error);

/** What a share has done since it was opened. */
typedef struct clkv_share_stats {
	size_t struct_size;
	uint64_t gets, tokens_asked, tokens_matched;
	uint64_t chunks_read, bytes_read;
	uint64_t chunks_written, bytes_written;
	uint64_t
		refused; /**< chunks that were damaged, or not what their key says: dropped, where the store lets it */
	uint64_t failures; /**< calls that the store failed */
	uint64_t evicted;  /**< chunks that went for max_bytes */
	char reason
		[256]; /**< why the last of refused, failures or chunks that found no room was one; or "" */
} clkv_share_stats;

CLKV_API clkv_status clkv_share_get_stats(clkv_share *share, clkv_share_stats *stats,
                                          clkv_error *error);

/** X(name, value, text): what a look at a stored chunk found. Values are pinned. */
#define CLKV_SHARE_STATE_LIST(X)                                                                   \
	X(CLKV_SHARE_UNSEEN, 0, "not looked at")                                                       \
	X(CLKV_SHARE_WHOLE, 1, "whole")                                                                \
	X(CLKV_SHARE_DAMAGED, 2, "damaged")                                                            \
	X(CLKV_SHARE_NEWER, 3, "of a newer version")

typedef enum clkv_share_state {
#define CLKV_X(name, value, text) name = value,
	CLKV_SHARE_STATE_LIST(CLKV_X)
#undef CLKV_X
} clkv_share_state;

CLKV_API const char *clkv_share_state_string(clkv_share_state state);

/** A chunk in a store. */
typedef struct clkv_share_entry {
	char key[65]; /**< 64 hexadecimal digits */
	uint64_t bytes;
	double age;             /**< seconds since it was used last */
	clkv_share_state state; /**< what follows is known if it's CLKV_SHARE_WHOLE */
	int end;                /**< holds what was left behind the chunks of a text */
	size_t from, to;        /**< tokens */
	const char *recipe;     /**< valid during the call */
} clkv_share_entry;

/** Is shown each chunk; anything but 0 stops. */
typedef int (*clkv_share_list_fn)(void *opaque, const clkv_share_entry *entry);

/** Shows each chunk of a store, in no order; verify: each is read and checked, as far as can be without its model's shape.
 *  fn must not use the share. Errors: INVALID_ARGUMENT, IO, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_share_list(clkv_share *share, int verify, clkv_share_list_fn fn,
                                     void *opaque, clkv_error *error);

/** Removes a chunk by its key. Nothing happens if it isn't there. Errors: INVALID_ARGUMENT, IO. Since 0.1. */
CLKV_API clkv_status clkv_share_remove(clkv_share *share, const char *key, clkv_error *error);

/** Removes what was used least recently until no more than max_bytes are there. *removed (may be NULL): how many chunks.
 *  Errors: INVALID_ARGUMENT, IO, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_share_evict(clkv_share *share, uint64_t max_bytes, size_t *removed,
                                      clkv_error *error);

CLKV_END_DECLS

#endif
