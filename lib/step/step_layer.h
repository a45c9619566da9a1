/* SPDX-License-Identifier: MIT */
/** \file step_layer.h \brief Rows that come from another cache. */
#ifndef CLKV__STEP_LAYER_H
#define CLKV__STEP_LAYER_H

#include <clkv.h>

/** As clkv_step_append, but of rows that clkv_seq_read gave: if keys are rotated, these are. */
clkv_status clkv__append_stored(clkv_step *step, int layer, const clkv_tensor *k,
                                const clkv_tensor *v, cl_event *done, clkv_error *error);

#endif
