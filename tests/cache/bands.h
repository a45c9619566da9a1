/* SPDX-License-Identifier: MIT */
/** \file bands.h \brief What the suites of caches with recipes by layer share. */
#ifndef BANDS_H
#define BANDS_H

#include "support/feed.h"
#include "support/fixture.h"

enum { LAYERS = 4 };

/** A recipe of two bands, both of which seal. */
#define MIXED                                                                                      \
	"layers=0,2: kvcomp:entropy=huffman ; window=40,sinks=3 ; 1,3: kivi:bits=4 ; "                 \
	"window=40,sinks=3"

/** Opens a cache that is only appended to. */
static inline void open_one(struct feed *feed, const char *recipe)
{
	*feed = (struct feed){.geometry = feed_usual(LAYERS), .append_only = true};
	feed_open(feed, fixture.context, fixture.queue, recipe, NULL);
}

#endif
