/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_private.h
 * \brief   What the files of the engine share.
 */
#ifndef ENGINE_PRIVATE_H
#define ENGINE_PRIVATE_H

#include "engine_profile.h"

/* More rows than this are multiplied by blocks. */
#define ENGINE_FEW_ROWS 8

/* Row buffers are padded to a multiple of it: HEIGHT of matmul.cl. */
#define ENGINE_ROW_PADDING 8

/** A matrix on the device, in panels (weight_panel.h). */
struct engine_matrix {
	cl_mem mem;
	int type;
	int n_in, n_out;
	size_t bytes;
};

struct engine_layer {
	cl_mem attn_norm, ffn_norm; /* f32 [dim] */
	struct engine_matrix q, k, v, attn_out, gate, up, down;
};

/* The kernels of linear.cl for one number of rows. */
struct engine_linear {
	cl_program program;
	cl_kernel qkv, add, gate, logits;
};

struct engine_rows {
	cl_program program;
	cl_kernel embed, norm, rope, silu, weigh, matmul, widen, read;
};

struct engine {
	const struct model *model;
	clkv_context *clkv;
	cl_context context;
	cl_device_id device;
	cl_command_queue queue;
	size_t max_rows, n_groups;
	unsigned lanes;
	bool uses_blas;
	unsigned char *weights; /* what matrices are packed into */
	size_t weights_used;
	bool weights_stay; /* the device reads them where they are */
	struct engine_matrix embedding, output;
	cl_mem output_norm;
	struct engine_layer *layers;
	struct engine_linear linear[ENGINE_FEW_ROWS + 1]; /* by rows, built when first needed */
	struct engine_rows rows;
	cl_mem x, xw, q, k, v, attended, gate, up; /* f32 [max_rows][...] */
	cl_mem lse;                                /* f32 [max_rows][q_heads] */
	cl_mem logits;                             /* f32 [n_logit_rows][vocabulary] */
	cl_mem rope;                               /* f32 [max_rows][rope_dims / 2][cosine, sine] */
	cl_mem tokens;                             /* i32 [max_rows] */
	cl_mem widened;        /* f32, the largest matrix of a layer; for the BLAS */
	cl_mem copy_k, copy_v; /* half [max_rows][kv_heads][head_dim] */
	size_t n_logit_rows;
	double *frequencies; /* [rope_dims / 2] radians per position */
	float *angles;       /* host side of rope */
	int32_t *host_tokens;
	bool under_way; /* nobody has waited for the last pass */
	size_t device_bytes;
	struct engine_profile *profile; /* NULL: nobody asks */
};

/* engine_program.c */
bool engine_build(struct engine *e, struct tool_error *error);
bool engine_linear_for(struct engine *e, size_t n_rows, struct engine_linear **out,
                       struct tool_error *error);
void engine_release_programs(struct engine *e);

/* engine_weights.c */
bool engine_upload(struct engine *e, struct tool_error *error);
void engine_release_weights(struct engine *e);

/* engine_trace.c: queries of rows that were computed, for rows that are copied */
bool engine_trace_keep(struct engine *e, const struct engine_stream *stream, int layer,
                       size_t q_offset, size_t rows, struct tool_error *error);
bool engine_trace_has(const struct engine_stream *stream, size_t from);
bool engine_trace_ask(struct engine *e, clkv_step *step, const struct engine_stream *source,
                      int layer, size_t from, size_t rows, struct tool_error *error);

/* engine_launch.c: one kernel call; arguments in turn, the first failure is kept */
struct engine_launch {
	struct engine *engine;
	cl_kernel kernel;
	enum engine_kind kind;
	size_t weight_bytes;
	cl_uint n_args;
	cl_int code;
};

struct engine_launch engine_launch(struct engine *e, cl_kernel kernel, enum engine_kind kind);
void engine_arg_mem(struct engine_launch *launch, cl_mem mem);
void engine_arg_int(struct engine_launch *launch, int value);
void engine_arg_float(struct engine_launch *launch, float value);
void engine_arg_matrix(struct engine_launch *launch, const struct engine_matrix *m);
bool engine_go(struct engine_launch *launch, size_t groups, size_t groups_y,
               struct tool_error *error);

/* engine_few.c and engine_many.c: a layer's linear work before and after attention */
bool engine_few_before(struct engine *e, const struct engine_layer *layer, size_t rows,
                       struct tool_error *error);
bool engine_few_after(struct engine *e, const struct engine_layer *layer, cl_mem next_norm,
                      size_t rows, struct tool_error *error);
bool engine_few_logits(struct engine *e, size_t x_row, size_t out_row, size_t rows,
                       struct tool_error *error);
bool engine_many_before(struct engine *e, const struct engine_layer *layer, size_t rows,
                        struct tool_error *error);
bool engine_many_after(struct engine *e, const struct engine_layer *layer, size_t rows,
                       struct tool_error *error);
bool engine_weigh(struct engine *e, cl_mem norm, size_t rows, struct tool_error *error);

#endif
