/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_tasks.c
 * \brief   Sentences, places and questions, drawn from a seed.
 */
#include "eval_tasks.h"

#include <stdio.h>
#include <string.h>

#include "draw.h"

/* As many numbers have five digits. */
#define N_KEYS 90000
#define LEAST_KEY 10000

/* Answers of tasks that are drawn, at least: each takes the time of a step of generation. */
#define LEAST_ANSWERS 4

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const task_names[] = {"perplexity", "needle", "keys", "turns", "tracking"};

/* Words that tokenizers have whole. */
static const char *const people[] = {"Anna",  "Peter", "Maria", "Tom",   "Laura", "David",
                                     "Susan", "Paul",  "Emma",  "James", "Lucy",  "Mark"};
static const char *const boxes[] = {"red",   "blue", "green", "black", "white",  "yellow",
                                    "brown", "pink", "grey",  "gold",  "silver", "orange"};

bool task_find(const char *name, enum eval_task *task)
{
	for (size_t i = 0; i < COUNT(task_names); i++) {
		if (strcmp(name, task_names[i]) == 0) {
			*task = (enum eval_task)i;
			return true;
		}
	}
	return false;
}

const char *task_name(enum eval_task task)
{
	return task_names[task];
}

size_t task_questions(enum eval_task task, size_t n_facts)
{
	return task == TASK_PERPLEXITY ? 0 : task == TASK_TURNS ? n_facts : 1;
}

/* A key that is none of the first n. */
static unsigned draw_key(uint64_t *state, const unsigned *keys, size_t n)
{
	for (;;) {
		unsigned key = LEAST_KEY + (unsigned)draw_below(state, N_KEYS);
		size_t i = 0;
		while (i < n && keys[i] != key)
			i++;
		if (i == n)
			return key;
	}
}

static void draw_keys(uint64_t *state, unsigned *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		keys[i] = draw_key(state, keys, i);
}

/* Fact i of n lies somewhere in the i-th of n equal parts. */
static void draw_places(uint64_t *state, struct task_case *c)
{
	for (size_t i = 0; i < c->n_facts; i++) {
		double within = (double)draw_below(state, 1000) / 1000.0;
		c->facts[i].place = ((double)i + within) / (double)c->n_facts;
	}
}

/* The right one of the hidden keys first, the others behind it, then ones that stand nowhere. */
static void choose_answers(const unsigned *keys, size_t n_hidden, size_t right,
                           struct task_question *q)
{
	q->n_answers = n_hidden > LEAST_ANSWERS ? n_hidden : LEAST_ANSWERS;
	memcpy(q->answers, keys, q->n_answers * sizeof *keys);
	q->answers[0] = keys[right];
	q->answers[right] = keys[0];
}

/* The same in every run, and for each depth others. */
static void make_needle(size_t index, size_t n_cases, struct task_case *c)
{
	struct task_question *q = c->questions;
	q->n_answers = TASK_MOST_ANSWERS;
	for (size_t i = 0; i < q->n_answers; i++)
		q->answers[i] =
			LEAST_KEY + ((unsigned)(index * q->n_answers + i + 1) * 38501U + 7919U) % N_KEYS;
	c->n_facts = c->n_questions = 1;
	c->filler = 0.0;
	c->facts[0].place = (double)(2 * index + 1) / (double)(2 * n_cases);
	(void)snprintf(c->facts[0].text, TASK_TEXT_BYTES,
	               " The secret key is %u. Remember it: the secret key is %u.", q->answers[0],
	               q->answers[0]);
	(void)snprintf(q->text, TASK_TEXT_BYTES, "\n\nWhat is the secret key? The secret key is ");
}

static void ask_for(const char *name, const unsigned *keys, size_t n_facts, size_t asked,
                    struct task_question *q)
{
	(void)snprintf(q->text, TASK_TEXT_BYTES,
	               "\n\nWhat is the secret key of %s? The secret key of %s is ", name, name);
	choose_answers(keys, n_facts, asked, q);
}

static void make_keys(uint64_t *state, size_t n_facts, size_t n_questions, struct task_case *c)
{
	size_t names[COUNT(people)], asked[TASK_MOST_FACTS];
	unsigned keys[TASK_MOST_ANSWERS];
	draw_order(state, names, COUNT(people));
	draw_keys(state, keys, TASK_MOST_ANSWERS);
	draw_order(state, asked, n_facts);
	c->n_facts = n_facts;
	c->n_questions = n_questions;
	for (size_t i = 0; i < n_facts; i++) {
		const char *name = people[names[i]];
		(void)snprintf(c->facts[i].text, TASK_TEXT_BYTES,
		               " The secret key of %s is %u. Remember it: the secret key of %s is %u.",
		               name, keys[i], name, keys[i]);
	}
	for (size_t i = 0; i < n_questions; i++)
		ask_for(people[names[asked[i]]], keys, n_facts, asked[i], &c->questions[i]);
}

/* One chain, in its order: with the key of another box beside it small models guess which of the two is meant. */
static void make_tracking(uint64_t *state, size_t n_facts, struct task_case *c)
{
	size_t colours[COUNT(boxes)];
	unsigned keys[TASK_MOST_ANSWERS];
	draw_order(state, colours, COUNT(boxes));
	draw_keys(state, keys, TASK_MOST_ANSWERS);
	c->n_facts = n_facts;
	(void)snprintf(c->facts[0].text, TASK_TEXT_BYTES, " Remember: the %s box has key %u.",
	               boxes[colours[0]], keys[0]);
	for (size_t i = 1; i < n_facts; i++)
		(void)snprintf(c->facts[i].text, TASK_TEXT_BYTES,
		               " Remember: the %s box has the key of the %s box.", boxes[colours[i]],
		               boxes[colours[i - 1]]);
	const char *last = boxes[colours[n_facts - 1]];
	struct task_question *q = &c->questions[c->n_questions++];
	(void)snprintf(q->text, TASK_TEXT_BYTES, "\n\nWhich key has the %s box? The %s box has key ",
	               last, last);
	choose_answers(keys, 1, 0, q);
}

void task_make(enum eval_task task, size_t n_facts, uint64_t seed, size_t index, size_t n_cases,
               struct task_case *out)
{
	uint64_t state = seed;
	memset(out, 0, sizeof *out);
	if (task == TASK_NEEDLE) {
		make_needle(index, n_cases, out);
		return;
	}
	/* states of different cases never meet: each is drawn on by a constant that 2^64 numbers go round with */
	state = draw_next(&state) + index;
	if (task == TASK_TRACKING)
		make_tracking(&state, n_facts, out);
	else
		make_keys(&state, n_facts, task_questions(task, n_facts), out);
	draw_places(&state, out);
	out->filler = (double)draw_below(&state, 1000) / 1000.0;
}
