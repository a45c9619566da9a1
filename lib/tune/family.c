/* SPDX-License-Identifier: MIT */
/** \file family.c \brief The table of device families. */
#include "tune/family.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether text has word in it, in any case; word in lower case. */
static bool has(const char *text, const char *word)
{
	size_t n = strlen(word);
	for (; *text; text++) {
		size_t i = 0;
		while (i < n && text[i] && tolower((unsigned char)text[i]) == word[i])
			i++;
		if (i == n)
			return true;
	}
	return false;
}

static bool is_pocl(const clkv_device_info *d)
{
	return !d->is_gpu && (has(d->platform, "portable computing") || has(d->cl_version, "pocl"));
}

static bool pocl_avx512(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	(void)h;
	return is_pocl(d) && d->vector_width >= 16;
}

/* Zen 4's units are 256 bits wide: vectors of 16 floats only take more registers. */
static bool pocl_amd(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	return pocl_avx512(d, h) && has(d->name, "amd");
}

/* Those of Zen 5, which alone of AMD's has VP2INTERSECT, are of 512. PoCL's device is the host's processor. */
static bool pocl_zen5(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	return pocl_amd(d, h) && h->host_intersects;
}

static bool pocl_avx2(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	(void)h;
	return is_pocl(d) && d->vector_width == 8;
}

/* Its name is "Intel(R) OpenCL"; that of Intel's GPUs has "Graphics" in it, and they aren't CPUs. */
static bool intel_cpu(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	(void)h;
	return !d->is_gpu && has(d->platform, "intel");
}

static bool nvidia(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	return d->is_gpu && (h->nvidia || has(d->vendor, "nvidia"));
}

static bool is_amd(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	return d->is_gpu &&
	       (h->amd || has(d->vendor, "advanced micro") || strcmp(d->vendor, "AMD") == 0);
}

/* CDNA is gfx908, 90a and 94x/95x; where a driver names the card instead, its wavefronts are of 64. */
static bool amd_cdna(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	return is_amd(d, h) &&
	       (has(d->name, "gfx908") || has(d->name, "gfx90a") || has(d->name, "gfx94") ||
	        has(d->name, "gfx95") || has(d->name, "instinct") || h->wavefront == 64);
}

static bool amd_rdna(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	return is_amd(d, h) && (has(d->name, "gfx10") || has(d->name, "gfx11") ||
	                        has(d->name, "gfx12") || has(d->name, "navi") || h->wavefront == 32);
}

static bool intel_gpu(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	return d->is_gpu && (h->intel || has(d->vendor, "intel"));
}

static bool any_gpu(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	(void)h;
	return d->is_gpu;
}

static bool any_cpu(const clkv_device_info *d, const struct clkv__device_hints *h)
{
	(void)h;
	return !d->is_gpu;
}

/* CPUs: one work-item per group, so that vectors live in registers and no barrier is needed; groups are
 * handed out one by one, a few per core even out their ends. AMD's rows were measured with clkv-tune and
 * clkv-bench on Zen 4 and Zen 5; the others have vectors as wide as the device says its own are.
 * GPUs: not measured, but estimates from what the offline compilers report (doc/vendors.md): a group is one
 * wavefront, or two of Xe's, for which barriers cost little; 16 queries stay below 200 registers, without
 * spills, in all codecs; more and smaller groups where a group is small. */
const struct clkv__family clkv__families[] = {
	{"PoCL, AVX-512 of Zen 5", pocl_zen5, 1, 16, 32, 6, 4},
	{"PoCL, AVX-512 of AMD", pocl_amd, 1, 8, 32, 6, 4},
	{"PoCL, AVX-512", pocl_avx512, 1, 16, 32, 6, 4},
	{"PoCL, AVX2", pocl_avx2, 1, 8, 32, 6, 4},
	{"Intel's runtime for CPUs", intel_cpu, 1, 16, 32, 6, 4},
	{"NVIDIA", nvidia, 32, 1, 16, 16, 1},
	{"AMD CDNA", amd_cdna, 64, 1, 16, 8, 1},
	{"AMD RDNA", amd_rdna, 32, 1, 16, 16, 1},
	{"Intel Xe", intel_gpu, 32, 1, 16, 16, 1},
	{"GPU", any_gpu, 64, 1, 32, 8, 1},
	{"CPU", any_cpu, 1, 8, 32, 6, 4},
};
const size_t clkv__n_families = sizeof clkv__families / sizeof clkv__families[0];

const struct clkv__family *clkv__family_find(const clkv_device_info *info,
                                             const struct clkv__device_hints *hints)
{
	const struct clkv__family *f = clkv__families;
	while (!f->match(info, hints))
		f++;
	return f;
}

const char *clkv__lanes_refusal(const clkv_device_info *info)
{
	if (!is_pocl(info) || getenv("CLKV_TEST_LANES"))
		return NULL;
	return "PoCL on CPUs sends the lanes of a group where its first one goes (doc/vendors.md), "
		   "which gives wrong results; allowed there: lanes=1";
}

unsigned clkv__most_lanes(const clkv_device_info *info)
{
	if (clkv__lanes_refusal(info))
		return 1;
	return info->max_work_group < CLKV__MAX_LANES ? (unsigned)info->max_work_group
	                                              : (unsigned)CLKV__MAX_LANES;
}

struct clkv__tuning clkv__family_tuning(const struct clkv__family *family,
                                        const clkv_device_info *info)
{
	struct clkv__tuning t = {family->lanes,  family->vec,        family->queries,
	                         family->groups, family->min_blocks, ""};
	while (t.lanes > 1 && t.lanes > clkv__most_lanes(info))
		t.lanes /= 2;
	snprintf(t.source, sizeof t.source, "family %s", family->name);
	return t;
}
