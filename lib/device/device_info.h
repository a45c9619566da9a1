/* SPDX-License-Identifier: MIT */
/** \file device_info.h \brief All that the library asks a driver about its device, asked once. */
#ifndef CLKV__DEVICE_INFO_H
#define CLKV__DEVICE_INFO_H

#include <clkv.h>

clkv_status clkv__device_info_read(cl_device_id device, clkv_device_info *info, clkv_error *error);

#endif
