/* SPDX-License-Identifier: MIT */
/** \file bounded_page.h \brief Pages of the error-bounded codec: cl/codec/bounded_block.clh draws them. */
#ifndef CLKV__BOUNDED_PAGE_H
#define CLKV__BOUNDED_PAGE_H

#include "codec/codec.h"

/** The codec's tidy and check. */
void clkv__bounded_tidy(const struct clkv__codec_page *page, unsigned char *bytes);
const char *clkv__bounded_check(const struct clkv__codec_page *page, const unsigned char *bytes,
                                float scale[2]);

#endif
