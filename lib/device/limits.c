/* SPDX-License-Identifier: MIT */
/** \file limits.c \brief Limits derived from the device's facts. */
#include "device/limits.h"

size_t clkv__limits_local_bytes(const clkv_context *context, unsigned lanes)
{
	uint64_t most = context->info.is_gpu || lanes > 1 ? 32 << 10 : 64 << 10;
	return (size_t)(context->info.local_bytes < most ? context->info.local_bytes : most);
}
