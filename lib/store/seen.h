/* SPDX-License-Identifier: MIT */
/**
 * \file    seen.h
 * \brief   The newest queries of each sequence, kept on the device for stages that judge by them.
 *
 * attend_merge leaves them there (cl/base/abi.clh draws how); commits read them. Forks share one place until
 * one of them goes on: its next step copies what it needs.
 */
#ifndef CLKV__SEEN_H
#define CLKV__SEEN_H

#include "device/queue.h"
#include "store/slots.h"

struct clkv__seen {
	cl_mem mem; /**< NULL: no stage wants them */
	struct clkv__slots slots;
	size_t tag_bytes; /**< of a place: zeros are queries of no token */
};

/** A place of a sequence's own at *place, which may be CLKV__NO_SLOT or shared: empty, or a copy. On failure
 *  it is as before. */
clkv_status clkv__seen_own(struct clkv__seen *seen, struct clkv__chain *chain, uint32_t *place,
                           clkv_error *error);

/** Another holder of a place, or one less; CLKV__NO_SLOT is none. */
void clkv__seen_share(struct clkv__seen *seen, uint32_t place);
void clkv__seen_drop(struct clkv__seen *seen, uint32_t place);

#endif
