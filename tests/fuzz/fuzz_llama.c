/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_llama.c
 * \brief   Any bytes as a state file of llama.cpp: refused with a sentence, or sequences and rows within its bytes.
 */
#include "fuzz.h"

#include "llama_state.h"
#include "snapshot_look.h"

#include <string.h>

static volatile unsigned sum;

static void touch(const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += bytes[i];
}

/* Each row of each layer by itself. */
static void read_rows(const struct llama_state *state, const struct llama_sequence *sequence)
{
	for (size_t side = LLAMA_K; side < LLAMA_SIDES; side++) {
		const struct llama_rows *r = &sequence->stream->rows[side];
		unsigned char *row = malloc(r->width * r->value_bytes);
		fuzz_require(row != NULL, "no memory");
		for (size_t i = 0; i < sequence->n * sequence->stream->n_layers; i++) {
			llama_state_read(state, sequence, i / sequence->n, (enum llama_side)side,
			                 i % sequence->n, 1, row);
			touch(row, r->width * r->value_bytes);
		}
		free(row);
	}
}

static void use_state(const struct llama_state *state)
{
	size_t n[LLAMA_MOST_SEQUENCES];
	for (size_t i = 0; i < state->n_tokens; i++)
		sum += (unsigned)llama_state_token(state, i);
	touch((const unsigned char *)state->model.data, state->model.size);
	llama_state_count(state, n);
	for (size_t i = 0; i < LLAMA_MOST_SEQUENCES; i++) {
		struct tool_error error = {""};
		struct llama_sequence sequence;
		if (llama_state_find(state, i, &sequence, &error)) {
			fuzz_require(sequence.n == n[i] && n[i] > 0, "tokens don't add up");
			read_rows(state, &sequence);
			llama_sequence_close(&sequence);
		} else {
			fuzz_require(error.text[0] != '\0', "refused without a sentence");
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tool_error error = {""};
	struct llama_state *state;
	struct snapshot_look look;
	if (llama_state_open_memory(data, size, &state, &error)) {
		use_state(state);
		llama_state_close(state);
	} else {
		fuzz_require(error.text[0] != '\0', "refused without a sentence");
	}
	error.text[0] = '\0';
	if (!snapshot_look(data, size, &look, &error))
		fuzz_require(error.text[0] != '\0', "refused without a sentence");
	return 0;
}
