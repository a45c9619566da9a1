/* SPDX-License-Identifier: MIT */
/**
 * \file    family.h
 * \brief   A tuning for each family of devices: what holds until clkv-tune has measured this one.
 */
#ifndef CLKV__FAMILY_H
#define CLKV__FAMILY_H

#include "tune/tuning.h"

#include <clkv.h>
#include <stdbool.h>

/** What tells a vendor's devices apart where names don't. */
struct clkv__device_hints {
	bool amd, intel, nvidia; /**< it has the vendor's own extensions */
	unsigned wavefront;      /**< work-items of a wavefront on AMD GPUs; 0: unknown */
	bool host_intersects;    /**< the host's processor has AVX-512's VP2INTERSECT */
};

struct clkv__family {
	const char *name;
	bool (*match)(const clkv_device_info *info, const struct clkv__device_hints *hints);
	unsigned lanes, vec, queries, groups, min_blocks;
};

/** The first row that matches holds; the last two match every GPU and every CPU. */
extern const struct clkv__family clkv__families[];
extern const size_t clkv__n_families;

const struct clkv__family *clkv__family_find(const clkv_device_info *info,
                                             const struct clkv__device_hints *hints);

/** Its tuning, with fewer lanes where the device's work-groups are smaller. */
struct clkv__tuning clkv__family_tuning(const struct clkv__family *family,
                                        const clkv_device_info *info);

/** Why this device gets one lane only, as a sentence's end; NULL: it needn't. CLKV_TEST_LANES in the environment, for tests
 *  of the forms of GPUs, says that it may have more. */
const char *clkv__lanes_refusal(const clkv_device_info *info);

/** Most lanes of a tuning on this device. */
unsigned clkv__most_lanes(const clkv_device_info *info);

#endif
