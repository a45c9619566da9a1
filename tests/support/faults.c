/* SPDX-License-Identifier: MIT */
/** \file faults.c \brief Faults by their kind. */
#include "faults.h"

#include "inject.h"

#include <check.h>
#include <string.h>

void fault_arm(enum fault fault, int n)
{
	if (fault == FAULT_ALLOC)
		inject_alloc_arm(n);
	else
		inject_cl_arm(n);
}

bool fault_disarm(enum fault fault)
{
	return fault == FAULT_ALLOC ? inject_alloc_disarm() : inject_cl_disarm();
}

void fault_expect(enum fault fault, clkv_status status, const clkv_error *error)
{
	if (status == CLKV_OK)
		return;
	ck_assert_int_eq(error->status, status);
	ck_assert_uint_gt(strlen(error->text), 10);
	if (fault == FAULT_ALLOC) {
		ck_assert_msg(status == CLKV_ERROR_NO_HOST_MEMORY, "%s: %s", clkv_status_string(status),
		              error->text);
		return;
	}
	ck_assert_msg(status == CLKV_ERROR_OPENCL || status == CLKV_ERROR_NO_DEVICE_MEMORY ||
	                  status == CLKV_ERROR_BUILD,
	              "%s: %s", clkv_status_string(status), error->text);
	ck_assert_msg(error->cl_code == INJECT_CODE, "code %d (%s)", (int)error->cl_code, error->text);
	ck_assert_str_eq(error->call, inject_cl_name());
}
