/* SPDX-License-Identifier: MIT */
/* matmul: out [m][n] (+)= sum over k of x [m][k] * w [n][k], for many rows on a CPU.
 *
 * One work-item per group; its vectors are the parallel part. A group takes WIDTH outputs and some
 * rows: it widens a tile of the weights, TILE_K deep, into a panel [k][WIDTH] in local memory, then
 * multiplies VECTORS vectors of it with HEIGHT rows at a time, whose sums stay in registers.
 * Grid: (panels, row groups). Local: TILE_K * WIDTH floats. Sums are f32, in the order of k.
 * GPUs take matmul_widen and a BLAS instead: there is no such kernel for them.
 */
#include "weights.clh"

#if LANES == 1
#define PANELS 3 /* of the file's, side by side */
#define WIDTH (16 * PANELS)
#define TILE_K 128 /* a panel of 24 KiB stays in the first-level cache */

/* HEIGHT * VECTORS sums, VECTORS weights and a value of x take 16 vector registers of AVX2's, 32 of NEON's, 28 of AVX-512's. */
#define VECTORS 3
#if (defined(__x86_64__) && !defined(__AVX512VL__)) || defined(__aarch64__)
typedef float8 floats;
#define LENGTH 8
#define HEIGHT 4
#define LOAD_FLOATS vload8
#define STORE_FLOATS vstore8
#else
typedef float16 floats;
#define LENGTH 16
#define HEIGHT 8
#define LOAD_FLOATS vload16
#define STORE_FLOATS vstore16
#endif
#define SPAN (LENGTH * VECTORS) /* outputs of a tile of sums; divides WIDTH */

/* PANELS panels of the file's weights; behind the last there are zeros. `type` is a constant wherever this is called. */
INLINE void widen_panels(__local float *panel, int type, __global const uchar *w, int n_in,
                         int first, int n_panels, int k_from, int depth)
{
	for (int v = 0; v < PANELS; v++) {
		__global const uchar *blocks = panel_at(type, w, n_in, min(first + v, n_panels - 1));
		const float there = first + v < n_panels ? 1.0f : 0.0f;
		for (int b = 0; b < depth / 32; b++) {
			__global const uchar *block = blocks + (k_from / 32 + b) * 2 * block_bytes(type);
			float16 least = (float16)(0.0f);
			if (is_q4(type))
				least = least_at(type, block) * there;
			for (int k = 0; k < 32; k += 8) {
				float16 scale = scale_at(type, block, k / scale_columns(type)) * there;
#pragma unroll
				for (int i = 0; i < 8; i++)
					vstore16(fma(codes_at(type, block, k + i, 1), scale, least), v,
					         panel + (32 * b + k + i) * WIDTH);
			}
		}
	}
}

#define WIDEN(type)                                                                                \
	widen_panels(panel, type, w, n_in, first, n_panels, k_from, depth);                            \
	break

static inline void fill_panel(__local float *panel, int type, __global const uchar *w, int n_in,
                              int first, int n_panels, int k_from, int depth)
{
	switch (type) {
	case WEIGHT_F32:
		WIDEN(WEIGHT_F32);
	case WEIGHT_F16:
		WIDEN(WEIGHT_F16);
	case WEIGHT_Q4:
		WIDEN(WEIGHT_Q4);
	case WEIGHT_Q4F:
		WIDEN(WEIGHT_Q4F);
	case WEIGHT_Q8:
		WIDEN(WEIGHT_Q8);
	default:
		WIDEN(WEIGHT_Q6);
	}
}

static inline void store_vector(__global float *out, floats v, int room)
{
	if (room >= LENGTH) {
		STORE_FLOATS(v, 0, out);
	} else {
		float lanes[LENGTH];
		STORE_FLOATS(v, 0, lanes);
		for (int i = 0; i < room; i++)
			out[i] = lanes[i];
	}
}

static inline floats load_vector(__global const float *out, int room)
{
	float lanes[LENGTH];
	if (room >= LENGTH)
		return LOAD_FLOATS(0, out);
	for (int i = 0; i < LENGTH; i++)
		lanes[i] = i < room ? out[i] : 0.0f;
	return LOAD_FLOATS(0, lanes);
}

/* HEIGHT rows of x times SPAN columns of the panel; add: on top of what out holds; room: outputs that there are */
static inline void multiply_rows(__global float *out, int add, __local const float *panel,
                                 __global const float *x, int stride, int depth, int n_outputs,
                                 int room)
{
	floats sums[HEIGHT][VECTORS];
#pragma unroll
	for (int r = 0; r < HEIGHT; r++) {
#pragma unroll
		for (int v = 0; v < VECTORS; v++)
			sums[r][v] =
				add ? load_vector(out + (size_t)r * n_outputs + LENGTH * v, room - LENGTH * v)
					: (floats)(0.0f);
	}
	for (int k = 0; k < depth; k++) {
		floats weights[VECTORS];
#pragma unroll
		for (int v = 0; v < VECTORS; v++)
			weights[v] = LOAD_FLOATS(v, panel + k * WIDTH);
#pragma unroll
		for (int r = 0; r < HEIGHT; r++) {
			floats value = (floats)(x[r * stride + k]);
#pragma unroll
			for (int v = 0; v < VECTORS; v++)
				sums[r][v] = fma(value, weights[v], sums[r][v]);
		}
	}
#pragma unroll
	for (int r = 0; r < HEIGHT; r++) {
#pragma unroll
		for (int v = 0; v < VECTORS; v++)
			store_vector(out + (size_t)r * n_outputs + LENGTH * v, sums[r][v], room - LENGTH * v);
	}
}

/* rows is a multiple of HEIGHT (buffers are padded to it); add: out holds what the product joins */
__kernel void matmul(__global const float *x, int n_in, __global const uchar *w, int type,
                     __global float *out, int n_outputs, int add, int rows, int rows_per_group)
{
	__local float panel[TILE_K * WIDTH];
	int n = (int)get_group_id(0) * WIDTH;
	int from = (int)get_group_id(1) * rows_per_group;
	int to = min(from + rows_per_group, rows);
	for (int k = 0; k < n_in; k += TILE_K) {
		int depth = min(TILE_K, n_in - k);
		fill_panel(panel, type, w, n_in, n / PANEL, (n_outputs + PANEL - 1) / PANEL, k, depth);
		for (int m = from; m < to; m += HEIGHT)
			for (int c = 0; c < WIDTH; c += SPAN)
				multiply_rows(out + (size_t)m * n_outputs + n + c, add || k > 0, panel + c,
				              x + (size_t)m * n_in + k, n_in, depth, n_outputs, n_outputs - n - c);
	}
}
#endif

/* Weights [n][n_in] in f32, for a BLAS; one work-item per 32 weights. */
__kernel void matmul_widen(__global const uchar *w, int type, int n_in, ulong n_blocks,
                           __global float *out)
{
	ulong i = get_global_id(0);
	if (i >= n_blocks)
		return;
	int blocks_per_row = n_in / 32;
	int n = (int)(i / blocks_per_row), block = (int)(i % blocks_per_row);
	for (int k = 0; k < 32; k++)
		out[32 * i + k] = weight_at(type, w, n_in, n, 32 * block + k);
}
