/* SPDX-License-Identifier: MIT */
/** \file placement.h \brief Where sealed blocks lie, as the recipe's stage `place` says. */
#ifndef CLKV__PLACEMENT_H
#define CLKV__PLACEMENT_H

#include <stdbool.h>

/** How kernels come to what lies in host memory; in the order of the key's names. */
enum clkv__via {
	CLKV__VIA_AUTO,  /**< mapped where the device shares its memory with the host, else copied */
	CLKV__VIA_MAP,   /**< the pool itself is memory of the host that the device reads in place */
	CLKV__VIA_COPY,  /**< recalled rows come to slots of the device and stay there for a while */
	CLKV__VIA_ATTEND /**< the host attends to recalled rows, the device to the others */
};

struct clkv__placement {
	bool host;          /**< sealed blocks lie in host memory, else on the device */
	enum clkv__via via; /**< not AUTO once it is settled */
	int cached; /**< slots of rows for each layer and KV head of a sequence, or CLKV__UNSET */
};

/** The pool lies in host memory. */
static inline bool clkv__maps(const struct clkv__placement *p)
{
	return p->host && p->via == CLKV__VIA_MAP;
}

/** Sealed blocks leave the device. */
static inline bool clkv__moves(const struct clkv__placement *p)
{
	return p->host && (p->via == CLKV__VIA_COPY || p->via == CLKV__VIA_ATTEND);
}

/** Recalled rows come to slots of the device. */
static inline bool clkv__fills_slots(const struct clkv__placement *p)
{
	return p->host && p->via == CLKV__VIA_COPY;
}

/** What the device does for a list of recalled tokens is left to the host. */
static inline bool clkv__host_attends(const struct clkv__placement *p)
{
	return p->host && p->via == CLKV__VIA_ATTEND;
}

#endif
