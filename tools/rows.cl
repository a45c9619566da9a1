/* SPDX-License-Identifier: MIT */
/* rows: what happens to each row between the matrix products. One group per row, LANES work-items. */
#include "weights.clh"

/* x [rows][dim] = embedding of each token; xw = x * norm, for the linear layer that follows */
__kernel void rows_embed(__global const int *tokens, __global const uchar *w, int type, int dim,
                         __global const float *norm, __global float *x, __global float *xw)
{
	int row = (int)get_group_id(0);
	x += (size_t)row * dim;
	xw += (size_t)row * dim;
	for (int i = LANE; i < dim; i += LANES) {
		float value = weight_at(type, w, dim, tokens[row], i);
		x[i] = value;
		xw[i] = value * norm[i];
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

/* Reads n uint16 at w and does nothing with them: how fast weights can be read. Grid: groups that share
 * them. out [groups] is never written, which no compiler knows. */
__kernel void rows_read(__global const uint *w, ulong n, __global int *out)
{
	const ulong group = get_group_id(0), groups = get_num_groups(0);
	const ulong to = n * (group + 1) / groups;
	uint16 a = 0, b = 0, c = 0, d = 0;
	for (ulong i = n * group / groups + 4 * LANE; i + 3 < to; i += 4 * LANES) {
		FETCH(w + 16 * i + 512);
		FETCH(w + 16 * i + 528);
		FETCH(w + 16 * i + 544);
		FETCH(w + 16 * i + 560);
		a ^= vload16(i, w);
		b ^= vload16(i + 1, w);
		c ^= vload16(i + 2, w);
		d ^= vload16(i + 3, w);
	}
	if (any((int16)((a ^ b) + (c ^ d) == (uint16)(0x9e3779b9u))))
		out[group] = 1;
}
