/* SPDX-License-Identifier: MIT */
/* rows: what happens to each row between the matrix products. One group per row, LANES work-items. */
#include "weights.clh"

/* x [rows][dim] = embedding of each token; xw = x * norm, for the linear layer that follows */
__kernel void rows_embed(__global const int *tokens, __global const uchar *w, int type, int bytes,
                         int dim, __global const float *norm, __global float *x, __global float *xw)
{
	int row = (int)get_group_id(0);
	__global const uchar *from = w + (size_t)tokens[row] * bytes;
	x += (size_t)row * dim;
	xw += (size_t)row * dim;
	for (int b = LANE; b < dim / 32; b += LANES) {
		float16 low, high;
		widen(type, from, b, &low, &high);
		vstore16(low, 2 * b, x);
		vstore16(high, 2 * b + 1, x);
		vstore16(low * vload16(2 * b, norm), 2 * b, xw);
		vstore16(high * vload16(2 * b + 1, norm), 2 * b + 1, xw);
	}
}

/* out [rows][dim] = x / rms(x) * norm */
__kernel void rows_norm(__global const float *x, __global const float *norm, int dim, float epsilon,
                        __global float *out)
{
#if LANES > 1
	__local float scratch[LANES];
#endif
	size_t row = get_group_id(0);
	float16 squares = (float16)(0.0f);
	x += row * dim;
	out += row * dim;
	for (int i = LANE; i < dim / 16; i += LANES) {
		float16 v = vload16(i, x);
		squares = fma(v, v, squares);
	}
	float inverse = rsqrt(lanes_sum(sum16(squares), scratch) / (float)dim + epsilon);
	for (int i = LANE; i < dim / 16; i += LANES)
		vstore16(vload16(i, x) * inverse * vload16(i, norm), i, out);
}

/* RoPE in place over heads [rows][n_heads][head_dim]: adjacent pairs, cosine and sine in
 * rope [rows][rope_dims / 2] */
__kernel void rows_rope(__global float *heads, int n_heads, int head_dim,
                        __global const float2 *rope, int rope_dims)
{
	int row = (int)get_group_id(0);
	int pairs = rope_dims / 2;
	heads += (size_t)row * n_heads * head_dim;
	rope += (size_t)row * pairs;
	for (int i = LANE; i < n_heads * pairs; i += LANES) {
		__global float *pair = heads + i / pairs * head_dim + 2 * (i % pairs);
		float2 angle = rope[i % pairs];
		float a = pair[0], b = pair[1];
		pair[0] = a * angle.x - b * angle.y;
		pair[1] = a * angle.y + b * angle.x;
	}
}

/* gate [rows][ff] = silu(gate) * up */
__kernel void rows_silu(__global float *gate, __global const float *up, int ff)
{
	size_t row = get_group_id(0);
	gate += row * ff;
	up += row * ff;
	for (int i = LANE; i < ff / 16; i += LANES) {
		float16 g = vload16(i, gate);
		vstore16(g / (1.0f + exp(-g)) * vload16(i, up), i, gate);
	}
}

/* xw [rows][dim] = x * norm: what rows of linear_* expect of a residual written by matmul */
__kernel void rows_weigh(__global const float *x, __global const float *norm, int dim,
                         __global float *xw)
{
	size_t row = get_group_id(0);
	for (int i = LANE; i < dim / 16; i += LANES)
		vstore16(vload16(i, x + row * dim) * vload16(i, norm), i, xw + row * dim);
}
