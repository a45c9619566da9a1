/* SPDX-License-Identifier: MIT */
/**
 * \file    tune.h
 * \brief   What clkv-tune measures and how it goes about it.
 *
 * Functions that can fail return true when done and false with *error filled.
 */
#ifndef TUNE_H
#define TUNE_H

#include "rig.h"

enum { TUNE_TEXT = 96 };

/** The numbers of a tuning, as clkv.h names them. */
struct tune_numbers {
	unsigned lanes, vec, queries, groups, min_blocks;
};

/** What one entry of the tuning file is measured for. */
struct tune_task {
	const char *device; /**< as --device takes it, or NULL */
	const char *recipe;
	size_t head_dim, q_heads, kv_heads, tokens;
	double seconds; /**< of measuring, about; building and filling come on top */
	bool blocks;    /**< other block sizes are compared too */
	bool cpu_time, dry_run, json;
};

/** Rows of the prompt chunks that decide the queries of a tile, and the tokens that they see. */
enum { TUNE_ROWS = 64, TUNE_PROMPT = 1024 };

/* ---- numbers and candidates */

bool tune_numbers_read(const char *text, struct tune_numbers *numbers);
void tune_numbers_print(const struct tune_numbers *numbers, char text[TUNE_TEXT]);

/** One of the numbers, in the order of the search. */
struct tune_coordinate {
	const char *name;
	bool prompt;  /**< decided by prompt chunks, not by single rows */
	bool balance; /**< evens out the load of compute units */
	size_t n;
	struct tune_numbers candidates[4]; /**< the nearest first */
};

enum { TUNE_COORDINATES = 5 };

/** Values of one number that are worth trying instead of the best so far's. CPUs keep one lane and
 *  vectors of 4 to the device's width; GPUs try 32 to 256 lanes and vectors of 1 to 4, and no more of
 *  both together than twice the larger of head size and block gives work to. */
unsigned tune_value(size_t index, const struct tune_numbers *numbers);
void tune_coordinate(size_t index, const clkv_device_info *device, size_t head_dim,
                     const struct tune_numbers *best, struct tune_coordinate *out);

/* ---- measurement */

/** A filled cache with one tuning. */
struct tune_side {
	struct bench_machine machine;
	struct bench_problem problem;
	struct bench_rig rig;
	char in_force[512]; /**< what clkv_cache_tuning says */
};

/** Closes itself on failure. rows 1: generation, else prompt chunks. */
bool tune_side_open(struct tune_side *side, const struct tune_task *task, const char *recipe,
                    const char *tuning, size_t rows, struct tool_error *error);
void tune_side_close(struct tune_side *side);

/** Rounds of both in turn, for about so many seconds: the median time of b, us of one layer, and the
 *  median of its ratios to the round of base before it. */
bool tune_compare(struct tune_side *base, struct tune_side *b, double seconds, double *us,
                  double *ratio, struct tool_error *error);

/* ---- search and report */

/** Finds the best tuning for the task, prints what it measures, and stores the result. */
bool tune_search(const struct tune_task *task, struct tool_error *error);

struct tune_line {
	const char *recipe, *what, *tuning;
	double ns;    /**< per token, new row and KV head */
	double ratio; /**< to the default */
};

void tune_report_head(const struct tune_task *task, const char *device, const char *tuning);
void tune_report_line(const struct tune_task *task, const struct tune_line *line);
void tune_report_refused(const struct tune_task *task, const char *tuning, const char *why);
/** path NULL: not stored. */
void tune_report_best(const struct tune_task *task, const char *tuning, double decode,
                      double prompt, const char *path);
/** Two runs of the default differ by this share. */
void tune_report_noise(const struct tune_task *task, double noise);
void tune_report_block(const struct tune_task *task, int block, double ratio);

#endif
