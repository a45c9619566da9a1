/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_place.c
 * \brief   Sealed blocks lie in host memory, so that the device's holds more sequences or longer ones.
 *
 * Sources: the offloading of ClusterKV (arXiv 2412.03213) and A2ATS (arXiv 2502.12665). Unlike ClusterKV's, a cache of
 * recalled rows keeps single tokens, the most recently used ones.
 */
#include "base/error.h"
#include "stage/stage.h"

struct place_options {
	int where, via, cached;
};

#define AT(field) offsetof(struct place_options, field)

static const struct clkv__key place_keys[] = {
	{"where", CLKV__KEY_NAME, AT(where), 0, 0, "device|host", 1,
     "whose memory sealed blocks lie in"},
	{"via", CLKV__KEY_NAME, AT(via), 0, 0, "auto|map|copy|attend", CLKV__VIA_AUTO,
     "how the host's is read: in place, by devices that share it; recalled rows are copied to the "
     "device; "
     "the host attends to recalled rows; auto: map or copy"},
	{"cached", CLKV__KEY_INT, AT(cached), 1, 1 << 20, NULL, CLKV__UNSET,
     "via=copy: recalled rows that a layer's KV head of a sequence keeps on the device; if not "
     "given, twice "
     "what it can recall at once"},
};

static clkv_status plan_place(const void *options, const struct clkv__shape *shape,
                              struct clkv__plan *plan, struct clkv__variant *variant,
                              clkv_error *error)
{
	const struct place_options *o = options;
	(void)shape, (void)variant;
	if (o->where == 0 && (o->via != CLKV__VIA_AUTO || o->cached != CLKV__UNSET))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'place': keys 'via' and 'cached' are of where=host; allowed: place:device "
		          "alone");
	if (o->cached != CLKV__UNSET && o->via != CLKV__VIA_AUTO && o->via != CLKV__VIA_COPY)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'place': key 'cached' is of via=copy, which alone keeps rows; allowed: "
		          "via=copy, via=auto");
	plan->place = (struct clkv__placement){
		.host = o->where == 1,
		.via = (enum clkv__via)o->via,
		.cached = o->cached,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_place = {
	.name = "place",
	.brief = "sealed blocks in host memory",
	.source = "ClusterKV, arXiv 2412.03213; A2ATS, arXiv 2502.12665",
	.kind = CLKV__PLACE,
	.keys = place_keys,
	.n_keys = sizeof place_keys / sizeof place_keys[0],
	.plan = plan_place,
};
