/* SPDX-License-Identifier: MIT */
/**
 * \file    peer.h
 * \brief   The attention of ggml (llama.cpp) on the same problems, from its shared libraries.
 */
#ifndef PEER_H
#define PEER_H

#include "bench.h"

/** Recipes of this form are the peer's: "ggml:f16", "ggml:q8_0", "ggml:q4_0" keep K and V head by head,
 *  which is its fastest layout; with ",tokens" behind it token by token, as it does in models. */
bool peer_is_recipe(const char *recipe);

/** Whether it is one of those. */
bool peer_check_recipe(const char *recipe, struct tool_error *error);

/** For attend and prefill. machine->ggml_dir is the folder of libggml-base.so and libggml-cpu.so. */
bool bench_peer(const struct bench_machine *machine, const struct bench_problem *problem,
                struct bench_result *result, struct tool_error *error);

#endif
