/* SPDX-License-Identifier: MIT */
#include "fitted_groups.h"

#include "factors_save.h"

#include <stdlib.h>

/* Numbers of a factor of K of a layer, all groups. */
static size_t layer_k(const struct fitted_groups *f)
{
	return f->heads * f->heads_k * f->dim * f->dim;
}

static size_t layer_v(const struct fitted_groups *f)
{
	return f->heads * f->heads * f->dim * f->dim;
}

bool fitted_groups_open(const struct model *m, size_t heads_k, struct fitted_groups *f,
                        struct tool_error *error)
{
	*f = (struct fitted_groups){
		.layers = (size_t)m->n_layers,
		.heads = (size_t)m->kv_heads,
		.dim = (size_t)m->head_dim,
		.heads_k = heads_k,
	};
	f->order = calloc(f->layers * f->heads, sizeof *f->order);
	f->k_down = calloc(f->layers * layer_k(f), sizeof *f->k_down);
	f->k_up = calloc(f->layers * layer_k(f), sizeof *f->k_up);
	f->v_down = calloc(f->layers * layer_v(f), sizeof *f->v_down);
	f->v_up = calloc(f->layers * layer_v(f), sizeof *f->v_up);
	if (!f->order || !f->k_down || !f->k_up || !f->v_down || !f->v_up)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < f->layers * f->heads; i++)
		f->order[i] = (int)(i % f->heads);
	return true;
}

void fitted_groups_close(struct fitted_groups *f)
{
	free(f->order);
	free(f->k_down);
	free(f->k_up);
	free(f->v_down);
	free(f->v_up);
	*f = (struct fitted_groups){0};
}

size_t fitted_groups_k(const struct fitted_groups *f, size_t layer, size_t group)
{
	const size_t width = f->heads_k * f->dim;
	return layer * layer_k(f) + group * width * width;
}

size_t fitted_groups_v(const struct fitted_groups *f, size_t layer)
{
	return layer * layer_v(f);
}

bool fitted_groups_save(const struct fitted_groups *f, const struct model *model, const char *path,
                        struct tool_error *error)
{
	clkv_factors factors = CLKV_INIT(clkv_factors);
	factors.rank_k = (int)(f->heads_k * f->dim), factors.rank_v = (int)(f->heads * f->dim);
	factors.k_down = f->k_down, factors.k_up = f->k_up;
	factors.v_down = f->v_down, factors.v_up = f->v_up;
	factors.heads_k = (int)f->heads_k, factors.heads_v = (int)f->heads;
	factors.before_rope = 1;
	factors.order_k = f->order;
	return factors_save(model, &factors, path, "writing the factors", error);
}
