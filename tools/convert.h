/* SPDX-License-Identifier: MIT */
/**
 * \file    convert.h
 * \brief   State files of llama.cpp into snapshots of clkv, and back.
 */
#ifndef CONVERT_H
#define CONVERT_H

#include "given_files.h"
#include "llama_state.h"
#include "model.h"
#include "snapshot_look.h"

/** What the command line says. */
struct convert {
	const char *in, *out; /**< files; out NULL: what `in` holds is printed */
	const char *
		tokens; /**< file with the ids of tokens as text; into a snapshot it's written, and may be NULL */
	const char *model; /**< GGUF file for heads and RoPE, or NULL */
	const char *device;
	struct given_paths given;
	size_t sequence; /**< SIZE_MAX: the only one; on the way back 0 */
	/* into a snapshot */
	const char *recipe; /**< NULL: f16 */
	size_t kv_heads;    /**< 0: the model's */
	size_t q_heads;     /**< 0: the model's, else kv_heads */
	/* back */
	bool session;
	bool transposed;
	enum llama_type type;
	bool type_given;
	const char *arch; /**< of sessions; NULL: the model's */
	size_t streams;   /**< 0: 1 */
};

/** Recipes that states go into, for errors. */
#define CONVERT_RECIPES                                                                            \
	"f16, codecs (kivi, q, kitty, kvquant, kvcomp), recall (clusterkv, a2ats, pages, topk; not "   \
	"metric=query) and place"

/** Does it, in the direction that the file in calls for. */
bool convert_run(const struct convert *convert, struct tool_error *error);

/* ---------------------------------------------------------------- parts ---- */

bool convert_to_snapshot(const struct convert *convert, const struct llama_state *state,
                         struct tool_error *error);
bool convert_to_state(const struct convert *convert, const void *snapshot, size_t size,
                      struct tool_error *error);
void convert_show_state(const struct llama_state *state);
void convert_show_snapshot(const struct snapshot_look *look);

/** Writes what a file of a conversion is. */
typedef bool (*convert_write_fn)(void *opaque, FILE *file, struct tool_error *error);

/** Makes a file and has it written; a file that couldn't be written to its end doesn't stay. */
bool convert_write(const char *path, convert_write_fn write, void *opaque,
                   struct tool_error *error);

/** Ids as text, one in a line; read with any white space between them. *ids is the caller's to free. */
bool convert_write_tokens(const char *path, const struct llama_state *state,
                          struct tool_error *error);
bool convert_read_tokens(const char *path, int32_t **ids, size_t *n, struct tool_error *error);

clkv_dtype convert_dtype(enum llama_type type);

/** A cache with one sequence, and what it needs. */
struct convert_cache {
	struct model *model; /**< NULL without --model */
	clkv_geometry geometry;
	clkv_context *context;
	cl_command_queue queue;
	struct given_files given;
	clkv_cache *cache;
	clkv_seq *seq;
};

/** Opens the model, if there is one, and fills the geometry from it. */
bool convert_cache_model(const struct convert *convert, struct convert_cache *c,
                         struct tool_error *error);

/** Opens a device and makes a cache of c->geometry, of a recipe that keeps all tokens. */
bool convert_cache_open(const struct convert *convert, struct convert_cache *c, const char *recipe,
                        size_t n_tokens, struct tool_error *error);
/** Closes what was opened of it. */
void convert_cache_close(struct convert_cache *c);

#endif
