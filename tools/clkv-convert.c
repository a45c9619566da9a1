/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-convert.c
 * \brief   State files of llama.cpp into snapshots of clkv, and back.
 */
#include <string.h>

#include "convert.h"
#include "options.h"
#include "tool_main.h"

enum { MOST_HEADS = 1024 };

static struct convert o = {.sequence = SIZE_MAX};

static bool set_type(const char *text, struct tool_error *error)
{
	static const enum llama_type types[] = {LLAMA_F16, LLAMA_BF16, LLAMA_F32};
	o.type_given = true;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		o.type = types[i];
		if (strcmp(text, llama_type_name(types[i])) == 0)
			return true;
	}
	return tool_fail(error, "--type takes f16, bf16 or f32, not '%s'", text);
}

static const struct tool_option options[] = {
	{"in", "FILE", "a sequence or session file of llama.cpp, or a snapshot of clkv", .text = &o.in},
	{"out", "FILE", "where the other of the two goes; without it, what the first holds is shown",
     .text = &o.out},
	{"tokens", "FILE",
     "ids of tokens, as text: written if llama.cpp's file is read,\nand needed to write it",
     .text = &o.tokens},
	{"seq", "N", "the sequence; default the only one, to write 0",
     .size = {&o.sequence, 0, LLAMA_MOST_SEQUENCES - 1}},
	{"model", "FILE", "GGUF file (Llama architecture), for heads and RoPE", .text = &o.model},
	OPTION_GIVEN(o.given),
	{"recipe", "R", "of the snapshot; default f16", .text = &o.recipe},
	{"kv-heads", "N", "KV heads, without --model", .size = {&o.kv_heads, 1, MOST_HEADS}},
	{"q-heads", "N", "query heads, without --model; default as many",
     .size = {&o.q_heads, 1, MOST_HEADS}},
	{"type", "T", "of rows for llama.cpp: f16 (default), bf16 or f32", .set = set_type},
	{"v-trans", NULL, "V by channel, for contexts without flash attention", .flag = &o.transposed},
	{"streams", "N", "streams of the context that will read it; default 1",
     .size = {&o.streams, 1, LLAMA_MOST_SEQUENCES}},
	{"session", NULL, "a session file, not a sequence's", .flag = &o.session},
	{"arch", "NAME", "the model's architecture in a session file; default the model's",
     .text = &o.arch},
	OPTION_DEVICE(o.device),
};

static bool check(struct tool_error *error)
{
	if (o.in == NULL)
		return tool_fail(error, "--in is needed; try clkv-convert --help");
	return o.out == NULL || strcmp(o.in, o.out) != 0 ||
	       tool_fail(error, "--in and --out are the same file");
}

static bool run(struct tool_error *error)
{
	return convert_run(&o, error);
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = "clkv-convert",
		.usage =
			"usage: clkv-convert --in STATE --out SNAPSHOT (--model M.gguf | --kv-heads N) "
			"[--recipe R] [--tokens FILE]\n"
			"       clkv-convert --in SNAPSHOT --out STATE --tokens FILE [--type T] [--v-trans]\n"
			"       clkv-convert --in FILE\n"
			"\n"
			"Converts saved sequences: files of llama.cpp's llama_state_seq_save_file and\n"
			"llama_state_save_file into files of clkv_seq_save with any recipe that needs no "
			"queries,\nand back.\n"
			"\n",
		.options = options,
		.n_options = sizeof options / sizeof options[0],
		.check = check,
		.run = run,
	};
	return tool_main(&tool, argc, argv);
}
