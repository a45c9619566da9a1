/* SPDX-License-Identifier: MIT */
/** \file device_info.h \brief All that the library asks a driver about its device, asked once. */
#ifndef CLKV__DEVICE_INFO_H
#define CLKV__DEVICE_INFO_H

#include "tune/family.h"

#include <clkv.h>

clkv_status clkv__device_info_read(cl_device_id device, clkv_device_info *info, clkv_error *error);

/** Never fails: what the driver doesn't say stays 0. */
void clkv__device_hints_read(cl_device_id device, struct clkv__device_hints *hints);

/** The version of OpenCL C in which the device has subgroups, "CL2.0" or "CL3.0"; NULL: it has none. */
const char *clkv__device_subgroups(cl_device_id device, const clkv_device_info *info);

#endif
