/* SPDX-License-Identifier: MIT */
/**
 * \file    convert.c
 * \brief   Which way a file goes, and which options belong to that.
 */
#include <errno.h>
#include <string.h>

#include "convert.h"
#include "file_map.h"

bool convert_write(const char *path, convert_write_fn write, void *opaque, struct tool_error *error)
{
	FILE *file = fopen(path, "wb");
	if (file == NULL)
		return tool_fail(error, "can't write '%s': %s", path, strerror(errno));
	bool done = write(opaque, file, error);
	if (fclose(file) != 0 && done)
		done = tool_fail(error, "'%s' can't be written to its end", path);
	if (!done)
		(void)remove(path);
	return done;
}

struct rule {
	bool given;
	const char *option;
};

/* Refuses options of the other direction, so that none is silently without effect. */
static bool none_of(const struct rule *rules, size_t n, const char *kind, struct tool_error *error)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].given)
			return tool_fail(error, "%s is not for %s", rules[i].option, kind);
	return true;
}

static bool for_state(const struct convert *c, struct tool_error *error)
{
	const struct rule rules[] = {{c->session, "--session"},
	                             {c->transposed, "--v-trans"},
	                             {c->type_given, "--type"},
	                             {c->arch != NULL, "--arch"},
	                             {c->streams > 0, "--streams"}};
	return none_of(rules, sizeof rules / sizeof rules[0], "a state of llama.cpp, but for snapshots",
	               error);
}

static bool for_snapshot(const struct convert *c, struct tool_error *error)
{
	const struct rule rules[] = {{c->recipe != NULL, "--recipe"},
	                             {c->kv_heads > 0, "--kv-heads"},
	                             {c->q_heads > 0, "--q-heads"}};
	if (c->out != NULL && c->tokens == NULL)
		return tool_fail(error, "llama.cpp's files hold the tokens: --tokens FILE has their ids "
		                        "(an empty file: none)");
	return none_of(rules, sizeof rules / sizeof rules[0], "a snapshot, but for states of llama.cpp",
	               error);
}

static bool from_state(const struct convert *convert, const void *data, size_t size,
                       struct tool_error *error)
{
	struct llama_state *state;
	if (!for_state(convert, error) || !llama_state_open_memory(data, size, &state, error))
		return false;
	bool done = true;
	if (convert->out == NULL)
		convert_show_state(state);
	else
		done = convert_to_snapshot(convert, state, error);
	llama_state_close(state);
	return done;
}

static bool from_snapshot(const struct convert *convert, const void *data, size_t size,
                          struct tool_error *error)
{
	struct snapshot_look look;
	if (!for_snapshot(convert, error))
		return false;
	if (convert->out != NULL)
		return convert_to_state(convert, data, size, error);
	if (!snapshot_look(data, size, &look, error))
		return false;
	convert_show_snapshot(&look);
	return true;
}

bool convert_run(const struct convert *convert, struct tool_error *error)
{
	void *map;
	size_t size;
	if (!file_map("file", convert->in, &map, &size, error))
		return false;
	bool done;
	if (llama_state_is(map, size))
		done = from_state(convert, map, size, error);
	else if (snapshot_is(map, size))
		done = from_snapshot(convert, map, size, error);
	else
		done = tool_fail(error,
		                 "'%s' is neither a state of llama.cpp ('ggsq', 'ggsn') nor a snapshot of "
		                 "clkv",
		                 convert->in);
	file_unmap(map, size);
	return done;
}
