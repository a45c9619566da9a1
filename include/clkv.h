/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv.h
 * \brief   The whole public interface of clkv. The headers that it includes, one for each object, are its manual:
 *          base, context, geometry, recipe, cache, bytes, sequence, tensor, step, file, figures, tuning, in this order.
 *
 * clkv keeps the KV cache of a transformer compressed on an OpenCL device and computes attention
 * straight from the compressed form. It runs no model: an engine links it, hands over its own
 * cl_context, queues and buffers, and calls four functions per forward pass:
 *
 *     clkv_step_begin(cache, items, n_items, queue, &step, &err);   one plan for all layers
 *     for each layer
 *         clkv_step_append(step, layer, &k, &v, ...);                    this layer's new rows
 *         clkv_step_attend(step, layer, &args, ...);                     attention of the new rows
 *     clkv_step_commit(step, NULL, &err);                                seal what left the window
 *
 * Rules for all functions
 *   - Functions are named clkv_<object>_<verb>, or by what they tell (clkv_cache_stats); types clkv_*, constants CLKV_*.
 *   - They return a clkv_status. On failure the object is as it was before the call and results
 *     are not written. A clkv_error, owned by the caller, may be passed to learn the details.
 *   - Structures that the caller fills begin with struct_size; set it with CLKV_INIT(type) or by
 *     hand. A zero field means its default. Fields that this library doesn't know must be zero.
 *   - Few calls block. Which ones, for a given cache, and why, clkv_cache_blocks says: those that bring data from the device
 *     or take it there, commits that must know what only the device does (sizes of blocks, tokens that are kept),
 *     attention that recalls tokens from host memory, and whatever meets a compiler.
 *   - Kernels that a device may refuse for a tuning's sake are built by clkv_cache_create, which then takes another
 *     tuning. The others, on devices whose tuning has one lane (CPUs), are built by the call that needs
 *     them first; if that fails, it fails as if the launch had (BUILD). clkv_cache_warm builds them before.
 *   - Threads: a context and a cache may be shared by threads. A step and the sequences in it belong
 *     to one thread at a time. A cache has one open step at a time.
 *   - The library never prints, never exits and keeps no global state.
 */
#ifndef CLKV_H
#define CLKV_H

#include "clkv/base.h"
#include "clkv/bytes.h"
#include "clkv/cache.h"
#include "clkv/calibration.h"
#include "clkv/context.h"
#include "clkv/factors.h"
#include "clkv/figures.h"
#include "clkv/file.h"
#include "clkv/geometry.h"
#include "clkv/merge.h"
#include "clkv/recipe.h"
#include "clkv/sequence.h"
#include "clkv/step.h"
#include "clkv/tensor.h"
#include "clkv/tuning.h"

#endif
