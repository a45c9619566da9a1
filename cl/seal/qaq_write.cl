/* SPDX-License-Identifier: MIT */
/* qaq_write: encodes a seal job's blocks, with as many bits as each row was given, into the pages that the host has found for their
 * sizes; qaq_block.clh draws the block.
 * Source: QAQ, arXiv 2403.04643. There steps are R / 2^bits around a row's mean, and codes are clipped, which cuts off rows that are
 * skewed: that is QAQ_CENTRED. Else codes begin at the row's minimum, in steps of R / (2^bits - 1): nothing is cut off.
 * Grid: (LANES * jobs, STREAMS, layers). plan: of (layer, stream) the words at the job's dst say where the block goes.
 * Numbers: scales are rounded up to bfloat16, so that the range is within the codes; minimums are halves. */
#include "qaq_rows.clh"
#include "seal_args.clh"

#ifndef QAQ_MOST
#define QAQ_MOST 4
#endif
#ifndef QAQ_CENTRED
#define QAQ_CENTRED 0
#endif

/* The next bfloat16 that is not below x >= 0, as bits. */
INLINE intv scale_bits(floatv x)
{
	return (AS_INTV(x) + 0xffff) >> 16;
}

/* How codes mean values: as they are stored. */
struct meaning {
	intv scale; /* bits of a bfloat16 */
	floatv minimum;
};

INLINE struct meaning meaning_of(const struct extent e, intv bits)
{
	const floatv levels = TO_FLOATV((intv)(1) << bits), span = e.most - e.least;
	struct meaning m;
	m.scale =
		scale_bits(QAQ_CENTRED ? span / levels : span / MAX_OF(levels - 1.0f, (floatv)(1.0f)));
	m.scale = bits > 0 ? m.scale : (intv)(0);
	m.minimum = QAQ_CENTRED ? e.mean - levels * 0.5f * AS_FLOATV(m.scale << 16) : e.least;
	m.minimum = bits > 0 ? m.minimum : e.mean;
	ushort rounded[VEC];
	STOREV_HALF(MIN_OF(MAX_OF(m.minimum, (floatv)(-65504.0f)), (floatv)(65504.0f)),
	            (half *)rounded);
	m.minimum = LOADV_HALF((const half *)rounded);
	return m;
}

/* rint((x - minimum) / scale), within 0 .. 2^bits - 1. */
INLINE intv code_of(const struct meaning m, floatv inverse, intv bits, floatv x)
{
	floatv q = (x - m.minimum) * inverse;
	q = MIN_OF(MAX_OF(q, (floatv)(0.0f)), TO_FLOATV((intv)(1) << bits) - 1.0f);
	return AS_INTV(q + 12582912.0f) - 0x4b400000; /* 1.5 * 2^23: rounds */
}

/* Outliers of channel c, the next of each token's. */
INLINE void put_outliers(const struct qaq s, __global uchar *block, int t, int c, intv out,
                         floatv x, int *n)
{
	int is[VEC];
	float of[VEC];
	STOREV(out, is);
	STOREV(x, of);
	for (int i = 0; i < VEC; i++)
		if (is[i]) {
			vstore_half_rte(of[i], n[i], qaq_outliers(s, block, t + i));
			qaq_channels(s, block, t + i)[n[i]++] = (uchar)c;
		}
}

/* One byte of each plane of each token: channels c .. c + 7. rows: where the tokens' codes begin. */
INLINE void put_planes(const struct qaq s, __global uchar *block, const uint *rows, const int *bits,
                       int c, const intv *planes)
{
	for (int p = 0; p < QAQ_MOST; p++) {
		int bytes[VEC];
		STOREV(planes[p], bytes);
		for (int i = 0; i < VEC; i++)
			if (p < bits[i])
				block[rows[i] + (uint)(p * (s.dim / 8) + c / 8)] = (uchar)bytes[i];
	}
}

/* Tokens t .. t + VEC - 1 of a side. */
INLINE void write_rows(const struct qaq s, const struct source src, __global const uchar *widths,
                       __global uchar *block, int t)
{
	ROWS(x, s);
	uint rows[VEC];
	int of[VEC], n[VEC];
	const intv both = LOADV_BYTES(widths + t), bits = s.is_k ? both & 15 : both >> 4;
	load_rows(s, src, t, x);
	const struct bounds b = outlier_bounds(s, src, t, x);
	const struct meaning m = meaning_of(row_extent(s, src, t, b, x), bits);
	const floatv scale = AS_FLOATV(m.scale << 16);
	const floatv inverse = scale > 0.0f ? 1.0f / scale : (floatv)(0.0f);
	STOREV(bits, of);
	for (int i = 0; i < VEC; i++) {
		rows[i] = i == 0 ? qaq_row(s, widths, t) : rows[i - 1] + (uint)(of[i - 1] * (s.dim / 8));
		n[i] = 0;
	}
	for (int c0 = 0; c0 < s.dim; c0 += 8) {
		intv planes[QAQ_MOST];
		for (int p = 0; p < QAQ_MOST; p++)
			planes[p] = 0;
		for (int c = c0; c < c0 + 8; c++) {
			const floatv y = ROW(x, c);
			const intv out = is_outlier(b, y, c);
			const intv code = out ? (intv)(0) : code_of(m, inverse, bits, y);
			put_outliers(s, block, t, c, out, y, n);
			for (int p = 0; p < QAQ_MOST; p++)
				planes[p] |= (code >> p & 1) << (c - c0);
		}
		put_planes(s, block, rows, of, c0, planes);
	}
	int scales[VEC];
	STOREV(m.scale, scales);
	for (int i = 0; i < VEC; i++)
		qaq_scales(s, block)[t + i] = (ushort)scales[i];
	STOREV_HALF(m.minimum, qaq_minimums(s, block) + t);
}

__kernel GROUP_SIZE_WIDE void qaq_write(ARGS(WRITE_BLOCK_ARGS))
{
	__global const uint *job = plan + jobs + (uint)get_group_id(0) * ABI_SEAL_WORDS;
	const uint stream = first_stream + (uint)get_group_id(1),
			   layer = first_layer + (uint)get_group_id(2);
	const struct source src = job_source(pool, tables, job, layer, stream);
	__global const uchar *widths = qaq_section(sections, layer, stream);
	__global const uint *dst = plan + jobs + job_dst(job, layer, stream);
	const struct qaq k = K_QAQ, v = V_QAQ;
	if (!makes_block(src))
		return;
	__global uchar *block = pool + block_at(dst[ABI_DST_ADDR]);
	for (int t = LANE; t < BT; t += LANES)
		block[t] = widths[t];
	for (int t = LANE * VEC; t < BT; t += LANES * VEC) {
		write_rows(k, src, widths, block, t);
		write_rows(v, src, widths, block, t);
	}
}
