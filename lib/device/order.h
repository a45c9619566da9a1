/* SPDX-License-Identifier: MIT */
/**
 * \file    order.h
 * \brief   The order of work-groups, for tests: kernels must give the same in any.
 *
 * CLKV_TEST_ORDER, read when a context is made: "forward", "reverse", "shuffle", or "shuffle:SEED" with 0 <= SEED < 2^31. All
 * programs of the context then number their work-groups anew (cl/base/order.clh), as each launch's global offset says. Their
 * texts, and so their keys on disk, differ from the usual ones but not from each other: forward is the device's own order by
 * the programs of the others.
 */
#ifndef CLKV__ORDER_H
#define CLKV__ORDER_H

#include <clkv.h>
#include <stddef.h>
#include <stdint.h>

enum clkv__order_kind {
	CLKV__ORDER_USUAL,
	CLKV__ORDER_FORWARD,
	CLKV__ORDER_REVERSE,
	CLKV__ORDER_SHUFFLE
};

struct clkv__order {
	enum clkv__order_kind kind;
	uint32_t seed; /**< of a shuffled one */
};

/** text: NULL or "": the usual order. Errors: INVALID_ARGUMENT. */
clkv_status clkv__order_parse(const char *text, struct clkv__order *order, clkv_error *error);

/** The global offset of launches, by which order.clh knows the order; 0, none, of the usual one. */
size_t clkv__order_offset(const struct clkv__order *order);

#endif
