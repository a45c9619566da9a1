/* SPDX-License-Identifier: MIT */
/**
 * \file    engine.h
 * \brief   Forward passes of a Llama model on an OpenCL device, attention by clkv.
 *
 * All layers run on the device. Few rows (generation) meet quantized weights directly; many
 * rows (a prompt) go through a blocked product on CPUs and through CLBlast on other devices.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <stdint.h>

#include "model.h"

struct engine;

/** One sequence in one cache, and how many tokens it has seen (the position of the next one). */
struct engine_stream {
	clkv_cache *cache;
	clkv_seq *seq;
	size_t length;
	cl_mem queries; /**< NULL, or those of the newest trace_rows rows: engine_trace() */
	size_t trace_rows;
};

/** Rows of a prompt of `most` tokens whose queries a copy of it in this cache asks for, and so many in any case: more than
 *  stages look at that don't weigh tokens by all of them. */
#define ENGINE_TRACE_ROWS 512
static inline size_t engine_trace_wanted(const clkv_cache *cache, size_t most)
{
	return clkv_cache_observes(cache) > ENGINE_TRACE_ROWS ? most : ENGINE_TRACE_ROWS;
}

enum engine_products { ENGINE_AUTO, ENGINE_BLOCKED, ENGINE_BLAS };

struct engine_options {
	size_t max_rows;               /**< rows of one pass, all streams together; 0: 512 */
	enum engine_products products; /**< how many rows are multiplied */
	unsigned lanes; /**< work-items of a group: 1 on CPUs, 32 on GPUs; 0: as the device likes */
	bool profile;   /**< ask for the times of all commands: see engine_profile_of() */
};

enum engine_logits { ENGINE_NO_LOGITS, ENGINE_LAST_LOGITS, ENGINE_ALL_LOGITS };

/** Streams that follow the first one: in every layer they get its k, v and q, and what they make of them is
 *  shown but not used. So attention is compared without what earlier layers' errors do to it. */
struct engine_followers {
	float *out; /**< [n_streams][n_each][q_heads][head_dim], host; the first stream's too */
	float *lse; /**< [n_streams][n_each][q_heads], host: log of the sum of exp(logit) */
	void (*see)(void *opaque, int layer); /**< out and lse are those of this layer */
	void *opaque;
};

/** A pass over n_each new tokens of each of n_streams streams, which lie in different caches. */
struct engine_pass {
	struct engine_stream *const *streams;
	size_t n_streams;
	const int32_t *tokens; /**< [n_streams][n_each]; of the first stream only if others follow it */
	size_t n_each;
	clkv_phase phase;
	bool dry; /**< don't keep the tokens: the streams are as before */
	enum engine_logits want;
	float *logits;                            /**< [n_streams][1 or n_each][vocabulary], host */
	const struct engine_followers *followers; /**< NULL: each stream goes its own way */
	float *norms; /**< NULL, or [n_layers][rows of all streams], host: lengths of the residual
	                   stream's rows into each layer's attention */
};

/** Copies the weights to the device; the model must outlive the engine. */
bool engine_create(clkv_context *context, const struct model *model,
                   const struct engine_options *options, struct engine **out,
                   struct tool_error *error);

void engine_destroy(struct engine *engine);

/** Runs a pass. Returns when the logits are there; without logits work may still be under way. On
 *  failure the streams are as before. */
bool engine_run(struct engine *engine, const struct engine_pass *pass, struct tool_error *error);

/** Appends the rows from .. from + n - 1 of another stream's cache, decoded, instead of computing
 *  them: a prompt computed once serves the caches of many recipes. */
bool engine_copy_rows(struct engine *engine, struct engine_stream *to,
                      const struct engine_stream *source, size_t from, size_t n, clkv_phase phase,
                      struct tool_error *error);

/** Rows of one layer, in floats [rows][kv_heads][head_dim]. */
struct layer_rows {
	int layer;
	float *keys, *values; /**< only read */
};

/** The same from row 0 on, as a prompt, but one layer's are these n rows. */
bool engine_copy_changed(struct engine *engine, struct engine_stream *to,
                         const struct engine_stream *source, size_t n,
                         const struct layer_rows *changed, struct tool_error *error);

/** From now on the stream keeps the queries of its newest rows, so that copies of them can be judged by what
 *  the exact prompt asked for. The caller releases stream->queries. */
bool engine_trace(struct engine *engine, struct engine_stream *stream, size_t rows,
                  struct tool_error *error);

/** Appends n rows of noise: fills a cache to a depth at which speed is measured. */
bool engine_fill_noise(struct engine *engine, struct engine_stream *to, size_t n, clkv_phase phase,
                       struct tool_error *error);

/** The times of all passes since it was last reset; NULL unless options.profile asked for them. */
struct engine_profile *engine_profile_of(const struct engine *engine);

/** What a kernel that does nothing else reads of the same weights: 1e9 bytes per second, the best of
 *  some rounds. */
bool engine_read_limit(struct engine *engine, double *gbps, struct tool_error *error);

/** Waits until the device has nothing left to do. */
bool engine_finish(struct engine *engine, struct tool_error *error);

/** The shape of the model's attention, for clkv_cache_create(). */
clkv_geometry engine_geometry(const struct model *model);

/** The queue of all its commands. */
cl_command_queue engine_queue(const struct engine *engine);

size_t engine_max_rows(const struct engine *engine);
size_t engine_device_bytes(const struct engine *engine);

#endif
