/* SPDX-License-Identifier: MIT */
/** \file ref_seal.c \brief The sealing rule. */
#include "ref_seal.h"

#include <stdlib.h>

void ref_seal_open(struct ref_seal *s, size_t window, size_t sinks, size_t block, bool at_end)
{
	*s = (struct ref_seal){
		.window = window, .sinks = sinks, .block = block, .at_end = at_end, .tail = sinks};
}

static void seal(struct ref_seal *s, size_t count)
{
	if (s->n_blocks == REF_SEAL_BLOCKS)
		abort();
	s->blocks[s->n_blocks].from = s->tail;
	s->blocks[s->n_blocks].count = count;
	s->n_blocks++;
	s->tail += count;
}

void ref_seal_commit(struct ref_seal *s, size_t n_tokens, enum ref_phase phase)
{
	s->length += n_tokens;
	if (phase == REF_PROMPT && s->at_end)
		return;
	while (s->length >= s->tail + s->block + s->window)
		seal(s, s->block);
	if (phase == REF_PROMPT_END && !s->ended && s->length > s->tail + s->window) {
		seal(s, s->length - s->tail - s->window);
		s->ended = true;
	}
}

void ref_seal_cut(struct ref_seal *s, size_t n_tokens)
{
	s->length = n_tokens;
	if (s->tail > n_tokens)
		s->tail = n_tokens;
	while (s->n_blocks > 0 && s->blocks[s->n_blocks - 1].from >= n_tokens)
		s->n_blocks--;
}
