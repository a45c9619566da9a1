/* SPDX-License-Identifier: MIT */
/** \file order.c \brief Reads the order of work-groups that a test asks for. */
#include "device/order.h"

#include "base/error.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The number in "shuffle:NUMBER". */
static bool read_seed(const char *text, uint32_t *seed)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	*seed = (uint32_t)n;
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n <= INT32_MAX;
}

clkv_status clkv__order_parse(const char *text, struct clkv__order *order, clkv_error *error)
{
	*order = (struct clkv__order){CLKV__ORDER_USUAL, 1};
	if (!text || !text[0])
		return CLKV_OK;
	order->kind = strcmp(text, "forward") == 0   ? CLKV__ORDER_FORWARD
	              : strcmp(text, "reverse") == 0 ? CLKV__ORDER_REVERSE
	                                             : CLKV__ORDER_SHUFFLE;
	if (order->kind != CLKV__ORDER_SHUFFLE || strcmp(text, "shuffle") == 0 ||
	    (strncmp(text, "shuffle:", 8) == 0 && read_seed(text + 8, &order->seed)))
		return CLKV_OK;
	CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
	          "CLKV_TEST_ORDER is '%.40s'; allowed: forward, reverse, shuffle, shuffle:SEED (0 to "
	          "2^31 - 1)",
	          text);
}

/* Below 2^31 + 3, for devices of 32 bits. */
size_t clkv__order_offset(const struct clkv__order *order)
{
	return order->kind == CLKV__ORDER_SHUFFLE ? (size_t)CLKV__ORDER_SHUFFLE + order->seed
	                                          : (size_t)order->kind;
}
