/* SPDX-License-Identifier: MIT */
/**
 * \file    tune_candidates.c
 * \brief   Which tunings are worth a measurement.
 */
#include <stdio.h>

#include "tune.h"

enum { LANES, VEC, GROUPS, MIN_BLOCKS, QUERIES };

/* BLOCK is what recipes have unless they say otherwise. */
enum { BLOCK = 64, MOST = 64, MOST_LANES = 256 };

bool tune_numbers_read(const char *text, struct tune_numbers *n)
{
	return sscanf(text, "lanes=%u,vec=%u,queries=%u,groups=%u,min_blocks=%u", &n->lanes, &n->vec,
	              &n->queries, &n->groups, &n->min_blocks) == 5;
}

void tune_numbers_print(const struct tune_numbers *n, char text[TUNE_TEXT])
{
	(void)snprintf(text, TUNE_TEXT, "lanes=%u,vec=%u,queries=%u,groups=%u,min_blocks=%u", n->lanes,
	               n->vec, n->queries, n->groups, n->min_blocks);
}

static unsigned *value_at(size_t index, struct tune_numbers *n)
{
	unsigned *const at[] = {&n->lanes, &n->vec, &n->groups, &n->min_blocks, &n->queries};
	return at[index];
}

unsigned tune_value(size_t index, const struct tune_numbers *numbers)
{
	struct tune_numbers n = *numbers;
	return *value_at(index, &n);
}

static void add(struct tune_coordinate *c, const struct tune_numbers *best, size_t index,
                unsigned value)
{
	struct tune_numbers n = *best;
	unsigned *at = value_at(index, &n);
	if (*at == value || value == 0 || c->n == sizeof c->candidates / sizeof c->candidates[0])
		return;
	*at = value;
	c->candidates[c->n++] = n;
}

/* Whether the device takes a form and has work for all of it. */
static bool is_worth(const clkv_device_info *device, size_t head_dim, unsigned lanes, unsigned vec)
{
	const unsigned widest = device->vector_width > 4 ? device->vector_width : 4;
	if (!device->is_gpu)
		return lanes == 1 && vec >= 4 && vec <= 16 && vec <= widest;
	return lanes >= 32 && lanes <= MOST_LANES && lanes <= device->max_work_group && vec <= 4 &&
	       (size_t)lanes * vec <= 2 * (head_dim > BLOCK ? head_dim : BLOCK);
}

static void add_forms(struct tune_coordinate *c, size_t index, const clkv_device_info *device,
                      size_t head_dim, const struct tune_numbers *best)
{
	for (unsigned factor = 2; factor <= 4; factor *= 2)
		for (int up = 0; up < 2; up++) {
			unsigned now = tune_value(index, best), value = up ? now * factor : now / factor;
			unsigned lanes = index == LANES ? value : best->lanes;
			unsigned vec = index == VEC ? value : best->vec;
			if (value > 0 && is_worth(device, head_dim, lanes, vec))
				add(c, best, index, value);
		}
}

/* Half and double; of groups, which cost little and even out the ends, three times as many too. */
static void add_around(struct tune_coordinate *c, size_t index, const struct tune_numbers *best,
                       unsigned now)
{
	add(c, best, index, now / 2);
	add(c, best, index, 2 * now <= MOST ? 2 * now : 0);
	if (index == GROUPS)
		add(c, best, index, 3 * now <= MOST ? 3 * now : 0);
}

void tune_coordinate(size_t index, const clkv_device_info *device, size_t head_dim,
                     const struct tune_numbers *best, struct tune_coordinate *out)
{
	static const char *const names[TUNE_COORDINATES] = {"lanes", "vec", "groups", "min_blocks",
	                                                    "queries"};
	*out = (struct tune_coordinate){
		.name = names[index],
		.prompt = index == QUERIES,
		.balance = index == GROUPS || index == MIN_BLOCKS,
	};
	if (index == LANES || index == VEC)
		add_forms(out, index, device, head_dim, best);
	else
		add_around(out, index, best, tune_value(index, best));
}
