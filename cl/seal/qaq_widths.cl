/* SPDX-License-Identifier: MIT */
/* qaq_widths: how many bits the codes of each token's K and V get, by what their error does to attention's output.
 * Source: QAQ, arXiv 2403.04643, sections 3 and 4: with a sequence of T tokens, rows of K may be off by
 *     E = sqrt(12 / QAQ_QUERY * ln(T^3 / (T - 1) * eps^2 + 1))
 * and those of V, of a token that got at most the weight A of the newest queries, by E = sqrt(12 / T) * eps / A. A row whose values
 * but for the outliers span R gets the least bits with R / (2^bits - 1) <= 2 E, within QAQ_LEAST .. QAQ_MOST; a token that too few
 * queries have seen gets QAQ_MOST.
 * Grid: (LANES * jobs, STREAMS, layers). Local: DK + BT floats. sections: widths, as qaq_block.clh draws them. */
#include "qaq_rows.clh"
#include "received.clh"
#include "seal_args.clh"

#ifndef QAQ_LEAST
#define QAQ_LEAST 2
#define QAQ_MOST 4
#define QAQ_EPS_K 0x3f800000 /* bits of a float */
#define QAQ_EPS_V 0x3f800000
#define QAQ_QUERY 0x43960000
#endif

/* Widths of rows that span `span`, of which half may be wrong by 1 / finer. */
INLINE intv widths_of(floatv span, floatv finer)
{
	intv bits = QAQ_LEAST;
	for (int b = QAQ_LEAST; b < QAQ_MOST; b++)
		bits += span * 0.5f * finer > (float)((1 << b) - 1) ? (intv)(1) : (intv)(0);
	return bits;
}

INLINE floatv span_of(const struct qaq s, const struct source src, int t)
{
	ROWS(x, s);
	load_rows(s, src, t, x);
	const struct extent e = row_extent(s, src, t, outlier_bounds(s, src, t, x), x);
	return e.most - e.least;
}

__kernel GROUP_SIZE void qaq_widths(ARGS(JUDGE_BLOCK_ARGS))
{
	__local float query[DK], received[BT];
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct source src = job_source(pool, tables, job, layer, stream);
	__global uchar *widths = qaq_section(sections, layer, stream);
	const struct weighing w = {window, scale, softcap, alpha};
	const struct qaq k = K_QAQ, v = V_QAQ;
	const float n = (float)MAX_OF(job[ABI_SEAL_END], 2u);
	const float eps_k = as_float(QAQ_EPS_K), eps_v = as_float(QAQ_EPS_V);
	const float finer_k =
		rsqrt(12.0f / as_float(QAQ_QUERY) * log(n / (n - 1.0f) * n * eps_k * n * eps_k + 1.0f));
	const float finer_v = 1.0f / (sqrt(12.0f / n) * eps_v);
	if (makes_block(src))
		weigh_received(src, newest_of(seen, job, LAYERS, layer), w, stream, query, received);
	for (int t = LANE * VEC; t < BT && makes_block(src); t += LANES * VEC) {
		const floatv got = LOADV(received + t);
		intv of_k = widths_of(span_of(k, src, t), (floatv)(finer_k));
		intv of_v = widths_of(span_of(v, src, t), got * finer_v);
		of_k = got < 0.0f ? (intv)(QAQ_MOST) : of_k;
		of_v = got < 0.0f ? (intv)(QAQ_MOST) : of_v;
		STOREV_BYTES(there_k(src, t) ? of_k | of_v << 4 : (intv)(0), widths + t);
	}
}
