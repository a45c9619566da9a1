/* SPDX-License-Identifier: MIT */
/* linear: the linear layers for ROWS rows, straight from quantized weights.
 *
 * Residual rows x [ROWS][dim] come with xw = x * (weights of the RMSNorm that follows), written by
 * whoever wrote x. So a layer behind a norm is dot(w, xw) / rms(x): the norm costs no pass of its own.
 * Grid: (LANES * groups); a group takes `chunk` panels that follow each other, an even number. The switch on a
 * weight's type is the same for a whole group. *_bytes is a panel of weights; `memory` as in dot.clh.
 */
#include "dot.clh"

/* An even number: panels come in pairs. */
INLINE int panels_of(int n_outputs)
{
	return (n_outputs + 2 * PANEL - 1) / (2 * PANEL) * 2;
}

/* The values of v for outputs n, n + 1, ... as far as there are `width` */
INLINE void store_outputs(__global float *out, floatv v, int n, int width)
{
	if (n + VEC <= width) {
		STOREV(v, out + n);
	} else {
		float values[VEC];
		STOREV(v, values);
		for (int i = 0; i < width - n; i++)
			out[n + i] = values[i];
	}
}

/* Outputs n, n + 1, ... of q or k: pairs of a head, of which RoPE turns the first rope_dims / 2 */
INLINE void store_turned(__global float *out, floatv v, int n, int width,
                         __global const float2 *rope, int rope_dims, int head_dim)
{
	float values[VEC];
	STOREV(v, values);
	int d = n % head_dim;
	for (int i = 0; i < min(VEC, width - n); i += 2) {
		float2 angle = d < rope_dims ? rope[d / 2] : (float2)(1.0f, 0.0f);
		out[n + i] = values[i] * angle.x - values[i + 1] * angle.y;
		out[n + i + 1] = values[i] * angle.y + values[i + 1] * angle.x;
		d = d + 2 < head_dim ? d + 2 : 0;
	}
}

/* q [ROWS][q_dim], k and v [ROWS][kv_dim] of one layer. Outputs of q and k come in pairs (2i, 2i + 1)
 * of a head; RoPE turns the first rope_dims of each head by the angles whose cosine and sine are in
 * rope [ROWS][rope_dims / 2]. */
__kernel void linear_qkv(__global const float *x, __global const float *xw, int dim, float epsilon,
                         __local float *memory, __global const uchar *wq, int q_type, int q_bytes,
                         int q_dim, __global const uchar *wk, int k_type, int k_bytes,
                         __global const uchar *wv, int v_type, int v_bytes, int kv_dim,
                         __global const float2 *rope, int rope_dims, int head_dim,
                         __global float *q, __global float *k, __global float *v, int chunk)
{
	float inverse[ROWS];
	x_rows in = use_rows(xw, dim, memory);
	inverse_rms(inverse, x, epsilon, &in);
	const int q_panels = panels_of(q_dim), kv_panels = panels_of(kv_dim);
	const int to = min(((int)get_group_id(0) + 1) * chunk, q_panels + 2 * kv_panels);
	for (int panel = (int)get_group_id(0) * chunk; panel < to; panel += PANELS) {
		int begin = 0, width = q_dim, type = q_type, bytes = q_bytes;
		__global const uchar *w = wq;
		__global float *out = q;
		if (panel >= q_panels + kv_panels) {
			begin = q_panels + kv_panels;
			width = kv_dim, type = v_type, bytes = v_bytes, w = wv, out = v;
		} else if (panel >= q_panels) {
			begin = q_panels;
			width = kv_dim, type = k_type, bytes = k_bytes, w = wk, out = k;
		}
		dot_sums sums = dot_weights(type, w, bytes, panel - begin, &in);
#pragma unroll
		for (int p = 0; p < PANELS; p++) {
			const int n = (panel - begin + p) * PANEL + SLICE;
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				floatv value = sums.of[p][r] * inverse[r];
				if (SPLIT != 0)
					continue;
				if (out == v)
					store_outputs(out + r * width, value, n, width);
				else
					store_turned(out + r * width, value, n, width, rope + r * (rope_dims / 2),
					             rope_dims, head_dim);
			}
		}
	}
}

