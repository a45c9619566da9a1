/* SPDX-License-Identifier: MIT */
/** \file fail.h \brief Errors of this library, in the caller's clkv_error: the first cause wins, as in clkv's. */
#ifndef SHARE_FAIL_H
#define SHARE_FAIL_H

#include <clkv.h>

#define SHARE_TRY(call)                                                                            \
	do {                                                                                           \
		clkv_status share_status = (call);                                                         \
		if (share_status != CLKV_OK)                                                               \
			return share_status;                                                                   \
	} while (0)

void share_fail_clear(clkv_error *error);

/** Fills error, which may be NULL, unless it is filled. Returns status. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
clkv_status
share_fail(clkv_error *error, clkv_status status, const char *format, ...);

/** Out of memory. */
clkv_status share_fail_memory(clkv_error *error, size_t bytes);

#endif
