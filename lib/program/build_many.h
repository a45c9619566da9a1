/* SPDX-License-Identifier: MIT */
/** \file build_many.h \brief Builds several programs on as many threads as the context allows. */
#ifndef CLKV__BUILD_MANY_H
#define CLKV__BUILD_MANY_H

#include "program/build.h"

/** Is told by the thread that called that `done` of the programs are built, and the file of the one that came last.
 *  False: no further one is begun. */
typedef bool (*clkv__build_report)(void *opaque, size_t done, const char *file);

/** Builds a list of n programs in its order and returns when no thread builds any more. After a failure no further program is
 *  begun, and the failure of the first one in the list that has one is handed on. A program may be in the list twice. Where no
 *  thread can be started, and where the context allows one alone, the caller's thread builds. report may be NULL. */
clkv_status clkv__build_many(clkv_context *context, struct clkv__program *const *list, size_t n,
                             clkv__build_report report, void *opaque, clkv_error *error);

#endif
