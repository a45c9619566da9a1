/* SPDX-License-Identifier: MIT */
/**
 * \file    bench.h
 * \brief   Problems, the machine that they run on, and what is measured.
 *
 * Functions that can fail return true when done and false with *error filled.
 */
#ifndef BENCH_H
#define BENCH_H

#include <clkv.h>

#include "tool_error.h"

enum { BENCH_MOST_LIST = 16, BENCH_MOST_SAMPLES = 256 };

/** Multiply-adds of a round over all layers, at most: a second or so on a small CPU. */
#define BENCH_MOST_ROUND 4e10

/** And of a prompt that is attended: a minute or so. */
#define BENCH_MOST_PROMPT 2e12

/** One line of results: what is to be measured. */
struct bench_problem {
	const struct bench_operation *operation;
	const char *recipe;
	size_t tokens; /**< of each sequence, the call's own rows included */
	size_t head_dim, q_heads, kv_heads;
	size_t batch;     /**< sequences in a step */
	size_t rows;      /**< new rows of each sequence in a call */
	bool hot;         /**< one layer only, so that its bytes may stay in the caches */
	bool before_rope; /**< calibrations of qtc are of keys in front of RoPE */
	size_t recall;    /**< tokens that a query head chooses; 0: all */
	float agree;      /**< correlation of the queries of a KV head; recall */
	bool
		attended; /**< rows of prompts are attended with too, and layers are as few as that takes; select */
};

/** The device, and its limits as measured in this run (limits.c). */
struct bench_machine {
	clkv_context *context;
	cl_context cl;
	cl_device_id device;
	cl_command_queue queue;
	clkv_device_info info;
	uint64_t cache_bytes; /**< of the last level, as the driver says */
	bool cpu_time;        /**< what bench_now reads */
	const char *ggml_dir; /**< the peer's libraries; NULL: none */
	double read_gbps;     /**< 10^9 bytes per second from a buffer larger than the caches */
	double fma_gflops;    /**< 10^9 single precision operations per second, multiply-add counts 2 */
};

/** One call on one layer: the bytes and sums that no implementation can do without. */
struct bench_work {
	double compressed_bytes; /**< of the cache, as stored */
	double f16_bytes;        /**< the same tokens in half precision */
	double moved_bytes;      /**< read and written at least */
	double multiply_adds;
	double tokens; /**< that ns_per_token_head divides by, of one sequence */
};

struct bench_result {
	double us[BENCH_MOST_SAMPLES]; /**< of one call on one layer */
	size_t n;
	struct bench_work work;
	double
		host_us; /**< of one layer's share of a step, outside OpenCL's own calls; attend, prefill */
	double launches; /**< kernels of one layer's share of a step; attend, prefill */
	double f16_fastest_us;
	double f16_us;   /**< median of f16 in turns with it; recall */
	double index_ns; /**< sealing and indexing of the prompt, per token and KV head; recall */
	double commit_us,
		select_us; /**< commits of one row, of one layer: all but those that select, and these */
	double commit_mean_us; /**< of all, selections included */
	double compress_share; /**< what a prompt takes beyond one of f16, over that */
};

struct bench_operation {
	const char *name;
	size_t rows; /**< when --rows isn't given */
	bool (*run)(const struct bench_machine *machine, const struct bench_problem *problem,
	            struct bench_result *result, struct tool_error *error);
};

bool bench_attend(const struct bench_machine *machine, const struct bench_problem *problem,
                  struct bench_result *result, struct tool_error *error);
bool bench_recall(const struct bench_machine *machine, const struct bench_problem *problem,
                  struct bench_result *result, struct tool_error *error);
bool bench_select(const struct bench_machine *machine, const struct bench_problem *problem,
                  struct bench_result *result, struct tool_error *error);
bool bench_append(const struct bench_machine *machine, const struct bench_problem *problem,
                  struct bench_result *result, struct tool_error *error);
bool bench_codec(const struct bench_machine *machine, const struct bench_problem *problem,
                 struct bench_result *result, struct tool_error *error);

bool bench_machine_open(struct bench_machine *machine, const char *device, bool cpu_time,
                        struct tool_error *error);
void bench_machine_close(struct bench_machine *machine);

/** Raises read_gbps and fma_gflops to what the device reaches now. */
bool bench_limits(struct bench_machine *machine, struct tool_error *error);

/** Microseconds of a clock that only goes forward: the wall's, or the time that this process has got
 *  from all processors, shared among the device's compute units. The latter is for CPU devices of
 *  machines that have other things to do too. */
double bench_now(const struct bench_machine *machine);

/** Multiply-adds of attention on one layer, each row seeing the tokens up to itself. */
double bench_multiply_adds(const struct bench_problem *problem);

/** Seconds on the wall. */
double bench_seconds(void);

/** Whether another sample is worth its time: until there are many, or enough of slow ones. */
bool bench_wants_more(const struct bench_result *result, double started);

/** Sorts x [n], n > 0, and gives its median. */
double bench_median(double *x, size_t n);

void bench_report_head(const struct bench_machine *machine, bool json);
void bench_report(const struct bench_machine *machine, const struct bench_problem *problem,
                  struct bench_result *result, bool json);

#endif
