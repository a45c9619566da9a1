/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_qaq.c
 * \brief   QAQ: bits per token from a bound on attention's error, by rules of their own for K and V; outliers stay in half.
 *
 * Source: arXiv 2403.04643, sections 3 and 4. Unlike the original, which asks for the attention of a whole text and codes all of it
 * anew, a token's bits are settled when it leaves the window, by the newest queries of that moment; a group is a row of one KV head;
 * codes begin at a row's minimum unless `centre=mean`. doc/qaq.md
 */
#include "base/error.h"
#include "codec/codec.h"
#include "stage/stage.h"

struct qaq_options {
	float eps, eps_k, eps_v, qn, outliers;
	int n, bmin, bmax, centre;
};

#define AT(field) offsetof(struct qaq_options, field)

static const struct clkv__key qaq_keys[] = {
	{"eps", CLKV__KEY_REAL, AT(eps), 1e-6, 1e6, NULL, 1,
     "error that a row's codes may make of attention's output"},
	{"eps_k", CLKV__KEY_REAL, AT(eps_k), 1e-6, 1e6, NULL, CLKV__UNSET,
     "that of rows of K, if not `eps`"},
	{"eps_v", CLKV__KEY_REAL, AT(eps_v), 1e-6, 1e6, NULL, CLKV__UNSET,
     "that of rows of V, if not `eps`"},
	{"n", CLKV__KEY_INT, AT(n), 1, 64, NULL, 5,
     "newest queries whose largest weight says how much a token matters"},
	{"bmin", CLKV__KEY_INT, AT(bmin), 0, 8, NULL, 2,
     "least bits of a row's codes; 0 is the mean alone"},
	{"bmax", CLKV__KEY_INT, AT(bmax), 1, 8, NULL, 4, "most bits"},
	{"outliers", CLKV__KEY_REAL, AT(outliers), 0, 0.25, NULL, 0.01,
     "share of a row's values that stay in half, the least and the largest; rounded up to one at "
     "either end"},
	{"qn", CLKV__KEY_REAL, AT(qn), 1e-6, 1e6, NULL, 300, "how large queries are, in K's bound"},
	{"centre", CLKV__KEY_NAME, AT(centre), 0, 0, "min|mean", 0,
     "where codes begin: at a row's minimum, or clipped around its mean as in the original"},
};

/* What comes before it. */
static clkv_status check_chain(const struct clkv__variant *variant, clkv_error *error)
{
	if (clkv__prunes(&variant->prune))
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"stage 'qaq' can't follow a stage that prunes channels: its bounds and outliers are of "
			"rows with all channels; allowed: kivi, q or kvcomp here");
	if (variant->project)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"stage 'qaq' can't follow lowrank or cskv: its bounds hold for rows, and latents are "
			"multiplied with factors of any size; allowed: kivi or q here");
	return CLKV_OK;
}

static clkv_status plan_qaq(const void *options, const struct clkv__shape *shape,
                            struct clkv__plan *plan, struct clkv__variant *variant,
                            clkv_error *error)
{
	const struct qaq_options *o = options;
	(void)shape, (void)plan;
	CLKV_TRY(check_chain(variant, error));
	if (o->bmin > o->bmax)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'qaq': bmin is %d and bmax is %d; allowed: bmin up to bmax", o->bmin,
		          o->bmax);
	variant->codec = &clkv__codec_qaq;
	variant->spec.qaq = (struct clkv__qaq_spec){
		.eps_k = o->eps_k < 0 ? o->eps : o->eps_k,
		.eps_v = o->eps_v < 0 ? o->eps : o->eps_v,
		.query = o->qn,
		.rows = o->n,
		.least = o->bmin,
		.most = o->bmax,
		.outliers = o->outliers,
		.centred = o->centre == 1,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_qaq = {
	.name = "qaq",
	.brief = "bits per token by the attention it got, outliers exact",
	.source = "QAQ, arXiv 2403.04643",
	.kind = CLKV__ENCODE,
	.keys = qaq_keys,
	.n_keys = sizeof qaq_keys / sizeof qaq_keys[0],
	.window = 64,
	.plan = plan_qaq,
};