/* x += w . in, and xw = x * (weights of the norm that reads x next); in [ROWS][n_in], dim a multiple
 * of 32 */
__kernel void linear_add(__global const float *from_rows, int n_in, __local float *memory,
                         __global const uchar *w, int type, int bytes, __global float *x,
                         __global float *xw, __global const float *next_norm, int dim, int chunk)
{
	const int from = (int)get_group_id(0) * chunk;
	const int to = min(from + chunk, panels_of(dim));
	fetch_first(w + (size_t)from * bytes);
	x_rows in = use_rows(from_rows, n_in, memory);
	for (int panel = from; panel < to; panel += PANELS) {
		dot_sums sums = dot_weights(type, w, bytes, panel, &in);
#pragma unroll
		for (int p = 0; p < PANELS; p++) {
			const int n = (panel + p) * PANEL + SLICE;
			floatv norm = LOADV(next_norm + n);
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				floatv value = LOADV(x + r * dim + n) + sums.of[p][r];
				if (SPLIT != 0)
					continue;
				STOREV(value, x + r * dim + n);
				STOREV(value * norm, xw + r * dim + n);
			}
		}
	}
}

/* out [ROWS][ff] = silu(gate . norm(x)) * (up . norm(x)); out holds the gate in between, so that a group
 * reads one matrix behind the other */
__kernel void linear_gate(__global const float *x, __global const float *xw, int dim, float epsilon,
                          __local float *memory, __global const uchar *w_gate, int gate_type,
                          int gate_bytes, __global const uchar *w_up, int up_type, int up_bytes,
                          __global float *out, int ff, int chunk)
{
	float inverse[ROWS];
	const int from = (int)get_group_id(0) * chunk;
	const int to = min(from + chunk, panels_of(ff));
	fetch_first(w_gate + (size_t)from * gate_bytes);
	x_rows in = use_rows(xw, dim, memory);
	inverse_rms(inverse, x, epsilon, &in);
	for (int panel = from; panel < to; panel += PANELS) {
		dot_sums gate = dot_weights(gate_type, w_gate, gate_bytes, panel, &in);
#pragma unroll
		for (int p = 0; p < PANELS; p++) {
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				if (SPLIT == 0)
					STOREV(gate.of[p][r] * inverse[r], out + r * ff + (panel + p) * PANEL + SLICE);
			}
		}
	}
	fetch_first(w_up + (size_t)from * up_bytes);
	for (int panel = from; panel < to; panel += PANELS) {
		dot_sums up = dot_weights(up_type, w_up, up_bytes, panel, &in);
#pragma unroll
		for (int p = 0; p < PANELS; p++) {
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				const int n = r * ff + (panel + p) * PANEL + SLICE;
				floatv g = LOADV(out + n);
				if (SPLIT == 0)
					STOREV(g / (1.0f + exp(-g)) * (up.of[p][r] * inverse[r]), out + n);
			}
		}
	}
}

/* logits [ROWS][vocabulary] = w . norm(x), for the rows of x from x_row on, into those from out_row on */
__kernel void linear_logits(__global const float *x, __global const float *xw, int dim,
                            float epsilon, __local float *memory, int x_row,
                            __global const uchar *w, int type, int bytes, __global float *logits,
                            int vocabulary, int out_row, int chunk)
{
	float inverse[ROWS];
	const int from = (int)get_group_id(0) * chunk;
	const int to = min(from + chunk, panels_of(vocabulary));
	fetch_first(w + (size_t)from * bytes);
	x_rows in = use_rows(xw + (size_t)x_row * dim, dim, memory);
	inverse_rms(inverse, x + (size_t)x_row * dim, epsilon, &in);
	logits += (size_t)out_row * vocabulary;
	for (int panel = from; panel < to; panel += PANELS) {
		dot_sums sums = dot_weights(type, w, bytes, panel, &in);
#pragma unroll
		for (int p = 0; p < PANELS; p++) {
			const int n = (panel + p) * PANEL + SLICE;
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				if (SPLIT == 0)
					store_outputs(logits + (size_t)r * vocabulary, sums.of[p][r] * inverse[r], n,
					              vocabulary);
			}
		}
	}
}
