/* SPDX-License-Identifier: MIT */
/** \file trim.c \brief The least recently used go first. */
#include "share/entries.h"

#include <stdlib.h>

static int oldest_first(const void *a, const void *b)
{
	double x = ((const struct share_entry *)a)->age, y = ((const struct share_entry *)b)->age;
	return (x < y) - (x > y);
}

clkv_status share_trim(const struct share_backend *backend, void *self, uint64_t most,
                       size_t *removed, uint64_t *left, clkv_error *error)
{
	struct share_entries all;
	clkv_status status = share_entries_list(backend, self, &all, error);
	*removed = 0;
	if (status == CLKV_OK && all.bytes > most)
		qsort(all.of, all.n, sizeof *all.of, oldest_first);
	for (size_t i = 0; i < all.n && all.bytes > most && status == CLKV_OK; i++) {
		status = backend->drop(self, &all.of[i].key, error);
		all.bytes -= all.of[i].bytes;
		++*removed;
	}
	*left = all.bytes;
	share_entries_free(&all);
	return status;
}
