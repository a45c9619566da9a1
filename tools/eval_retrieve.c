/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_retrieve.c
 * \brief   What is hidden in prompts, asked for under each recipe.
 *
 * A case is a prompt with n questions, and has 2 n scores. Score i < n: question i when the first stood in the prompt that was
 * compressed, but for its last token, and the others were asked behind it one after the other, each with the right
 * answer fed behind it. Score n + i: question i by itself, asked on a fork of the prompt that was compressed without any.
 * Cases of context x are windows x * cases .. (x + 1) * cases - 1.
 */
#include <stdlib.h>

#include "eval_ask.h"
#include "eval_board.h"
#include "eval_runs.h"
#include "eval_tally.h"
#include "progress.h"

struct retrieval {
	struct eval *eval;
	struct eval_case *cases; /* [n_contexts * cases] */
	struct asker asker;
};

static bool open_cases(struct retrieval *r, struct tool_error *error)
{
	const struct eval_options *o = r->eval->options;
	r->cases = calloc(o->n_contexts * o->cases, sizeof *r->cases);
	if (r->cases == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < o->n_contexts * o->cases; i++) {
		struct task_case task;
		size_t index = i % o->cases;
		task_make(o->task, o->facts, o->seed, index, o->cases, &task);
		if (!eval_case_open(r->eval, &r->eval->texts[index % o->n_texts], o->contexts[i / o->cases],
		                    &task, &r->cases[i], error))
			return false;
	}
	return true;
}

static void close_cases(struct retrieval *r)
{
	const struct eval_options *o = r->eval->options;
	for (size_t i = 0; r->cases != NULL && i < o->n_contexts * o->cases; i++)
		eval_case_close(&r->cases[i]);
	free(r->cases);
}

static uint64_t begin_case(void *opaque, size_t window)
{
	struct retrieval *r = opaque;
	r->eval->ids = r->cases[window].ids;
	return r->cases[window].hash;
}

/* Whether f16 answers any question right. */
static bool case_counts(const struct eval_scores *f16)
{
	return eval_scores_sum(f16->agreed, f16->n) > 0.0;
}

/* Each question on a fork of its own. */
static bool ask_apart(struct retrieval *r, const struct eval_case *c, struct eval_run *run,
                      struct eval_scores *scores, struct tool_error *error)
{
	for (size_t i = 0; i < c->n_questions; i++) {
		struct engine_stream fork;
		if (!session_stream_fork(&run->stream, &fork, error))
			return false;
		bool done =
			eval_ask(&r->asker, &fork, &c->questions[i], 0, scores, c->n_questions + i, error);
		session_stream_fork_close(&fork);
		if (!done)
			return false;
	}
	return true;
}

/* Behind a stream that has all of the first question but its last token. */
static bool ask_in_turn(struct retrieval *r, const struct eval_case *c, struct eval_run *run,
                        struct eval_scores *scores, struct tool_error *error)
{
	for (size_t i = 0; i < c->n_questions; i++) {
		const struct case_question *q = &c->questions[i];
		if (!eval_ask(&r->asker, &run->stream, q, i == 0 ? q->n - 1 : 0, scores, i, error) ||
		    (i + 1 < c->n_questions &&
		     !eval_feed(&r->asker, &run->stream, q->answers[0], TASK_DIGITS, error)))
			return false;
	}
	return true;
}

/* Where nothing is sealed at a prompt's end the first question is fed behind the prompt that is there; f16's is copied by the
 * others. */
static bool give_question(struct eval_runs *runs, const struct asker *asker,
                          const struct eval_case *c, size_t i, struct tool_error *error)
{
	const size_t n = c->questions[0].n - 1;
	return i == 0 || runs->eval->options->prompt == EVAL_PROMPT_GROWING
	           ? eval_feed(asker, &runs->run[i].stream, c->questions[0].ids, n, error)
	           : eval_runs_give(runs, i, c->n_prompt + n, error);
}

