/* SPDX-License-Identifier: MIT */
/** \file build_many.h \brief Builds several programs on as many threads as the context allows. */
#ifndef CLKV__BUILD_MANY_H
#define CLKV__BUILD_MANY_H

#include "program/build.h"

/** Is told, one call at a time but by any of the threads, that `done` of the programs are built and what the last of
 *  them was. False: no further one is begun. */
typedef bool (*clkv__build_report)(void *opaque, size_t done, const char *file);

/** Builds what isn't built yet of list [n], in its order; the caller's thread takes part and waits for the others. After a failure no
 *  further program is begun, and the failure of the first program in the list that has one is handed on. A
 *  program may be in the list twice. Threads that can't be started are done without. report may be NULL. */
clkv_status clkv__build_many(clkv_context *context, struct clkv__program *const *list, size_t n,
                             clkv__build_report report, void *opaque, clkv_error *error);

#endif
