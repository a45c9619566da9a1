/* SPDX-License-Identifier: MIT */
/** \file bench_file.h \brief A file in memory, for caches that are given one. */
#ifndef BENCH_FILE_H
#define BENCH_FILE_H

#include <stddef.h>

/** A file, which grows as it is written; bytes are the caller's to free. */
struct bench_file {
	unsigned char *bytes;
	size_t n;
};

/** A clkv_write_fn; opaque: the bench_file. */
size_t bench_file_append(void *opaque, const void *data, size_t size);

#endif
