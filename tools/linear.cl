/* SPDX-License-Identifier: MIT */
/* linear: the linear layers for ROWS rows, straight from quantized weights.
 *
 * Residual rows x [ROWS][dim] come with xw = x * (weights of the RMSNorm that follows), written by
 * whoever wrote x. So a layer behind a norm is dot(w, xw) / rms(x): the norm costs no pass of its own.
 * Grid: (LANES * groups); a group takes `chunk` outputs that follow each other. The switch on a
 * weight's type is the same for a whole group. Strides are in floats, *_bytes is a row of weights.
 */
#include "weights.clh"

#if LANES > 1
#define SCRATCH __local float scratch[LANES]
#else
#define SCRATCH __local float *scratch = 0
#endif

/* 1 / rms of each row */
static inline void inverse_rms(float *inverse, __global const float *x, int dim, float epsilon,
                               __local float *scratch)
{
#pragma unroll
	for (int r = 0; r < ROWS; r++) {
		float16 squares = (float16)(0.0f);
		float rest = 0.0f;
		for (int i = LANE; i < dim / 16; i += LANES) {
			float16 v = vload16(i, x + r * dim);
			squares = fma(v, v, squares);
		}
		for (int i = (dim & ~15) + LANE; i < dim; i += LANES)
			rest += x[r * dim + i] * x[r * dim + i];
		float sum = lanes_sum(sum16(squares) + rest, scratch);
		inverse[r] = rsqrt(sum / (float)dim + epsilon);
	}
}

/* q [ROWS][q_dim], k and v [ROWS][kv_dim] of one layer. Outputs of q and k come in pairs (2i, 2i + 1)
 * of a head; RoPE turns the first rope_dims of each head by the angles whose cosine and sine are in
 * rope [ROWS][rope_dims / 2]. */
__kernel void linear_qkv(__global const float *x, __global const float *xw, int dim, float epsilon,
                         __global const uchar *wq, int q_type, int q_bytes, int q_dim,
                         __global const uchar *wk, int k_type, int k_bytes,
                         __global const uchar *wv, int v_type, int v_bytes, int kv_dim,
                         __global const float2 *rope, int rope_dims, int head_dim,
                         __global float *q, __global float *k, __global float *v, int chunk)
{
	SCRATCH;
	float inverse[ROWS], even[ROWS], odd[ROWS];
	x_rows in = {xw, dim, dim};
	inverse_rms(inverse, x, dim, epsilon, scratch);
	int n_outputs = q_dim + 2 * kv_dim;
	int from = (int)get_group_id(0) * chunk;
	int to = min(from + chunk, n_outputs);
	for (int o = from; o < to; o += 2) {
		int n = o, width = q_dim, type = q_type, bytes = q_bytes;
		__global const uchar *w = wq;
		__global float *out = q;
		if (o >= q_dim + kv_dim) {
			n = o - q_dim - kv_dim, width = kv_dim, type = v_type, bytes = v_bytes, w = wv, out = v;
		} else if (o >= q_dim) {
			n = o - q_dim, width = kv_dim, type = k_type, bytes = k_bytes, w = wk, out = k;
		}
		dot_weights(even, type, w + (size_t)n * bytes, &in, scratch);
		dot_weights(odd, type, w + (size_t)(n + 1) * bytes, &in, scratch);
		int d = n % head_dim;
		int turned = o < q_dim + kv_dim && d < rope_dims;
#pragma unroll
		for (int r = 0; r < ROWS; r++) {
			float2 angle = turned ? rope[r * (rope_dims / 2) + d / 2] : (float2)(1.0f, 0.0f);
			float a = even[r] * inverse[r], b = odd[r] * inverse[r];
			if (LANE == 0) {
				out[r * width + n] = a * angle.x - b * angle.y;
				out[r * width + n + 1] = a * angle.y + b * angle.x;
			}
		}
	}
}

/* x += w . in, and xw = x * (weights of the norm that reads x next); in [ROWS][n_in] */
__kernel void linear_add(__global const float *from_rows, int n_in, __global const uchar *w,
                         int type, int bytes, __global float *x, __global float *xw,
                         __global const float *next_norm, int dim, int chunk)
{
	SCRATCH;
	float sum[ROWS];
	x_rows in = {from_rows, n_in, n_in};
	int from = (int)get_group_id(0) * chunk;
	int to = min(from + chunk, dim);
	for (int n = from; n < to; n++) {
		dot_weights(sum, type, w + (size_t)n * bytes, &in, scratch);
#pragma unroll
		for (int r = 0; r < ROWS; r++) {
			if (LANE == 0) {
				float value = x[r * dim + n] + sum[r];
				x[r * dim + n] = value;
				xw[r * dim + n] = value * next_norm[n];
			}
		}
	}
}

/* out [ROWS][ff] = silu(gate . norm(x)) * (up . norm(x)) */
__kernel void linear_gate(__global const float *x, __global const float *xw, int dim, float epsilon,
                          __global const uchar *w_gate, int gate_type, int gate_bytes,
                          __global const uchar *w_up, int up_type, int up_bytes,
                          __global float *out, int ff, int chunk)
{
	SCRATCH;
	float inverse[ROWS], gate[ROWS], up[ROWS];
	x_rows in = {xw, dim, dim};
	inverse_rms(inverse, x, dim, epsilon, scratch);
	int from = (int)get_group_id(0) * chunk;
	int to = min(from + chunk, ff);
	for (int n = from; n < to; n++) {
		dot_weights(gate, gate_type, w_gate + (size_t)n * gate_bytes, &in, scratch);
		dot_weights(up, up_type, w_up + (size_t)n * up_bytes, &in, scratch);
#pragma unroll
		for (int r = 0; r < ROWS; r++) {
			float g = gate[r] * inverse[r];
			if (LANE == 0)
				out[r * ff + n] = g / (1.0f + exp(-g)) * (up[r] * inverse[r]);
		}
	}
}

/* logits [ROWS][vocabulary] = w . norm(x), for the rows of x from x_row on, into those from out_row on */
__kernel void linear_logits(__global const float *x, __global const float *xw, int dim,
                            float epsilon, int x_row, __global const uchar *w, int type, int bytes,
                            __global float *logits, int vocabulary, int out_row, int chunk)
{
	SCRATCH;
	float inverse[ROWS], sum[ROWS];
	x += (size_t)x_row * dim;
	xw += (size_t)x_row * dim;
	logits += (size_t)out_row * vocabulary;
	x_rows in = {xw, dim, dim};
	inverse_rms(inverse, x, dim, epsilon, scratch);
	int from = (int)get_group_id(0) * chunk;
	int to = min(from + chunk, vocabulary);
	for (int n = from; n < to; n++) {
		dot_weights(sum, type, w + (size_t)n * bytes, &in, scratch);
#pragma unroll
		for (int r = 0; r < ROWS; r++) {
			if (LANE == 0)
				logits[(size_t)r * vocabulary + n] = sum[r] * inverse[r];
		}
	}
}
