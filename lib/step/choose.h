/* SPDX-License-Identifier: MIT */
/** \file choose.h \brief What a commit does for each kind of choice. */
#ifndef CLKV__CHOOSE_H
#define CLKV__CHOOSE_H

#include "step/select_work.h"

/** A row by ABI_SELECT_*. */
struct clkv__chooser {
	/** Chooses among the listed candidates by the quotas, which are on the device; again: as it was found before. */
	clkv_status (*launch)(struct clkv__work *w, bool again, clkv_error *error);
	/** Notes what a sequence has of a commit that has succeeded; NULL: nothing. */
	void (*note)(const struct clkv__work *w);
};

/** Gives the chooser of a cache that selects. */
const struct clkv__chooser *clkv__chooser_of(const clkv_cache *cache);

#endif
