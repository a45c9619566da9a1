/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-share.c
 * \brief   Looks into a store of prefixes: lists, verifies, evicts, counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clkv/share.h>

#include "tool_main.h"

static const char *action;
static const char *url;
static size_t bytes;
static bool has_bytes, removes;

static bool set_bytes(const char *text, struct tool_error *error)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);
	has_bytes = true;
	bytes = (size_t)value;
	return (text[0] >= '0' && text[0] <= '9' && *end == '\0') ||
	       tool_fail(error, "--bytes is '%s'; a whole number of bytes", text);
}

static const struct tool_option options[] = {
	{"store", "URL", "a folder, or redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]; rediss: by TLS",
     .text = &url},
	{"bytes", "N", "evict: how much may be left", .set = set_bytes},
	{"remove", NULL, "verify: remove what is damaged", .flag = &removes},
};

/* Chunks of one recipe. */
struct recipe {
	char *text;
	size_t chunks;
	uint64_t bytes;
};

struct work {
	clkv_share *share;
	size_t chunks, of_state[CLKV_SHARE_NEWER + 1];
	uint64_t bytes;
	struct recipe *recipes;
	size_t n_recipes;
	char (*damaged)[65];
	size_t n_damaged;
	bool failed;
};

static void count(struct work *w, const clkv_share_entry *e)
{
	w->chunks++;
	w->bytes += e->bytes;
	w->of_state[e->state]++;
}

static int list_entry(void *opaque, const clkv_share_entry *e)
{
	count(opaque, e);
	(void)printf("%12llu %10.0f %s\n", (unsigned long long)e->bytes, e->age, e->key);
	return 0;
}

static int verify_entry(void *opaque, const clkv_share_entry *e)
{
	struct work *w = opaque;
	count(w, e);
	if (e->state == CLKV_SHARE_WHOLE) {
		(void)printf("%12llu %8zu-%-8zu%s %s %s\n", (unsigned long long)e->bytes, e->from, e->to,
		             e->end ? "end" : "   ", e->key, e->recipe);
		return 0;
	}
	(void)printf("%12llu %s %s\n", (unsigned long long)e->bytes, e->key,
	             clkv_share_state_string(e->state));
	if (e->state != CLKV_SHARE_DAMAGED)
		return 0;
	void *grown = realloc(w->damaged, (w->n_damaged + 1) * sizeof *w->damaged);
	w->failed = grown == NULL;
	if (w->failed)
		return 1;
	w->damaged = grown;
	memcpy(w->damaged[w->n_damaged++], e->key, sizeof e->key);
	return 0;
}

static int tally_entry(void *opaque, const clkv_share_entry *e)
{
	struct work *w = opaque;
	size_t i = 0;
	count(w, e);
	while (i < w->n_recipes && strcmp(w->recipes[i].text, e->recipe) != 0)
		i++;
	if (i == w->n_recipes) {
		struct recipe *grown = realloc(w->recipes, (i + 1) * sizeof *grown);
		char *text = strdup(e->recipe);
		w->failed = grown == NULL || text == NULL;
		if (grown != NULL)
			w->recipes = grown;
		if (w->failed) {
			free(text);
			return 1;
		}
		w->recipes[w->n_recipes++] = (struct recipe){.text = text};
	}
	w->recipes[i].chunks++;
	w->recipes[i].bytes += e->bytes;
	return 0;
}

static bool walk(struct work *w, int verify, clkv_share_list_fn fn, struct tool_error *error)
{
	clkv_error cause = {0};
	if (clkv_share_list(w->share, verify, fn, w, &cause) != CLKV_OK)
		return tool_fail_clkv(error, url, &cause);
	return !w->failed || tool_fail(error, "out of memory");
}

static bool list(struct work *w, struct tool_error *error)
{
	if (!walk(w, 0, list_entry, error))
		return false;
	(void)printf("%zu chunks, %llu bytes\n", w->chunks, (unsigned long long)w->bytes);
	return true;
}

