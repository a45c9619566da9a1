/* SPDX-License-Identifier: MIT */
/* linear: the linear layers for ROWS rows, straight from quantized weights.
 *
 * Residual rows x [ROWS][DIM] come with xw = x * (weights of the RMSNorm that follows), written by
 * whoever wrote x. So a layer behind a norm is dot(w, xw) / rms(x): the norm costs no pass of its own.
 * Grid: (LANES * groups); groups share the pairs of panels. The switch on a weight's type is the same
 * for a whole group. The model's shape is known when this is compiled: drivers copy each argument.
 */
#include "dot.clh"

#ifndef DIM
#define DIM 576       /* of a residual row, a multiple of 32 like FF and Q_DIM */
#define FF 1536       /* inside the feed-forward layer */
#define Q_DIM 576     /* all query heads */
#define KV_DIM 192    /* all KV heads */
#define HEAD_DIM 64   /* even */
#define ROPE_DIMS 64  /* of a head, turned by RoPE */
#define EPSILON 1e-5f /* of the RMSNorm */
#define VOCABULARY 1024
#endif

/* An even number: panels come in pairs. */
#define PANELS_OF(n_outputs) (((n_outputs) + 2 * PANEL - 1) / (2 * PANEL) * 2)

/* The first panel of group g out of n_panels, even as well */
INLINE int share_of(int n_panels, int g)
{
	return n_panels / 2 * g / (int)get_num_groups(0) * 2;
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

/* Outputs n, n + 1, ... of q or k: pairs of a head, of which RoPE turns the first ROPE_DIMS / 2 */
INLINE void store_turned(__global float *out, floatv v, int n, int width,
                         __global const float2 *rope)
{
	float values[VEC];
	STOREV(v, values);
	int d = n % HEAD_DIM;
	for (int i = 0; i < min(VEC, width - n); i += 2) {
		float2 angle = d < ROPE_DIMS ? rope[d / 2] : (float2)(1.0f, 0.0f);
		out[n + i] = values[i] * angle.x - values[i + 1] * angle.y;
		out[n + i + 1] = values[i] * angle.y + values[i + 1] * angle.x;
		d = d + 2 < HEAD_DIM ? d + 2 : 0;
	}
}

/* A matrix of several that a launch takes one behind the other, and what becomes of it */
struct part {
	__global const uchar *w;
	__global float *out;
	int type, begin, width; /* its first panel among all, its outputs */
};

/* q [ROWS][Q_DIM], k and v [ROWS][KV_DIM] of one layer. Outputs of q and k come in pairs (2i, 2i + 1)
 * of a head; RoPE turns the first ROPE_DIMS of each head by the angles whose cosine and sine are in
 * rope [ROWS][ROPE_DIMS / 2]. */
__kernel void linear_qkv(__global const float *x, __global const float *xw,
                         __global const uchar *wq, int q_type, __global const uchar *wk, int k_type,
                         __global const uchar *wv, int v_type, __global const float2 *rope,
                         __global float *q, __global float *k, __global float *v)
{
	__local float memory[ROWS_MEMORY(DIM)];
	const int all = PANELS_OF(Q_DIM) + 2 * PANELS_OF(KV_DIM);
	const int from = share_of(all, (int)get_group_id(0));
	const int to = share_of(all, (int)get_group_id(0) + 1);
	const struct part parts[3] = {
		{wq, q, q_type, 0, Q_DIM},
		{wk, k, k_type, PANELS_OF(Q_DIM), KV_DIM},
		{wv, v, v_type, PANELS_OF(Q_DIM) + PANELS_OF(KV_DIM), KV_DIM},
	};
	int i = from >= parts[2].begin ? 2 : from >= parts[1].begin ? 1 : 0;
	fetch_first(panel_at(parts[i].type, parts[i].w, DIM, from - parts[i].begin));
	float inverse[ROWS];
	x_rows in = use_rows(xw, DIM, memory);
	inverse_rms(inverse, x, EPSILON, &in);
	for (int panel = from; panel < to; panel += PANELS) {
		i = panel >= parts[2].begin ? 2 : panel >= parts[1].begin ? 1 : 0;
		dot_sums sums = dot_weights(parts[i].type, parts[i].w, panel - parts[i].begin, &in);
#pragma unroll
		for (int p = 0; p < PANELS; p++) {
			const int n = (panel - parts[i].begin + p) * PANEL + SLICE, width = parts[i].width;
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				floatv value = sums.of[p][r] * inverse[r];
				if (SPLIT != 0)
					continue;
				if (i == 2)
					store_outputs(v + r * width, value, n, width);
				else
					store_turned(parts[i].out + r * width, value, n, width,
					             rope + r * (ROPE_DIMS / 2));
			}
		}
	}
}

