/* SPDX-License-Identifier: MIT */
/** \file strike.c \brief Arms inject.h now and then. */
#include "strike.h"

#include "../support/each.h"
#include "../support/inject.h"

#include <check.h>
#include <string.h>

void strike_arm(struct world *w)
{
	if (!w->run->inject || !world_one_in(w, 12))
		return;
	size_t n = world_one_in(w, 3) ? world_below(w, 60) : world_below(w, 8);
	w->armed = world_one_in(w, 4) ? ARMED_ALLOC : ARMED_CALL;
	if (w->armed == ARMED_ALLOC)
		inject_alloc_arm((int)n);
	else
		inject_cl_arm((int)n);
}

/* Calls that commit steps of their own, or are a commit. */
static bool commits(const char *name)
{
	static const char *const calls[] = {"clkv_step_commit", "clkv_seq_end_prompt",
	                                    "clkv_seq_remove", "clkv_seq_save", "clkv_seq_load"};
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (strcmp(name, calls[i]) == 0)
			return true;
	return false;
}

/* What the library can do without: a queue is waited for, a figure stays as it was; what a selection could not mark to
 * its end is made up for before anything else. */
static bool may_fail(const struct world *w, const char *name, bool call_failed)
{
	const char *call = inject_cl_name();
	if (w->some.selects && commits(name))
		return true;
	if (!call_failed)
		return false;
	return strcmp(call, "clEnqueueMarkerWithWaitList") == 0 ||
	       (strcmp(call, "clEnqueueReadBuffer") == 0 && commits(name));
}

bool strike_happened(struct world *w, clkv_status status, const clkv_error *error, const char *name)
{
	bool alloc = w->armed == ARMED_ALLOC && inject_alloc_disarm();
	bool call = w->armed == ARMED_CALL && inject_cl_disarm();
	w->armed = UNARMED;
	if (!alloc && !call)
		return false;
	w->progress->failed++;
	if (status == CLKV_OK && may_fail(w, name, call))
		return false;
	EACH_MSG(status != CLKV_OK, "%s failed, but the answer of %s is ok",
	         call ? inject_cl_name() : "an allocation", name);
	EACH_MSG(error->status == status && strlen(error->text) > 10, "an error without words: %s",
	         clkv_status_string(status));
	EACH_MSG(!alloc || status == CLKV_ERROR_NO_HOST_MEMORY, "an allocation failed: %s: %s",
	         clkv_status_string(status), error->text);
	EACH_MSG(!call || strcmp(error->call, inject_cl_name()) == 0, "%s failed, blamed is '%s': %s",
	         inject_cl_name(), error->call, error->text);
	return true;
}

bool strike_ok(struct world *w, clkv_status status, const clkv_error *error, const char *call)
{
	if (strike_happened(w, status, error, call))
		return false;
	EACH_MSG(status == CLKV_OK, "%s: %s: %s (%s %d)", call, clkv_status_string(status), error->text,
	         error->call, (int)error->cl_code);
	return true;
}
