/* SPDX-License-Identifier: MIT */
/** \file tune.c \brief Chooses the shape of kernels for a device. */
#include "tune/tune.h"

#include "base/error.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_power_of_two(unsigned n, unsigned max)
{
	return n > 0 && n <= max && (n & (n - 1)) == 0;
}

static unsigned most_lanes(const clkv_device_info *info)
{
	return info->max_work_group < 256 ? (unsigned)info->max_work_group : 256;
}

static clkv_status parse(const char *text, const clkv_device_info *info,
                         struct clkv__tuning *tuning, clkv_error *error)
{
	unsigned lanes, vec, most = most_lanes(info);
	char again[64] = "";
	/* Printed again, only the strict form is the same. */
	if (sscanf(text, "lanes=%3u,vec=%2u", &lanes, &vec) == 2)
		snprintf(again, sizeof again, "lanes=%u,vec=%u", lanes, vec);
	if (strcmp(text, again) != 0 || !is_power_of_two(lanes, most) || !is_power_of_two(vec, 16))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "CLKV_TUNE is '%.60s'; allowed: lanes=L,vec=V, powers of two up to %u and 16",
		          text, most);
	tuning->lanes = lanes;
	tuning->vec = vec;
	snprintf(tuning->source, sizeof tuning->source, "CLKV_TUNE");
	return CLKV_OK;
}

clkv_status clkv__tune_choose(const clkv_device_info *info, const char *text,
                              struct clkv__tuning *tuning, clkv_error *error)
{
	struct clkv__tuning t;
	if (info->is_gpu) {
		t = (struct clkv__tuning){64, 1, "default for GPUs"};
		while (t.lanes > 1 && t.lanes > most_lanes(info))
			t.lanes /= 2;
	} else {
		/* One work-item per group: vectors live in registers and no barrier is needed. */
		t = (struct clkv__tuning){1, info->vector_width >= 16 ? 16 : 8, "default for CPUs"};
	}
	if (text && text[0])
		CLKV_TRY(parse(text, info, &t, error));
	*tuning = t;
	return CLKV_OK;
}
