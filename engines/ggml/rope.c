/* SPDX-License-Identifier: MIT */
#include "rope.h"

#include <stdlib.h>
#include <string.h>

/** Places of the numbers in a node's op_params, as ggml.c writes them. */
enum {
	P_DIMS = 1,
	P_MODE = 2,
	P_ORIGINAL = 4,
	P_BASE = 5,
	P_SCALE = 6,
	P_EXT_FACTOR = 7,
	P_BETA_FAST = 9,
	P_BETA_SLOW = 10,
	P_FIRST_CHANNEL = 15
};

/** Operations between the rotation and the cache: more there aren't in any model. */
enum { MOST_BETWEEN = 8 };

static float float_param(const struct ggml_tensor *node, int i)
{
	float value;
	memcpy(&value, node->op_params + i, sizeof(value));
	return value;
}

void rope_free(struct rope *rope)
{
	free(rope->factors);
	*rope = (struct rope){.known = 0};
}

/** Copies the factors from wherever the weights lie. Returns 0: out of memory, or they're no floats. */
static int read_factors(struct rope *rope, const struct ggml_tensor *factors)
{
	if (!factors)
		return 1;
	const struct ggml_tensor *root = factors->view_src ? factors->view_src : factors;
	const size_t n = (size_t)rope->dims / 2;
	if (factors->type != GGML_TYPE_F32 || (size_t)factors->ne[0] < n || !root->buffer)
		return 0;
	rope->factors = malloc(n * sizeof(*rope->factors));
	if (!rope->factors)
		return 0;
	root->buffer->iface.get_tensor(root->buffer, factors, rope->factors, 0,
	                               n * sizeof(*rope->factors));
	return 1;
}

/** Tells whether the library takes such a rotation: it would refuse the whole cache else. */
static int is_common(const struct rope *rope, const struct ggml_tensor *node)
{
	const int is_yarn = rope->ext_factor != 0;
	return (rope->mode == GGML_ROPE_TYPE_NORMAL || rope->mode == GGML_ROPE_TYPE_NEOX) &&
	       rope->dims > 0 && !(rope->dims % 2) && rope->dims <= node->ne[0] &&
	       !node->op_params[P_FIRST_CHANNEL] && rope->base > 1 && rope->scale > 0 &&
	       (!is_yarn ||
	        (rope->scale <= 1 && rope->original >= 1 && rope->ext_factor > 0 &&
	         rope->ext_factor <= 1 && rope->beta_slow > 0 && rope->beta_slow < rope->beta_fast));
}

static void read_node(struct rope *rope, const struct ggml_tensor *node)
{
	*rope = (struct rope){.dims = node->op_params[P_DIMS],
	                      .mode = node->op_params[P_MODE],
	                      .original = node->op_params[P_ORIGINAL],
	                      .base = float_param(node, P_BASE),
	                      .scale = float_param(node, P_SCALE),
	                      .ext_factor = float_param(node, P_EXT_FACTOR),
	                      .beta_fast = float_param(node, P_BETA_FAST),
	                      .beta_slow = float_param(node, P_BETA_SLOW)};
	rope->known = is_common(rope, node) && read_factors(rope, node->src[2]);
}

void rope_of_rows(struct rope *rope, const struct ggml_tensor *rows)
{
	for (int i = 0; rows && i < MOST_BETWEEN; i++, rows = rows->src[0]) {
		if (rows->op != GGML_OP_ROPE)
			continue;
		rope_free(rope);
		read_node(rope, rows);
		return;
	}
}

clkv_rope rope_geometry(const struct rope *rope)
{
	if (!rope->known)
		return (clkv_rope){.kind = CLKV_ROPE_NONE};
	clkv_rope r = {.kind = rope->mode == GGML_ROPE_TYPE_NEOX ? CLKV_ROPE_HALVES : CLKV_ROPE_PAIRS,
	               .dims = rope->dims,
	               .base = rope->base,
	               .factors = rope->factors};
	if (rope->ext_factor != 0) {
		r.scaling = CLKV_ROPE_YARN;
		r.original = (float)rope->original;
		r.beta_fast = rope->beta_fast;
		r.beta_slow = rope->beta_slow;
		r.ext_factor = rope->ext_factor;
	} else if (rope->scale != 1) {
		r.scaling = CLKV_ROPE_LINEAR;
	}
	if (r.scaling)
		r.factor = 1 / rope->scale;
	return r;
}

static int same_factors(const struct rope *a, const struct rope *b)
{
	if (!a->factors || !b->factors)
		return a->factors == b->factors;
	return !memcmp(a->factors, b->factors, (size_t)a->dims / 2 * sizeof(*a->factors));
}

static int same(float a, float b)
{
	return !memcmp(&a, &b, sizeof(a));
}

int rope_is(const struct rope *rope, const struct ggml_tensor *node)
{
	struct rope other;
	read_node(&other, node);
	const int is = rope->known && other.known && rope->dims == other.dims &&
	               rope->mode == other.mode && rope->original == other.original &&
	               same(rope->base, other.base) && same(rope->scale, other.scale) &&
	               same(rope->ext_factor, other.ext_factor) &&
	               same(rope->beta_fast, other.beta_fast) &&
	               same(rope->beta_slow, other.beta_slow) && same_factors(rope, &other);
	rope_free(&other);
	return is;
}