static bool verify(struct work *w, struct tool_error *error)
{
	clkv_error cause = {0};
	if (!walk(w, 1, verify_entry, error))
		return false;
	for (size_t i = 0; removes && i < w->n_damaged; i++)
		if (clkv_share_remove(w->share, w->damaged[i], &cause) != CLKV_OK)
			return tool_fail_clkv(error, url, &cause);
	(void)printf("%zu chunks, %llu bytes: %zu whole, %zu damaged%s, %zu of a newer version\n",
	             w->chunks, (unsigned long long)w->bytes, w->of_state[CLKV_SHARE_WHOLE],
	             w->n_damaged, removes && w->n_damaged > 0 ? " and removed" : "",
	             w->of_state[CLKV_SHARE_NEWER]);
	return w->n_damaged == 0 || removes ||
	       tool_fail(error, "%zu chunks are damaged; --remove removes them", w->n_damaged);
}

static bool evict(struct work *w, struct tool_error *error)
{
	clkv_error cause = {0};
	size_t removed = 0;
	if (clkv_share_evict(w->share, bytes, &removed, &cause) != CLKV_OK)
		return tool_fail_clkv(error, url, &cause);
	(void)printf("%zu chunks removed\n", removed);
	return true;
}

static bool statistics(struct work *w, struct tool_error *error)
{
	if (!walk(w, 1, tally_entry, error))
		return false;
	for (size_t i = 0; i < w->n_recipes; i++)
		(void)printf("%8zu chunks %14llu bytes  %s\n", w->recipes[i].chunks,
		             (unsigned long long)w->recipes[i].bytes,
		             w->recipes[i].text[0] != '\0' ? w->recipes[i].text : "(damaged or newer)");
	(void)printf("%8zu chunks %14llu bytes\n", w->chunks, (unsigned long long)w->bytes);
	return true;
}

static const struct {
	const char *name;
	bool (*run)(struct work *w, struct tool_error *error);
} actions[] = {{"list", list}, {"verify", verify}, {"evict", evict}, {"stats", statistics}};
enum { ACTIONS = sizeof actions / sizeof actions[0] };

static size_t find_action(void)
{
	size_t i = 0;
	while (i < ACTIONS && strcmp(actions[i].name, action) != 0)
		i++;
	return i;
}

static bool check(struct tool_error *error)
{
	if (action == NULL || find_action() == ACTIONS)
		return tool_fail(error, "what to do: list, verify, evict or stats; try clkv-share --help");
	if (url == NULL)
		return tool_fail(error, "--store is needed: a folder, redis://HOST or rediss://HOST");
	if ((strcmp(action, "evict") == 0) != has_bytes)
		return tool_fail(error,
		                 "--bytes is how much evict leaves: it needs it, others don't take it");
	return !removes || strcmp(action, "verify") == 0 ||
	       tool_fail(error, "--remove goes with verify");
}

static bool run(struct tool_error *error)
{
	struct work w = {.share = NULL};
	clkv_error cause = {0};
	if (clkv_share_open(url, NULL, &w.share, &cause) != CLKV_OK)
		return tool_fail_clkv(error, url, &cause);
	bool done = actions[find_action()].run(&w, error);
	clkv_share_close(w.share);
	for (size_t i = 0; i < w.n_recipes; i++)
		free(w.recipes[i].text);
	free(w.recipes);
	free(w.damaged);
	return done;
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = "clkv-share",
		.usage = "usage: clkv-share list|verify|evict|stats --store URL [--bytes N] [--remove]\n"
				 "\n"
				 "Looks into a store of prefixes, a folder or a server: list shows bytes, seconds "
				 "since a\n"
				 "chunk was used, and its key; verify reads all and says what is damaged; evict "
				 "removes\n"
				 "what was used least recently until N bytes are left; stats counts by recipe.\n"
				 "\n",
		.options = options,
		.n_options = sizeof options / sizeof options[0],
		.operand = &action,
		.check = check,
		.run = run,
	};
	return tool_main(&tool, argc, argv);
}