/* x += w . in, and xw = x * (weights of the norm that reads x next); in [ROWS][n_in] */
__kernel void linear_add(__global const float *from_rows, int n_in, __global const uchar *w,
                         int type, __global float *x, __global float *xw,
                         __global const float *next_norm)
{
	__local float memory[ROWS_MEMORY(Q_DIM > FF ? Q_DIM : FF)];
	const int from = share_of(PANELS_OF(DIM), (int)get_group_id(0));
	const int to = share_of(PANELS_OF(DIM), (int)get_group_id(0) + 1);
	fetch_first(panel_at(type, w, n_in, from));
	x_rows in = use_rows(from_rows, n_in, memory);
	for (int panel = from; panel < to; panel += PANELS) {
		dot_sums sums = dot_weights(type, w, panel, &in);
#pragma unroll
		for (int p = 0; p < PANELS; p++) {
			const int n = (panel + p) * PANEL + SLICE;
			floatv norm = LOADV(next_norm + n);
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				floatv value = LOADV(x + r * DIM + n) + sums.of[p][r];
				if (SPLIT != 0)
					continue;
				STOREV(value, x + r * DIM + n);
				STOREV(value * norm, xw + r * DIM + n);
			}
		}
	}
}

/* out [ROWS][FF] = silu(gate . norm(x)) * (up . norm(x)); out holds the gate in between, so that a group
 * reads one matrix behind the other */
__kernel void linear_gate(__global const float *x, __global const float *xw,
                          __global const uchar *w_gate, int gate_type, __global const uchar *w_up,
                          int up_type, __global float *out)
{
	__local float memory[ROWS_MEMORY(DIM)];
	const int from = share_of(PANELS_OF(FF), (int)get_group_id(0));
	const int to = share_of(PANELS_OF(FF), (int)get_group_id(0) + 1);
	fetch_first(panel_at(gate_type, w_gate, DIM, from));
	float inverse[ROWS];
	x_rows in = use_rows(xw, DIM, memory);
	inverse_rms(inverse, x, EPSILON, &in);
	for (int panel = from; panel < to; panel += PANELS) {
		dot_sums gate = dot_weights(gate_type, w_gate, panel, &in);
#pragma unroll
		for (int p = 0; p < PANELS; p++) {
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				if (SPLIT == 0)
					STOREV(gate.of[p][r] * inverse[r], out + r * FF + (panel + p) * PANEL + SLICE);
			}
		}
	}
	fetch_first(panel_at(up_type, w_up, DIM, from));
	for (int panel = from; panel < to; panel += PANELS) {
		dot_sums up = dot_weights(up_type, w_up, panel, &in);
#pragma unroll
		for (int p = 0; p < PANELS; p++) {
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				const int n = r * FF + (panel + p) * PANEL + SLICE;
				floatv g = LOADV(out + n);
				if (SPLIT == 0)
					STOREV(g / (1.0f + exp(-g)) * (up.of[p][r] * inverse[r]), out + n);
			}
		}
	}
}

/* logits [ROWS][VOCABULARY] = w . norm(x), for the rows of x from x_row on, into those from out_row on */
__kernel void linear_logits(__global const float *x, __global const float *xw, int x_row,
                            __global const uchar *w, int type, __global float *logits, int out_row)
{
	__local float memory[ROWS_MEMORY(DIM)];
	const int from = share_of(PANELS_OF(VOCABULARY), (int)get_group_id(0));
	const int to = share_of(PANELS_OF(VOCABULARY), (int)get_group_id(0) + 1);
	fetch_first(panel_at(type, w, DIM, from));
	float inverse[ROWS];
	x_rows in = use_rows(xw + (size_t)x_row * DIM, DIM, memory);
	inverse_rms(inverse, x + (size_t)x_row * DIM, EPSILON, &in);
	logits += (size_t)out_row * VOCABULARY;
	for (int panel = from; panel < to; panel += PANELS) {
		dot_sums sums = dot_weights(type, w, panel, &in);
#pragma unroll
		for (int p = 0; p < PANELS; p++) {
			const int n = (panel + p) * PANEL + SLICE;
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				if (SPLIT == 0)
					store_outputs(logits + (size_t)r * VOCABULARY, sums.of[p][r] * inverse[r], n,
					              VOCABULARY);
			}
		}
	}
}
