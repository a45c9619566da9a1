/* SPDX-License-Identifier: MIT */
/** \file entries.c \brief Lists of what a store holds. */
#include "share/entries.h"

#include <stdlib.h>

static bool note(void *opaque, const struct share_key *key, uint64_t bytes, double age)
{
	struct share_entries *all = opaque;
	if (all->n == all->room) {
		size_t room = 2 * all->room + 256;
		struct share_entry *grown = realloc(all->of, room * sizeof *grown);
		if (!grown) {
			all->failed = true;
			return false;
		}
		all->of = grown;
		all->room = room;
	}
	all->of[all->n++] = (struct share_entry){*key, bytes, age};
	all->bytes += bytes;
	return true;
}

clkv_status share_entries_list(const struct share_backend *backend, void *self,
                               struct share_entries *out, clkv_error *error)
{
	*out = (struct share_entries){.of = NULL};
	clkv_status status = backend->each(self, note, out, error);
	return out->failed ? share_fail_memory(error, out->n * sizeof *out->of) : status;
}

void share_entries_free(struct share_entries *entries)
{
	free(entries->of);
	entries->of = NULL;
	entries->n = entries->room = 0;
}
