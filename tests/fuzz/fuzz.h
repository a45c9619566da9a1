/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz.h
 * \brief   What fuzz targets share.
 *
 * A target is LLVMFuzzerTestOneInput, which libFuzzer or replay.c calls. Where a checksum would stop the fuzzer, an
 * input begins with a byte of switches: an odd one says that the target makes the checksums right before the library
 * reads the rest.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** The exit status that says to Automake that a test was skipped. */
enum { FUZZ_SKIPPED = 77 };

static inline void fuzz_require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

#endif
