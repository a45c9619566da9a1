/* SPDX-License-Identifier: MIT */
/** \file names.c \brief Finds the identifiers of a text. */
#include "program/names.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"

#include <ctype.h>
#include <string.h>

static bool goes_on(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Behind a comment or a literal that begins at text; text itself where none does. */
static const char *skip(const char *text)
{
	if (text[0] == '/' && text[1] == '/')
		return text + strcspn(text, "\n");
	if (text[0] == '/' && text[1] == '*') {
		const char *end = strstr(text + 2, "*/");
		return end ? end + 2 : text + strlen(text);
	}
	if (text[0] != '"' && text[0] != '\'')
		return text;
	const char *at = text + 1;
	while (*at && *at != *text && *at != '\n')
		at += at[0] == '\\' && at[1] ? 2 : 1;
	return *at ? at + 1 : at;
}

/* The next word from text on, a number with its letters included; NULL at the end. */
static const char *next_word(const char *text, size_t *length)
{
	while (*text && !goes_on(*text)) {
		const char *behind = skip(text);
		text = behind > text ? behind : text + 1;
	}
	*length = 0;
	while (goes_on(text[*length]))
		++*length;
	return *length > 0 ? text : NULL;
}

/* Whether macros are written so: no small letter, no digit in front. */
static bool may_be_macro(const char *word, size_t length)
{
	if (isdigit((unsigned char)word[0]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (islower((unsigned char)word[i]))
			return false;
	return true;
}

static uint32_t hash_of(const char *word, size_t length)
{
	uint64_t hash = clkv__hash(CLKV__HASH_START, word, length);
	uint32_t folded = (uint32_t)(hash ^ hash >> 32);
	return folded ? folded : 1;
}

/* Where a hash is, or would be put. */
static size_t place_of(const struct clkv__names *names, uint32_t hash)
{
	size_t at = hash & (names->room - 1);
	while (names->table[at] && names->table[at] != hash)
		at = (at + 1) & (names->room - 1);
	return at;
}

/* Doubles the table. */
static bool grow(const clkv_allocator *allocator, struct clkv__names *names)
{
	struct clkv__names larger = {.room = names->room ? 2 * names->room : 512, .n = names->n};
	larger.table = clkv__calloc(allocator, larger.room, sizeof *larger.table);
	if (!larger.table)
		return false;
	for (size_t i = 0; i < names->room; i++)
		if (names->table[i])
			larger.table[place_of(&larger, names->table[i])] = names->table[i];
	clkv__free(allocator, names->table);
	*names = larger;
	return true;
}

static bool add(const clkv_allocator *allocator, struct clkv__names *names, uint32_t hash)
{
	if (2 * names->n >= names->room && !grow(allocator, names))
		return false;
	size_t at = place_of(names, hash);
	names->n += names->table[at] == 0;
	names->table[at] = hash;
	return true;
}

clkv_status clkv__names_read(const clkv_allocator *allocator, const char *text,
                             struct clkv__names *out, clkv_error *error)
{
	struct clkv__names names = {NULL, 0, 0};
	size_t length;
	for (const char *word = text; (word = next_word(word, &length)) != NULL; word += length) {
		if (!may_be_macro(word, length) || add(allocator, &names, hash_of(word, length)))
			continue;
		clkv__names_free(allocator, &names);
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
		          "no host memory for the names in a kernel file");
	}
	*out = names;
	return CLKV_OK;
}

void clkv__names_free(const clkv_allocator *allocator, struct clkv__names *names)
{
	clkv__free(allocator, names->table);
	*names = (struct clkv__names){NULL, 0, 0};
}

bool clkv__names_have(const struct clkv__names *names, const char *name)
{
	size_t length = strlen(name);
	if (!may_be_macro(name, length))
		return true; /* such names aren't kept */
	uint32_t hash = hash_of(name, length);
	return names->room > 0 && names->table[place_of(names, hash)] == hash;
}

void clkv__names_filter(const struct clkv__names *names, clkv__macros *macros)
{
	size_t n = 0;
	for (size_t i = 0; i < macros->n; i++)
		if (clkv__names_have(names, macros->list[i].name))
			macros->list[n++] = macros->list[i];
	macros->n = n;
}
