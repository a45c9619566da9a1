/* SPDX-License-Identifier: MIT */
/**
 * \file    rig.h
 * \brief   A cache with sequences and random rows for one problem.
 */
#ifndef RIG_H
#define RIG_H

#include "bench.h"

struct bench_rig {
	const struct bench_machine *machine;
	const struct bench_problem *problem;
	clkv_geometry geometry;
	clkv_bytes bytes;
	size_t layers;
	size_t copies; /**< of input rows, so that appending reads more than the caches hold */
	size_t next_copy;
	size_t input_elements; /**< of one copy of K and V */
	clkv_cache *cache;
	clkv_seq **seqs;
	clkv_step_item *items;
	cl_mem input, q, out;
	double
		seal_us; /**< of the commits that ended the prompts of bench_rig_fill; where these are attended, of all */
	double rows_us; /**< of appending and attention of these prompts, where they are attended */
};

/** Enough layers that a round over them touches more than the caches hold: what attention reads when
 *  attends (of recall the index and one choice), else what appending reads. A zeroed rig may be closed at any time. */
bool bench_rig_open(struct bench_rig *rig, const struct bench_machine *machine,
                    const struct bench_problem *problem, bool attends, struct tool_error *error);
void bench_rig_close(struct bench_rig *rig);

/** New empty sequences in place of those that exist. */
bool bench_rig_restart(struct bench_rig *rig, struct tool_error *error);

/** Appends n_tokens rows to each sequence, in chunks, as a prompt. */
bool bench_rig_fill(struct bench_rig *rig, size_t n_tokens, struct tool_error *error);

/** Begins a step of n_rows rows for each sequence and appends them to all layers. */
bool bench_rig_step(struct bench_rig *rig, size_t n_rows, clkv_step **step,
                    struct tool_error *error);

bool bench_rig_attend(struct bench_rig *rig, clkv_step *step, struct tool_error *error);
bool bench_rig_commit(clkv_step *step, struct tool_error *error);

/** Attention of the problem's rows on all layers, in a step that is then dropped: us per layer. */
bool bench_rig_round(struct bench_rig *rig, double *us, struct tool_error *error);

bool bench_rig_stats(const struct bench_rig *rig, clkv_stats *stats, struct tool_error *error);

/** Waits for the device. */
bool bench_rig_finish(struct bench_rig *rig, struct tool_error *error);

/** Bytes that hold all sequences, and tokens that are sealed, of one layer. */
bool bench_rig_stored(const struct bench_rig *rig, double *bytes, double *sealed,
                      struct tool_error *error);

/** Bytes of one layer's index of all sequences: what is reserved for them. */
double bench_rig_index_bytes(const struct bench_rig *rig);

/** Bytes of a token in half precision, one layer, all KV heads. */
double bench_f16_bytes(const struct bench_problem *problem);

#endif
