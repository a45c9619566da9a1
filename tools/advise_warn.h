/* SPDX-License-Identifier: MIT */
/**
 * \file    advise_warn.h
 * \brief   Signs of collapse: keys that half can't hold, layers and channels that stand out, heads that a codec breaks.
 */
#ifndef ADVISE_WARN_H
#define ADVISE_WARN_H

#include <stdbool.h>
#include <stddef.h>

/** What keys and values of one layer are like on the prompt. */
struct advise_layer {
	double k_most, v_most; /**< largest magnitude of all tokens, as half holds it */
	double k_reach;        /**< of keys behind the sinks */
	double
		channel; /**< mean magnitude of the largest channel of a KV head's keys, over its median channel's; the largest
	                            of the layer's heads */
};

/** What one prompt told. */
struct advise_survey {
	size_t layers, heads;       /**< heads: of queries */
	struct advise_layer *layer; /**< [layers] */
	size_t n;                   /**< candidates */
	double *error; /**< [n][layers][heads] mean relative error of a head's attention alone */
};

enum { ADVISE_MOST_WARNINGS = 24, ADVISE_WARNING_BYTES = 240 };

struct advise_warnings {
	char text[ADVISE_MOST_WARNINGS][ADVISE_WARNING_BYTES];
	size_t n, left_out; /**< left_out: that found no room */
};

void advise_warn(struct advise_warnings *warnings, const char *format, ...)
#if defined(__GNUC__)
	__attribute__((format(printf, 2, 3)))
#endif
	;

/** Warns of layers, channels and the range of half. */
void advise_warn_layers(struct advise_warnings *warnings, const struct advise_survey *survey);

/** Warns of the heads that candidate i, called label, breaks. */
void advise_warn_heads(struct advise_warnings *warnings, const struct advise_survey *survey,
                       size_t i, const char *label);

/** Warns of a candidate that was measured and leaves little of the model. */
void advise_warn_broken(struct advise_warnings *warnings, const char *label, double kl,
                        double top1_agree);

/** A zeroed one may be closed. */
void advise_survey_close(struct advise_survey *survey);

#endif
