/* SPDX-License-Identifier: MIT */
/** \file component_classes.h \brief Components whose codes have about the same entropy share a dictionary of phrases. */
#ifndef CLKV__COMPONENT_CLASSES_H
#define CLKV__COMPONENT_CLASSES_H

#include "codec/phrases.h"

#include <clkv.h>
#include <stddef.h>
#include <stdint.h>

/** Codes of a text's tokens, [components][tokens], -127 to 127; tokens is a multiple of 8. */
struct clkv__samples {
	const signed char *codes;
	size_t components, tokens;
	size_t head; /**< components of a head, a multiple of ABI_QTC_ALIKE */
};

/** The class of each component [components], by entropy, the lowest first, and the dictionary of each class
 *  [ABI_COMPONENT_CLASSES]. ABI_QTC_ALIKE components of a head that are next to each other in entropy have one class, that of
 *  their mean, so each head has a multiple of so many in each. Errors: NO_HOST_MEMORY. */
clkv_status clkv__component_classes(const struct clkv__samples *samples,
                                    const clkv_allocator *allocator, uint8_t *classes,
                                    struct clkv__phrases *dictionaries, clkv_error *error);

#endif
