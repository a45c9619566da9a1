/* SPDX-License-Identifier: MIT */
/** \file tuning.c \brief Checks, reads and prints tunings from one table of their numbers. */
#include "tune/tuning.h"

#include <stdio.h>
#include <string.h>

static const struct key {
	const char *name; /* "name=" */
	size_t offset;
	unsigned max;
	bool power, optional;
} keys[] = {
	{"lanes=", offsetof(struct clkv__tuning, lanes), CLKV__MAX_LANES, true, false},
	{"vec=", offsetof(struct clkv__tuning, vec), CLKV__MAX_VEC, true, false},
	{"queries=", offsetof(struct clkv__tuning, queries), 64, false, true},
	{"groups=", offsetof(struct clkv__tuning, groups), 64, false, true},
	{"min_blocks=", offsetof(struct clkv__tuning, min_blocks), 64, false, true},
};

enum { N_KEYS = sizeof keys / sizeof keys[0] };

static unsigned get(const struct clkv__tuning *t, const struct key *key)
{
	unsigned value;
	memcpy(&value, (const char *)t + key->offset, sizeof value);
	return value;
}

static void put(struct clkv__tuning *t, const struct key *key, unsigned value)
{
	memcpy((char *)t + key->offset, &value, sizeof value);
}

bool clkv__tuning_is_valid(const struct clkv__tuning *tuning, unsigned lanes)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		unsigned value = get(tuning, &keys[i]);
		if (value < 1 || value > keys[i].max || (keys[i].power && (value & (value - 1)) != 0))
			return false;
	}
	return tuning->lanes <= lanes;
}

/* One to three digits without a zero in front; 0: there is no such number. */
static unsigned read_number(const char **text)
{
	unsigned value = 0;
	size_t n = strspn(*text, "0123456789");
	if (n < 1 || n > 3 || **text == '0')
		return 0;
	for (; n > 0; n--)
		value = 10 * value + (unsigned)(*(*text)++ - '0');
	return value;
}

bool clkv__tuning_parse(const char *text, unsigned lanes, bool whole, struct clkv__tuning *tuning)
{
	struct clkv__tuning t = *tuning;
	bool first = true;
	for (size_t i = 0; i < N_KEYS; i++) {
		const char *at = first ? text : text + (*text == ',');
		size_t n = strlen(keys[i].name);
		if ((!first && *text != ',') || strncmp(at, keys[i].name, n) != 0) {
			if (whole || !keys[i].optional)
				return false;
			continue;
		}
		text = at + n;
		put(&t, &keys[i], read_number(&text));
		first = false;
	}
	if (*text != '\0' || !clkv__tuning_is_valid(&t, lanes))
		return false;
	*tuning = t;
	return true;
}

void clkv__tuning_print(const struct clkv__tuning *tuning, char text[CLKV__TUNING_TEXT])
{
	int at = 0;
	for (size_t i = 0; i < N_KEYS; i++)
		at += snprintf(text + at, (size_t)(CLKV__TUNING_TEXT - at), "%s%s%u", i ? "," : "",
		               keys[i].name, get(tuning, &keys[i]));
}

bool clkv__tuning_equal(const struct clkv__tuning *a, const struct clkv__tuning *b)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (get(a, &keys[i]) != get(b, &keys[i]))
			return false;
	return true;
}
