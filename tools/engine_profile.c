/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_profile.c
 * \brief   Sums of event times, and their table.
 */
#include "engine_profile.h"

#include <stdlib.h>
#include <string.h>

struct noted {
	cl_event event;
	enum engine_kind kind;
	size_t bytes;
};

struct sum {
	size_t launches;
	double us, bytes;
};

struct engine_profile {
	struct noted *noted;
	size_t n_noted, room;
	struct sum sums[ENGINE_KINDS];
	double gaps_us; /* the device had nothing to do between two commands of a pass */
};

bool engine_profile_create(struct engine_profile **out, struct tool_error *error)
{
	*out = calloc(1, sizeof **out);
	return *out != NULL || tool_fail(error, "out of memory");
}

static void drop_events(struct engine_profile *profile)
{
	for (size_t i = 0; i < profile->n_noted; i++)
		(void)clReleaseEvent(profile->noted[i].event);
	profile->n_noted = 0;
}

void engine_profile_destroy(struct engine_profile *profile)
{
	if (profile == NULL)
		return;
	drop_events(profile);
	free(profile->noted);
	free(profile);
}

void engine_profile_note(struct engine_profile *profile, enum engine_kind kind, cl_event event,
                         size_t bytes)
{
	if (profile->n_noted == profile->room) {
		size_t room = profile->room > 0 ? 2 * profile->room : 512;
		struct noted *more = realloc(profile->noted, room * sizeof *more);
		if (more == NULL) {
			(void)clReleaseEvent(event); /* the table misses one: no reason to fail */
			return;
		}
		profile->noted = more;
		profile->room = room;
	}
	profile->noted[profile->n_noted++] = (struct noted){event, kind, bytes};
}

bool engine_profile_collect(struct engine_profile *profile, struct tool_error *error)
{
	cl_ulong before = 0;
	cl_int code = CL_SUCCESS;
	for (size_t i = 0; i < profile->n_noted && code == CL_SUCCESS; i++) {
		const struct noted *noted = &profile->noted[i];
		struct sum *sum = &profile->sums[noted->kind];
		cl_ulong start = 0;
		cl_ulong end = 0;
		code = clGetEventProfilingInfo(noted->event, CL_PROFILING_COMMAND_START, sizeof start,
		                               &start, NULL);
		if (code == CL_SUCCESS)
			code = clGetEventProfilingInfo(noted->event, CL_PROFILING_COMMAND_END, sizeof end, &end,
			                               NULL);
		if (before != 0 && noted->kind == ENGINE_ATTEND)
			start = before;
		if (before != 0 && start > before)
			profile->gaps_us += (double)(start - before) / 1e3;
		sum->launches += noted->kind == ENGINE_ATTEND ? 2 : 1;
		sum->us += end > start ? (double)(end - start) / 1e3 : 0.0;
		sum->bytes += (double)noted->bytes;
		before = end;
	}
	drop_events(profile);
	return code == CL_SUCCESS || tool_fail_cl(error, "clGetEventProfilingInfo", code);
}

void engine_profile_reset(struct engine_profile *profile)
{
	memset(profile->sums, 0, sizeof profile->sums);
	profile->gaps_us = 0.0;
}

static void print_row(FILE *file, const char *name, double launches, double us, double whole_us)
{
	(void)fprintf(file, "%-22s %8.1f %9.1f %6.1f%%", name, launches, us, 100.0 * us / whole_us);
}

void engine_profile_print(const struct engine_profile *profile, FILE *file, size_t tokens,
                          double seconds, double read_gbps)
{
	static const char *const names[ENGINE_KINDS] = {
		"embedding", "norm, q k v, rope", "append",    "attend, merge",
		"o, add",    "norm, gate up",     "down, add", "norm, logits",
		"likeliest", "reading back",      "many rows",
	};
	double n = (double)(tokens > 0 ? tokens : 1);
	double whole = seconds * 1e6 / n;
	double rest = whole - profile->gaps_us / n;
	(void)fprintf(file, "\n%-22s %8s %9s %7s %8s %8s %9s\n", "per token", "launches", "us", "time",
	              "MB read", "GB/s", "of limit");
	for (int i = 0; i < ENGINE_KINDS; i++) {
		const struct sum *sum = &profile->sums[i];
		rest -= sum->us / n;
		if (sum->launches == 0)
			continue;
		print_row(file, names[i], (double)sum->launches / n, sum->us / n, whole);
		if (sum->bytes > 0.0)
			(void)fprintf(file, " %8.2f %8.1f %8.0f%%", sum->bytes / n / 1e6,
			              sum->bytes / sum->us / 1e3,
			              100.0 * sum->bytes / sum->us / 1e3 / read_gbps);
		(void)fprintf(file, "\n");
	}
	print_row(file, "between commands", 0.0, profile->gaps_us / n, whole);
	(void)fprintf(file, "\n");
	print_row(file, "outside of them", 0.0, rest, whole);
	(void)fprintf(file, "\n");
	print_row(file, "all", 0.0, whole, whole);
	(void)fprintf(file, "\n\nlimit: %.1f GB/s, a kernel that only reads the same weights\n",
	              read_gbps);
}
