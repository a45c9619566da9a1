/* SPDX-License-Identifier: MIT */
/**
 * \file    train_lorc.c
 * \brief   Factors of weights alone, and ranks by their condition numbers.
 *
 * Source: LoRC, arXiv 2410.03111. W = U S V^T makes keys of inputs; the latent x U of an input x is (x W) V / S of its keys, and
 * S V^T makes them again: V and S^2 are eigenvectors and eigenvalues of W^T W, which weight_gram sums up of the file's rows.
 */
#include "train_groups.h"

#include "eigen.h"
#include "factors_fit.h"
#include "fitted_groups.h"
#include "progress.h"
#include "rank_schedule.h"
#include "weight_gram.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Condition numbers beyond it are those of singular matrices: their squares are where double ends. */
static const double singular = 1e7;

/* Work space of a layer: [width][width] twice, [width]. */
struct room {
	size_t width;
	double *gram, *kept, *values;
};

static bool condition(struct room *r, const char *name, size_t layer, double *log_condition,
                      struct tool_error *error)
{
	memcpy(r->kept, r->gram, r->width * r->width * sizeof *r->kept);
	if (!eigen_vectors((int)r->width, r->kept, r->values, error))
		return false;
	double most = r->values[0], least = r->values[r->width - 1];
	if (!(most > 0) || !(least * singular * singular > most))
		return tool_fail(error,
		                 "blk.%zu.%s.weight is singular: its singular values go from %.3g to "
		                 "%.3g; needed: a condition number below %.0e",
		                 layer, name, sqrt(fmax(0, most)), sqrt(fmax(0, least)), singular);
	*log_condition += log(most / least) / 2;
	return true;
}

static bool fit(struct room *r, const struct gguf_tensor *tensor, const char *name, size_t layer,
                float *down, float *up, double *log_condition, struct tool_error *error)
{
	return (weight_gram(tensor, false, r->gram) || tool_fail(error, "out of memory")) &&
	       condition(r, name, layer, log_condition, error) &&
	       factors_components(r->width, r->gram, down, up, error);
}

/* One band for each run of layers of one rank. */
static void write_recipe(const struct model *m, const double *ranks, char *text, size_t size)
{
	size_t layers = (size_t)m->n_layers, at = 0;
	for (size_t l = 0, next; l < layers && at < size; l = next) {
		int rank = rank_in_sixteens(ranks[l], m->head_dim);
		for (next = l + 1; next < layers && rank_in_sixteens(ranks[next], m->head_dim) == rank;)
			next++;
		const char *between = l > 0 ? " ; " : "", *first = l > 0 ? "" : "layers=";
		int n = next == layers ? snprintf(text + at, size - at, "%s%s%zu-: lorc:k=%d,v=%d", between,
		                                  first, l, rank, rank)
		                       : snprintf(text + at, size - at, "%s%s%zu-%zu: lorc:k=%d,v=%d",
		                                  between, first, l, next - 1, rank, rank);
		at += (size_t)n;
	}
}

static bool fit_all(const struct model *m, struct room *r, struct fitted_groups *f,
                    double *conditions, struct tool_error *error)
{
	for (size_t l = 0; l < f->layers; l++) {
		const size_t k = fitted_groups_k(f, l, 0), v = fitted_groups_v(f, l);
		if (!fit(r, m->layers[l].k, "attn_k", l, f->k_down + k, f->k_up + k, &conditions[l],
		         error) ||
		    !fit(r, m->layers[l].v, "attn_v", l, f->v_down + v, f->v_up + v, &conditions[l], error))
			return false;
		progress_show("factors", l + 1, f->layers);
	}
	return true;
}

bool train_lorc(const struct model *m, float most, float least, const char *path, char *recipe,
                size_t size, struct tool_error *error)
{
	struct fitted_groups f;
	const size_t width = (size_t)(m->kv_heads * m->head_dim), layers = (size_t)m->n_layers;
	struct room r = {.width = width};
	if (!eigen_ready(error))
		return false;
	r.gram = calloc(2 * width * width + width + 2 * layers, sizeof *r.gram);
	bool done = fitted_groups_open(m, (size_t)m->kv_heads, &f, error) &&
	            (r.gram || tool_fail(error, "out of memory"));
	if (done) {
		r.kept = r.gram + width * width;
		r.values = r.kept + width * width;
		double *conditions = r.values + width, *ranks = conditions + layers;
		done = fit_all(m, &r, &f, conditions, error) && fitted_groups_save(&f, m, path, error);
		rank_schedule(layers, conditions, (double)most * m->head_dim, (double)least * m->head_dim,
		              ranks);
		write_recipe(m, ranks, recipe, size);
	}
	fitted_groups_close(&f);
	free(r.gram);
	progress_clear();
	return done;
}