static bool ask_all(struct retrieval *r, struct eval_runs *runs, const struct eval_case *c,
                    size_t i, struct eval_scores *scores, struct tool_error *error)
{
	struct eval_run *run = &runs->run[i];
	const bool is_first = (size_t)(c - r->cases) % r->eval->options->cases == 0;
	if (!eval_runs_give(runs, i, c->n_prompt, error) ||
	    !eval_runs_note(run, c->n_prompt, is_first, error) ||
	    !ask_apart(r, c, run, scores, error) || !give_question(runs, &r->asker, c, i, error) ||
	    !ask_in_turn(r, c, run, scores, error))
		return false;
	scores->bytes_per_token = run->bytes_per_token;
	scores->prefill_tokens_per_s = run->prefill_tokens_per_s;
	return true;
}

/* Tokens of a prompt, all questions and their answers. */
static size_t case_tokens(const struct eval_case *c)
{
	size_t n = c->n_prompt;
	for (size_t i = 0; i < c->n_questions; i++)
		n += c->questions[i].n + TASK_DIGITS;
	return n;
}

/* f16 first: where it answers nothing right, the recipes aren't asked. */
static bool run_case(void *opaque, size_t window, const bool *wanted, struct eval_scores *scores,
                     struct tool_error *error)
{
	struct retrieval *r = opaque;
	const struct eval_case *c = &r->cases[window];
	struct eval_runs runs = {.eval = r->eval, .forks = 1};
	bool done = eval_runs_open(&runs, wanted, case_tokens(c), error);
	for (size_t i = 0; i < runs.n && done && (i == 0 || case_counts(scores)); i++) {
		done = ask_all(r, &runs, c, i, &scores[runs.run[i].slot], error);
		progress_share((double)(i + 1) / (double)runs.n);
	}
	eval_runs_close(&runs);
	progress_clear();
	return done;
}

/* Mean bytes of the prompts that count. */
static double bytes_of(const struct eval_board *b, size_t first, size_t slot)
{
	double sum = 0.0, n = 0.0;
	for (size_t w = first; w < first + b->eval->options->cases; w++) {
		const bool is_run = slot == 0 || case_counts(eval_board_scores(b, w, 0));
		sum += is_run ? eval_board_scores(b, w, slot)->bytes_per_token : 0.0;
		n += is_run;
	}
	return sum / n;
}

static void report(const struct eval_board *b, struct eval_result *results)
{
	const struct eval_options *o = b->eval->options;
	const double f16 = (double)session_f16_bytes(&b->eval->session);
	for (size_t i = 0; i < o->n_contexts * o->n_recipes; i++) {
		const size_t first = i / o->n_recipes * o->cases, slot = eval_slot(o, i % o->n_recipes);
		struct eval_result *r = &results[i];
		*r = (struct eval_result){.recipe = o->recipes[i % o->n_recipes]};
		r->retrieval = eval_tally(eval_board_scores(b, first, slot), eval_board_scores(b, first, 0),
		                          o->cases, b->slots);
		r->retrieval.context = o->contexts[i / o->n_recipes];
		r->bytes_per_token = bytes_of(b, first, slot);
		r->ratio = f16 / r->bytes_per_token;
		r->bits_per_value = 16.0 / r->ratio;
	}
}

static bool run_board(struct retrieval *r, struct eval_board *board, struct eval_result *results,
                      struct tool_error *error)
{
	const struct eval_options *o = r->eval->options;
	const struct eval_work work = {.n_windows = o->n_contexts * o->cases,
	                               .n_each = 2 * task_questions(o->task, o->facts),
	                               .begin = begin_case,
	                               .counts = case_counts,
	                               .run = run_case,
	                               .opaque = r};
	if (!eval_board_open(board, r->eval, &work, error) || !eval_board_run(board, error))
		return false;
	report(board, results);
	return true;
}

bool eval_retrieve(struct eval *eval, struct eval_result *results, struct tool_error *error)
{
	struct retrieval r = {.eval = eval};
	struct eval_board board = {.scores = NULL};
	bool done = eval_asker_open(&eval->session, &r.asker, error) && open_cases(&r, error) &&
	            run_board(&r, &board, results, error);
	eval_board_close(&board);
	close_cases(&r);
	eval_asker_close(&r.asker);
	return done;
}
