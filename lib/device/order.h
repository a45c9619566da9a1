/* SPDX-License-Identifier: MIT */
/**
 * \file    order.h
 * \brief   The order of work-groups, for tests: kernels must give the same in any.
 *
 * CLKV_TEST_ORDER, read when a context is made: "reverse", "shuffle", or "shuffle:SEED" with 0 <= SEED < 2^32. All
 * programs of the context then number their work-groups anew (cl/base/order.clh); their texts differ from the usual ones, and so
 * do their keys on disk.
 */
#ifndef CLKV__ORDER_H
#define CLKV__ORDER_H

#include <clkv.h>
#include <stddef.h>
#include <stdint.h>

enum clkv__order_kind { CLKV__ORDER_USUAL, CLKV__ORDER_REVERSE, CLKV__ORDER_SHUFFLE };

struct clkv__order {
	enum clkv__order_kind kind;
	uint32_t seed; /**< of a shuffled one */
};

/** text: NULL or "": the usual order. Errors: INVALID_ARGUMENT. */
clkv_status clkv__order_parse(const char *text, struct clkv__order *order, clkv_error *error);

/** The line that order.clh wants to be defined, or "". text [n], n >= 64. */
void clkv__order_macros(const struct clkv__order *order, char *text, size_t n);

#endif
