/* SPDX-License-Identifier: MIT */
/** \file filling.c \brief How far a sequence is filled. */
#include "store/cache.h"
#include "store/leaving.h"

struct clkv__filling clkv__filling_of(const clkv_seq *seq)
{
	return (struct clkv__filling){
		.length = seq->length,
		.tail = seq->tail,
		.partial = seq->left_partial,
		.selected = seq->kept.selected,
		.counted = seq->kept.counted,
		.segments = clkv__segments(seq),
		.places = clkv__segments_places(seq),
	};
}
