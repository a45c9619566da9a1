/* SPDX-License-Identifier: MIT */
/* recall_budget: how many tokens a row recalls in this layer, of those that all its layers may recall together: a layer whose
 * scores are spread over many units gets more than one that knows what it wants.
 * Source: ActQKV, arXiv 2502.13542: a layer's part of what is left is its entropy's part of those of the layers still to come. There
 * these are running means over former steps; here they are taken to be as the row's layers so far, so that a row's choice depends
 * on nothing but its sequence.
 * Grid: (LANES * rows). Local: LANES floats.
 * scores  float [row][Q_HEADS][max_units] | budgets uint [most_rows], by the row's number among those that recall; behind them
 * [most_rows][2]:
 *         tokens that are left to later layers, sum of the entropies (a float's bits)
 * done    layers before it in this step, of `layers`; budget: of a layer, on average; it gets a quarter to twice that
 * Numbers: f32. Entropies are of each head's softmax over units, divided by the logarithm of their number; the heads' mean counts. */
#include "lanes.clh"
#include "recall_args.clh"
#include "segment.clh"

#ifndef G
#define G 1 /* query heads of a KV head */
#endif
#ifndef Q_HEADS
#define Q_HEADS (G * STREAMS) /* query heads */
#endif

/* Of a head's units, 0 to 1; of one unit 1. */
INLINE float entropy_of(__global const uchar *index, __global const uint *tables, uint list, uint n,
                        uint row, __global const float *scores, float scale, __local float *scratch)
{
	float top = -INFINITY, sum = 0.0f, product = 0.0f;
	uint units = 0;
	for (uint i = 0; i < n; i++) {
		const struct segment s = segment_at(index, tables, list, i, row);
		for (uint u = LANE; u < s.units; u += LANES)
			top = fmax(top, scores[s.start + u]);
		units += s.units;
	}
	top = lanes_max(top, scratch);
	for (uint i = 0; i < n; i++) {
		const struct segment s = segment_at(index, tables, list, i, row);
		for (uint u = LANE; u < s.units; u += LANES) {
			const float x = (scores[s.start + u] - top) * scale, e = exp(x);
			sum += e;
			product = fma(x, e, product);
		}
	}
	sum = lanes_sum(sum, scratch);
	product = lanes_sum(product, scratch);
	return units > 1 ? clamp((log(sum) - product / sum) / log((float)units), 0.0f, 1.0f) : 1.0f;
}

INLINE uint tokens_of(__global const uint *tables, uint list, uint n)
{
	uint tokens = 0;
	for (uint i = 0; i < n; i++)
		tokens += tables[list + ABI_SEGS_HEAD + i * ABI_SEG_WORDS + ABI_SEG_KEPT];
	return tokens;
}

__kernel GROUP_SIZE void recall_budget(ARGS(RECALL_BUDGET_ARGS))
{
	__local float scratch[LANES];
	const uint r = (uint)get_group_id(0);
	__global const uint *item =
		plan + items + plan[work + r * ABI_ASK_WORDS + ABI_ASK_ITEM] * ABI_ITEM_WORDS;
	const uint list = item[ABI_ITEM_SLAB] + segments, n = n_segments(tables, list);
	float mine = 0.0f;
	for (uint h = 0; h < Q_HEADS; h++)
		mine += entropy_of(index, tables, list, n, layer * STREAMS + h / G,
		                   scores + ((ulong)r * Q_HEADS + h) * max_units, scale, scratch) /
		        Q_HEADS;
	if (LANE != 0)
		return;
	__global uint *state = budgets + most_rows + 2 * (first_ask + r);
	const uint rest = layers - 1 - MIN_OF(done, layers - 1), least = MAX_OF(budget / 4, 1u);
	const uint tokens = done == 0 ? budget * layers : state[0];
	const float sum = mine + (done == 0 ? 0.0f : as_float(state[1]));
	const float others = rest * sum / (done + 1);
	const float share = mine + others > 0.0f ? mine / (mine + others) : 1.0f / (rest + 1);
	const uint spare = tokens > rest * least ? tokens - rest * least : 0;
	const uint part = MIN_OF(rest == 0 ? tokens : (uint)rint(tokens * share), spare);
	const uint most = MIN_OF(2 * budget, tokens_of(tables, list, n));
	const uint own = MIN_OF(MAX_OF(part, least), most);
	budgets[first_ask + r] = own;
	state[0] = tokens > own ? tokens - own : 0;
	state[1] = as_uint(sum);
}
