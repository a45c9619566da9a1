/* SPDX-License-Identifier: MIT */
/** \file settle.c \brief What each way to host memory asks of device, recipe and model. */
#include "cache/settle.h"

#include "base/error.h"

static const char *name_of(enum clkv__via via)
{
	return via == CLKV__VIA_COPY ? "copy" : "attend";
}

static clkv_status check_map(const clkv_context *context, clkv_error *error)
{
	if (!context->unified)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "stage 'place': via=map needs a device that shares its memory with the host, "
		          "which '%.60s' "
		          "doesn't; allowed: via=copy, via=attend",
		          context->info.name);
	return CLKV_OK;
}

/* Rows that were asked for come to the device one by one: nothing there may want to see all of a sealed block. */
static clkv_status check_moves(const struct clkv__shape *shape, const struct clkv__plan *plan,
                               clkv_error *error)
{
	const char *via = name_of(plan->place.via);
	const struct clkv__recall *r = &plan->recall;
	if (clkv__selects(&plan->select))
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "stage 'place': via=%s moves rows that an index recalls, and what '%s' keeps is "
		          "attended to in full; allowed: via=map where the device can",
		          via, plan->select.stage);
	if (!clkv__recalls(r) || clkv__index_kind_of(r)->by_keys)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "stage 'place': via=%s needs a stage that recalls tokens by an index%s; allowed: "
		          "behind "
		          "clusterkv, a2ats or pages, or via=map where the device can",
		          via, clkv__recalls(r) ? ", and topk reads all keys" : "");
	if (!plan->sealing.codec->by_token)
		CLKV_FAIL(
			error, CLKV_ERROR_UNSUPPORTED,
			"stage 'place': via=%s needs sealed blocks of whole rows in half, but a stage prunes "
			"or "
			"encodes them; allowed: a stage that recalls alone, or via=map where the device can",
			via);
	if (plan->general.seal == 0)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "stage 'place': via=%s can't follow seal=chunk, whose later chunks attend to all "
		          "of the "
		          "earlier; allowed: seal=prompt",
		          via);
	for (int i = plan->general.skip; shape->window && i < shape->layers; i++)
		if (shape->window[i] > 0)
			CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
			          "stage 'place': via=%s can't serve layer %d, which recalls nothing, as it "
			          "sees only a "
			          "window of %d tokens; allowed: via=map where the device can",
			          via, clkv__shape_layer(shape, i), shape->window[i]);
	return CLKV_OK;
}

clkv_status clkv__place_settle(const clkv_context *context, const struct clkv__shape *shape,
                               struct clkv__plan *plan, clkv_error *error)
{
	struct clkv__placement *p = &plan->place;
	if (!p->host)
		return CLKV_OK;
	if (plan->sealing.dense)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "stage 'place': the recipe seals nothing that could lie in host memory; allowed: "
		          "behind a stage "
		          "that encodes, prunes or recalls, with skip below the model's layers (%d)",
		          shape->layers);
	if (p->via == CLKV__VIA_AUTO)
		p->via = context->unified ? CLKV__VIA_MAP : CLKV__VIA_COPY;
	return clkv__maps(p) ? check_map(context, error) : check_moves(shape, plan, error);
}
