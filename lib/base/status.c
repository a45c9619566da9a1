/* SPDX-License-Identifier: MIT */
/** \file status.c \brief The names of statuses and reasons, from the header's lists; the version. */
#include <clkv.h>

const char *clkv_status_string(clkv_status status)
{
	switch (status) {
#define CLKV_X(name, value, text, meaning)                                                         \
	case name:                                                                                     \
		return text;
		CLKV_STATUS_LIST(CLKV_X)
#undef CLKV_X
	}
	return "unknown status";
}

const char *clkv_waits_string(clkv_waits waits)
{
	switch (waits) {
#define CLKV_X(name, value, text)                                                                  \
	case name:                                                                                     \
		return text;
		CLKV_WAITS_LIST(CLKV_X)
#undef CLKV_X
	}
	return "unknown reason";
}

const char *clkv_version(void)
{
	return CLKV_VERSION_STRING;
}

unsigned clkv_version_number(void)
{
	return CLKV_VERSION_NUMBER;
}
