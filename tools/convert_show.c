/* SPDX-License-Identifier: MIT */
/**
 * \file    convert_show.c
 * \brief   Prints what a file holds.
 */
#include <stdio.h>
#include <string.h>

#include "convert.h"

/* Texts from files go to a terminal. */
static void print_text(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)putchar(text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?');
	(void)putchar('\n');
}

static void show_stream(const struct llama_stream *stream, size_t number)
{
	const struct llama_rows *k = &stream->rows[LLAMA_K], *v = &stream->rows[LLAMA_V];
	if (stream->n_cells == 0)
		return;
	(void)printf(
		"stream %zu     %zu cells of %zu layers: K %zu values in %s, V %zu values in %s%s\n",
		number, stream->n_cells, stream->n_layers, k->width, llama_type_name(k->type), v->width,
		llama_type_name(v->type), stream->transposed ? ", by channel" : "");
}

void convert_show_state(const struct llama_state *state)
{
	size_t n[LLAMA_MOST_SEQUENCES];
	(void)printf("kind         %s of llama.cpp\n", state->session ? "session" : "sequence");
	if (state->session) {
		(void)printf("model        ");
		print_text(state->model.data, state->model.size);
	}
	(void)printf("tokens       %zu ids\nstreams      %zu\n", state->n_tokens, state->n_streams);
	for (size_t i = 0; i < state->n_streams; i++)
		show_stream(&state->streams[i], i);
	llama_state_count(state, n);
	for (size_t i = 0; i < LLAMA_MOST_SEQUENCES; i++)
		if (n[i] > 0)
			(void)printf("sequence %zu   %zu tokens\n", i, n[i]);
}

void convert_show_snapshot(const struct snapshot_look *look)
{
	(void)printf("kind         snapshot of clkv\nrecipe       ");
	print_text(look->recipe, strlen(look->recipe));
	(void)printf("shape        %u layers of %u KV heads, %u channels of K, %u of V\n"
	             "sequence     %u tokens\n",
	             look->layers, look->kv_heads, look->dim_k, look->dim_v, look->length);
}
