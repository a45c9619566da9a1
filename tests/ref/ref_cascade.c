/* SPDX-License-Identifier: MIT */
/** \file ref_cascade.c \brief The walk as the paper describes it, with lists that are moved by hand. */
#include "ref_cascade.h"

#include <string.h>

/* Takes what is carried; returns whether something is carried on. */
static int offer(struct ref_cascade *c, size_t ring, size_t *carried, const double *score)
{
	size_t *token = c->token[ring], *n = &c->n[ring];
	size_t every = (size_t)2 << ring;
	if (c->room[ring] == 0)
		return 1;
	if (*n < c->room[ring]) {
		token[(*n)++] = *carried;
		return 0;
	}
	if (c->seen % every == 0) {
		size_t oldest = token[0];
		memmove(token, token + 1, (*n - 1) * sizeof *token);
		token[*n - 1] = *carried;
		*carried = oldest;
		return 1;
	}
	if (score[*carried] >= score[token[*n - 1]])
		token[*n - 1] = *carried;
	return 0;
}

void ref_cascade_push(struct ref_cascade *c, size_t position, const double *score)
{
	for (size_t ring = 0; ring < c->rings; ring++)
		if (!offer(c, ring, &position, score))
			break;
	c->seen++;
}

size_t ref_cascade_list(const struct ref_cascade *c, size_t *positions)
{
	size_t n = 0;
	for (size_t ring = c->rings; ring-- > 0; n += c->n[ring])
		memcpy(positions + n, c->token[ring], c->n[ring] * sizeof *positions);
	return n;
}
