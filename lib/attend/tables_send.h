/* SPDX-License-Identifier: MIT */
/** \file tables_send.h \brief The tables' noted words on their way to the device. */
#ifndef CLKV__TABLES_SEND_H
#define CLKV__TABLES_SEND_H

#include "device/queue.h"

/** Sends the words that the device doesn't know yet, behind all that the chain has; a launch for each 4096 of them. */
clkv_status clkv__tables_send(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error);

#endif
