/* SPDX-License-Identifier: MIT */
/** \file clkv/version.h \brief The version of the headers; configure.ac and the tests agree with it. */
#ifndef CLKV_VERSION_H
#define CLKV_VERSION_H

#define CLKV_VERSION_MAJOR 0
#define CLKV_VERSION_MINOR 1
#define CLKV_VERSION_PATCH 0
#define CLKV_VERSION_STRING "0.1.0"
/** Grows with the version: #if CLKV_VERSION_NUMBER >= 1000 is 0.1.0 and later. Parts are below 1000. */
#define CLKV_VERSION_NUMBER                                                                        \
	(CLKV_VERSION_MAJOR * 1000000 + CLKV_VERSION_MINOR * 1000 + CLKV_VERSION_PATCH)

#endif
