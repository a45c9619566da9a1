/* SPDX-License-Identifier: MIT */
/** \file entries.h \brief What a store holds, listed: a store isn't asked within its own answer. */
#ifndef SHARE_ENTRIES_H
#define SHARE_ENTRIES_H

#include "share/backend.h"

struct share_entry {
	struct share_key key;
	uint64_t bytes;
	double age; /* seconds since it was used last */
};

struct share_entries {
	struct share_entry *of; /* [n] */
	size_t n, room;
	uint64_t bytes; /* of all */
	bool failed;    /* there was no memory */
};

/** Lists all, in no order; what it fills is freed in any case. Errors: IO, NO_HOST_MEMORY. */
clkv_status share_entries_list(const struct share_backend *backend, void *self,
                               struct share_entries *out, clkv_error *error);
void share_entries_free(struct share_entries *entries);

#endif
