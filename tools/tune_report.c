/* SPDX-License-Identifier: MIT */
/**
 * \file    tune_report.c
 * \brief   What was measured, as a table for people or as JSON lines.
 */
#include <stdio.h>

#include "json_string.h"
#include "tune.h"

static void begin_json(const struct tune_task *task, const char *event, const char *tuning)
{
	(void)printf("{\"event\": \"%s\", \"recipe\": ", event);
	json_string_print(stdout, task->recipe);
	(void)printf(", \"head_dim\": %zu, \"q_heads\": %zu, \"kv_heads\": %zu, \"tokens\": %zu",
	             task->head_dim, task->q_heads, task->kv_heads, task->tokens);
	if (tuning != NULL) {
		(void)fputs(", \"tuning\": ", stdout);
		json_string_print(stdout, tuning);
	}
}

static void print_text(const char *name, const char *text)
{
	(void)printf(", \"%s\": ", name);
	json_string_print(stdout, text);
}

static void end_line(const struct tune_task *task)
{
	(void)puts(task->json ? "}" : "");
	(void)fflush(stdout);
}

void tune_report_head(const struct tune_task *task, const char *device, const char *tuning)
{
	if (task->json) {
		begin_json(task, "default", tuning);
		print_text("device", device);
	} else {
		(void)printf("%s, D %zu, G %zu, %zu tokens, on %s\n", task->recipe, task->head_dim,
		             task->q_heads / task->kv_heads, task->tokens, device);
		(void)printf("  %-8s %-56s %9s %6s", "", "tuning", "ns/t/h", "ratio");
	}
	end_line(task);
}

void tune_report_line(const struct tune_task *task, const struct tune_line *line)
{
	if (task->json) {
		begin_json(task, "candidate", line->tuning);
		print_text("measured_recipe", line->recipe);
		print_text("what", line->what);
		(void)printf(", \"ns_per_token_head\": %.5g, \"ratio\": %.4f", line->ns, line->ratio);
	} else {
		(void)printf("  %-8s %-56s %9.2f %6.3f", line->what, line->tuning, line->ns, line->ratio);
	}
	end_line(task);
}

void tune_report_refused(const struct tune_task *task, const char *tuning, const char *why)
{
	if (task->json) {
		begin_json(task, "refused", tuning);
		print_text("why", why);
	} else {
		(void)printf("  %-8s %-56s %s", "refused", tuning, why);
	}
	end_line(task);
}

void tune_report_best(const struct tune_task *task, const char *tuning, double decode,
                      double prompt, const char *path)
{
	if (task->json) {
		begin_json(task, "best", tuning);
		(void)printf(", \"ratio\": %.4f, \"ratio_prompt\": %.4f", decode, prompt);
		if (path != NULL)
			print_text("stored", path);
	} else {
		(void)printf("  best: %s: %.3f of the default's time, %.3f for prompts\n", tuning, decode,
		             prompt);
		(void)printf("  %s%s\n", path != NULL ? "stored in " : "not stored", path ? path : "");
	}
	end_line(task);
}

void tune_report_block(const struct tune_task *task, int block, double ratio)
{
	if (task->json) {
		begin_json(task, "block", NULL);
		(void)printf(", \"block\": %d, \"ratio\": %.4f", block, ratio);
	} else {
		(void)printf("  with block=%d in the recipe: %.3f of the best's time", block, ratio);
	}
	end_line(task);
}

void tune_report_noise(const struct tune_task *task, double noise)
{
	if (task->json) {
		begin_json(task, "noise", NULL);
		(void)printf(", \"share\": %.4f", noise);
	} else {
		(void)printf("  two runs of the default differ by %.0f %%: only larger gains count%s",
		             100.0 * noise, task->cpu_time ? "" : "; on a busy CPU take --cpu-time");
	}
	end_line(task);
}
