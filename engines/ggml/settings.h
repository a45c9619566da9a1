/* SPDX-License-Identifier: MIT */
/** \file
 *  What a user chooses: from the environment, or by clkv_ggml_set from the program. */
#ifndef CLKV_GGML_SETTINGS_H
#define CLKV_GGML_SETTINGS_H

#include <stddef.h>

struct settings {
	char recipe[512]; /**< CLKV_GGML_RECIPE; f16 unless set */
	char device[128]; /**< CLKV_GGML_DEVICE, as clkv_context_open takes it */
	size_t
		max_tokens; /**< CLKV_GGML_MAX_TOKENS of all sequences together; 0: as many as the engine has cells for */
	size_t max_open; /**< CLKV_GGML_MAX_OPEN_TOKENS in half at once; 0: max_tokens */
	int report;      /**< CLKV_GGML_REPORT=1: a line of figures when a cache goes */
	int shift;       /**< CLKV_GGML_SHIFT=1: room to shift the positions of half a context */
};

/** Those in force. A bad value has had its line on the log, and bad is not NULL then. */
const struct settings *settings(const char **bad);

#endif
