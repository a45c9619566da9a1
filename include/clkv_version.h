/* SPDX-License-Identifier: MIT */
/** \file clkv_version.h \brief The version of the headers; configure.ac and the tests agree with it. */
#ifndef CLKV_VERSION_H
#define CLKV_VERSION_H

#define CLKV_VERSION_MAJOR 0
#define CLKV_VERSION_MINOR 1
#define CLKV_VERSION_PATCH 0
#define CLKV_VERSION_STRING "0.1.0"

#endif
