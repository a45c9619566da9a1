/* SPDX-License-Identifier: MIT */
/**
 * \file    check_eval_tasks.c
 * \brief   Retrieval tasks: what is drawn, what the right answer is, and how scores are added up.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "eval_tally.h"
#include "eval_tasks.h"
#include "support/suite.h"

enum { N_FACTS = 4, N_CASES = 400 };

static const enum eval_task drawn[] = {TASK_KEYS, TASK_TURNS, TASK_TRACKING};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct task_case make(enum eval_task task, size_t n_facts, uint64_t seed, size_t index)
{
	struct task_case c;
	task_make(task, n_facts, seed, index, N_CASES, &c);
	return c;
}

/* What the authors' program prints for this seed. */
START_TEST(test_generator_is_the_one_that_it_is_said_to_be)
{
	static const uint64_t expected[] = {UINT64_C(6457827717110365317),
	                                    UINT64_C(3203168211198807973),
	                                    UINT64_C(9817491932198370423)};
	uint64_t state = 1234567;
	for (size_t i = 0; i < COUNT(expected); i++)
		ck_assert_uint_eq(draw_next(&state), expected[i]);
}
END_TEST

/* 6000 draws of 6 orders: a count of 1000 has a deviation of 29, five of which are 145. */
START_TEST(test_all_orders_are_alike_likely)
{
	size_t counts[6] = {0};
	uint64_t state = 1;
	for (int i = 0; i < 6000; i++) {
		size_t order[3];
		draw_order(&state, order, 3);
		ck_assert_uint_eq(order[0] + order[1] + order[2], 3);
		ck_assert(order[0] != order[1] && order[1] != order[2] && order[0] < 3);
		counts[order[0] * 2 + (order[1] > order[2])]++;
	}
	for (int i = 0; i < 6; i++)
		ck_assert_msg(counts[i] > 855 && counts[i] < 1145, "order %d: %zu", i, counts[i]);
}
END_TEST

START_TEST(test_a_case_hangs_on_seed_and_index_alone)
{
	for (size_t t = 0; t < COUNT(drawn); t++) {
		struct task_case a = make(drawn[t], N_FACTS, 7, 3), again;
		task_make(drawn[t], N_FACTS, 7, 3, 5, &again);
		ck_assert_mem_eq(&a, &again, sizeof a);
		struct task_case next = make(drawn[t], N_FACTS, 7, 4),
						 other = make(drawn[t], N_FACTS, 8, 3);
		ck_assert_uint_ne(a.questions[0].answers[0], next.questions[0].answers[0]);
		ck_assert_uint_ne(a.questions[0].answers[0], other.questions[0].answers[0]);
		/* the seed and the index aren't merely added */
		ck_assert_uint_ne(next.questions[0].answers[0], other.questions[0].answers[0]);
	}
}
END_TEST

/* How many of the sentences hold a key. */
static size_t count_key(const struct task_case *c, unsigned key)
{
	char digits[16];
	size_t n = 0;
	(void)snprintf(digits, sizeof digits, "%u", key);
	for (size_t i = 0; i < c->n_facts; i++)
		n += strstr(c->facts[i].text, digits) != NULL;
	return n;
}

/* The right one is hidden once, wrong ones that are hidden come before those that are not. */
static void expect_answers(const struct task_case *c, const struct task_question *q, size_t hidden)
{
	ck_assert_uint_ge(q->n_answers, 4);
	ck_assert_uint_ge(q->n_answers, hidden);
	for (size_t i = 0; i < q->n_answers; i++) {
		ck_assert_uint_ge(q->answers[i], 10000);
		ck_assert_uint_le(q->answers[i], 99999);
		for (size_t k = 0; k < i; k++)
			ck_assert_uint_ne(q->answers[i], q->answers[k]);
		ck_assert_uint_eq(count_key(c, q->answers[i]), i < hidden);
	}
	ck_assert_int_eq(q->text[strlen(q->text) - 1], ' ');
}

START_TEST(test_answers_differ_and_the_right_one_is_hidden)
{
	for (size_t i = 0; i < N_CASES; i++) {
		for (size_t n = 2; n <= TASK_MOST_FACTS; n++) {
			struct task_case keys = make(TASK_KEYS, n, 1, i);
			struct task_case turns = make(TASK_TURNS, n, 1, i);
			struct task_case chain = make(TASK_TRACKING, n, 1, i);
			ck_assert_uint_eq(keys.n_facts, n);
			ck_assert_uint_eq(chain.n_facts, n);
			ck_assert_uint_eq(keys.n_questions, 1);
			expect_answers(&keys, &keys.questions[0], n);
			for (size_t k = 0; k < turns.n_questions; k++)
				expect_answers(&turns, &turns.questions[k], n);
			expect_answers(&chain, &chain.questions[0], 1);
		}
	}
}
END_TEST

/* Each sentence lies in a part of its own; over many cases it lies on average in the part's middle: the deviation of
 * a mean of 400 even draws from a part of 1/4 is 1/4 / sqrt(12 * 400) = .0036, five of which are .018. */
START_TEST(test_places_are_drawn_within_their_parts)
{
	double sums[N_FACTS] = {0};
	for (size_t i = 0; i < N_CASES; i++) {
		struct task_case c = make(TASK_KEYS, N_FACTS, 1, i);
		for (size_t k = 0; k < N_FACTS; k++) {
			ck_assert(c.facts[k].place >= (double)k / N_FACTS);
			ck_assert(c.facts[k].place < (double)(k + 1) / N_FACTS);
			sums[k] += c.facts[k].place / N_CASES;
		}
		ck_assert(c.filler >= 0 && c.filler < 1);
	}
	for (size_t k = 0; k < N_FACTS; k++)
		ck_assert_double_eq_tol(sums[k], ((double)k + 0.5) / N_FACTS, 0.018);
}
END_TEST

/* The word that stands between two texts, or behind the last of a text's `before`. */
static void word_between(const char *text, const char *before, const char *after, char *word)
{
	const char *begin = strstr(text, before);
	ck_assert_msg(begin != NULL, "'%s' lacks '%s'", text, before);
	begin += strlen(before);
	const char *end = strstr(begin, after);
	ck_assert_msg(end != NULL && end - begin < 32, "'%s' lacks '%s'", text, after);
	(void)snprintf(word, 32, "%.*s", (int)(end - begin), begin);
}

/* Finds the one sentence about a person's key, and reads it. Of 400 cases with 4 people each is asked for 100 times, with a
 * deviation of 8.7: five of them are 43. */
START_TEST(test_the_key_asked_for_is_that_of_the_person)
{
	size_t asked[N_FACTS] = {0};
	for (size_t i = 0; i < N_CASES; i++) {
		struct task_case c = make(TASK_KEYS, N_FACTS, 1, i);
		char name[32], begin[64];
		size_t found = 0;
		word_between(c.questions[0].text, "key of ", "?", name);
		(void)snprintf(begin, sizeof begin, " The secret key of %s is %u.", name,
		               c.questions[0].answers[0]);
		for (size_t k = 0; k < N_FACTS; k++) {
			bool is_it = strncmp(c.facts[k].text, begin, strlen(begin)) == 0;
			found += is_it;
			asked[k] += is_it;
			ck_assert(is_it || strstr(c.facts[k].text, name) == NULL);
		}
		ck_assert_uint_eq(found, 1);
	}
	for (size_t k = 0; k < N_FACTS; k++)
		ck_assert_msg(asked[k] > 57 && asked[k] < 143, "fact %zu: %zu", k, asked[k]);
}
END_TEST

/* The same prompt as with one question, and that one is the first. */
START_TEST(test_turns_ask_for_each_key_once)
{
	for (size_t i = 0; i < N_CASES; i++) {
		struct task_case keys = make(TASK_KEYS, N_FACTS, 1, i);
		struct task_case turns = make(TASK_TURNS, N_FACTS, 1, i);
		ck_assert_mem_eq(keys.facts, turns.facts, sizeof keys.facts);
		ck_assert_mem_eq(&keys.questions[0], &turns.questions[0], sizeof keys.questions[0]);
		ck_assert_uint_eq(turns.n_questions, N_FACTS);
		for (size_t k = 1; k < N_FACTS; k++)
			for (size_t m = 0; m < k; m++)
				ck_assert_uint_ne(turns.questions[m].answers[0], turns.questions[k].answers[0]);
	}
}
END_TEST

/* Goes from the box asked for to the one whose key it has, until a number: sentence by sentence towards the begin. */
static unsigned follow(const struct task_case *c, size_t n_facts)
{
	char box[32], begin[64], from[32];
	size_t before = c->n_facts;
	word_between(c->questions[0].text, "has the ", " box", box);
	for (size_t step = 0; step < n_facts; step++) {
		size_t at = 0;
		(void)snprintf(begin, sizeof begin, "the %s box has", box);
		while (at < before && strstr(c->facts[at].text, begin) == NULL)
			at++;
		ck_assert_msg(at < before, "nothing before sentence %zu tells of the %s box", before, box);
		before = at;
		const char *number = strstr(c->facts[at].text, "has key ");
		if (number != NULL) {
			ck_assert_uint_eq(step, n_facts - 1);
			return (unsigned)strtoul(number + strlen("has key "), NULL, 10);
		}
		word_between(c->facts[at].text, "the key of the ", " box", from);
		strcpy(box, from);
	}
	ck_abort_msg("the chain has no begin");
}

START_TEST(test_a_chain_leads_to_the_right_key)
{
	for (size_t i = 0; i < N_CASES; i++) {
		for (size_t n = 2; n <= TASK_MOST_FACTS; n++) {
			struct task_case c = make(TASK_TRACKING, n, 1, i);
			ck_assert_uint_eq(follow(&c, n), c.questions[0].answers[0]);
		}
	}
}
END_TEST

/* Published tables hang on these keys and depths. */
START_TEST(test_needles_are_the_same_in_every_run)
{
	struct task_case c;
	task_make(TASK_NEEDLE, 2, 99, 0, 4, &c);
	ck_assert_uint_eq(c.n_facts, 1);
	ck_assert_double_eq(c.facts[0].place, 0.125);
	ck_assert_double_eq(c.filler, 0.0);
	ck_assert_str_eq(c.facts[0].text,
	                 " The secret key is 56420. Remember it: the secret key is 56420.");
	expect_answers(&c, &c.questions[0], 1);
	task_make(TASK_NEEDLE, 2, 1, 3, 4, &c);
	ck_assert_double_eq(c.facts[0].place, 0.875);
	ck_assert_uint_eq(c.questions[0].n_answers, 10);
	ck_assert_uint_eq(c.questions[0].answers[9], 10000 + (40 * 38501 + 7919) % 90000);
}
END_TEST

START_TEST(test_tasks_are_found_by_name)
{
	enum eval_task task;
	ck_assert(task_find("tracking", &task) && task == TASK_TRACKING);
	ck_assert(!task_find("needles", &task) && !task_find("", &task));
	ck_assert_uint_eq(task_questions(TASK_PERPLEXITY, 4), 0);
	for (size_t t = 0; t < COUNT(drawn); t++) {
		struct task_case c = make(drawn[t], N_FACTS, 1, 0);
		ck_assert_uint_eq(task_questions(drawn[t], N_FACTS), c.n_questions);
	}
}
END_TEST

/* Scores of cases with two questions each: f16's, then a recipe's, as a board has them. */
enum { SLOTS = 2 };

struct question {
	double loss, margin, right;
};

static void set_scores(struct eval_scores *s, const struct question *q, size_t n)
{
	ck_assert(eval_scores_open(s, n));
	for (size_t i = 0; i < n; i++) {
		s->loss[i] = q[i].loss;
		s->divergence[i] = q[i].margin;
		s->agreed[i] = q[i].right;
	}
}

static struct eval_retrieval tally(const struct question f16[][2], const struct question own[][2],
                                   size_t n)
{
	struct eval_scores scores[8 * SLOTS];
	for (size_t c = 0; c < n; c++) {
		set_scores(&scores[c * SLOTS], f16[c], 2);
		set_scores(&scores[c * SLOTS + 1], own[c], 2);
	}
	struct eval_retrieval r = eval_tally(&scores[1], &scores[0], n, SLOTS);
	for (size_t i = 0; i < n * SLOTS; i++)
		eval_scores_close(&scores[i]);
	return r;
}

START_TEST(test_only_what_f16_solves_counts)
{
	static const struct question f16[][2] = {{{1, 5, 1}, {2, 4, 0}}, {{1, 3, 1}, {1, 3, 1}}};
	/* the second question of the first case would spoil every mean */
	static const struct question own[][2] = {{{4, -1, 0}, {99, -99, 1}}, {{2, 2, 1}, {3, 5, 0}}};
	struct eval_retrieval r = tally(f16, own, 2);
	ck_assert_uint_eq(r.asked, 4);
	ck_assert_uint_eq(r.counted, 3);
	ck_assert_double_eq_tol(r.exact, 1.0 / 3, 1e-12);
	ck_assert_double_eq(r.known, 0.5);
	ck_assert(isnan(r.later));
	ck_assert_double_eq(r.apart, 0.0);
	ck_assert_double_eq_tol(r.accuracy, 2.0 / 3, 1e-12);
	ck_assert_double_eq_tol(r.margin, 2.0, 1e-12);
	ck_assert_double_eq_tol(r.loss, 2.0, 1e-12); /* 3, 1 and 2 more than f16 */
	/* two cases with means 3 and 1.5: the middle 95 % of draws of two reach from the one to the other */
	ck_assert_double_eq_tol(r.loss_low, 1.5, 1e-12);
	ck_assert_double_eq_tol(r.loss_high, 3.0, 1e-12);
}
END_TEST

/* Four questions: the first of a prompt, one behind it, and both by themselves. */
START_TEST(test_turns_are_told_apart)
{
	static const struct question f16[] = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}};
	static const struct question own[] = {{1, 1, 1}, {1, 1, 0}, {1, 1, 1}, {1, 1, 0}};
	struct eval_scores scores[SLOTS];
	set_scores(&scores[0], f16, 4);
	set_scores(&scores[1], own, 4);
	struct eval_retrieval r = eval_tally(&scores[1], &scores[0], 1, SLOTS);
	ck_assert_double_eq(r.known, 1.0);
	ck_assert_double_eq(r.later, 0.0);
	ck_assert_double_eq(r.apart, 0.5);
	ck_assert_double_eq(r.exact, 0.5);
	eval_scores_close(&scores[0]);
	eval_scores_close(&scores[1]);
}
END_TEST

START_TEST(test_without_a_solved_question_there_is_no_share)
{
	static const struct question f16[][2] = {{{1, 5, 0}, {2, 4, 0}}};
	static const struct question own[][2] = {{{0, 0, 0}, {0, 0, 0}}};
	struct eval_retrieval r = tally(f16, own, 1);
	ck_assert_uint_eq(r.asked, 2);
	ck_assert_uint_eq(r.counted, 0);
	ck_assert(isnan(r.exact) && isnan(r.accuracy) && isnan(r.loss) && isnan(r.loss_low));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("eval_tasks");
	TCase *tasks = tcase_create("tasks");
	tcase_add_test(tasks, test_generator_is_the_one_that_it_is_said_to_be);
	tcase_add_test(tasks, test_all_orders_are_alike_likely);
	tcase_add_test(tasks, test_a_case_hangs_on_seed_and_index_alone);
	tcase_add_test(tasks, test_answers_differ_and_the_right_one_is_hidden);
	tcase_add_test(tasks, test_places_are_drawn_within_their_parts);
	tcase_add_test(tasks, test_the_key_asked_for_is_that_of_the_person);
	tcase_add_test(tasks, test_turns_ask_for_each_key_once);
	tcase_add_test(tasks, test_a_chain_leads_to_the_right_key);
	tcase_add_test(tasks, test_needles_are_the_same_in_every_run);
	tcase_add_test(tasks, test_tasks_are_found_by_name);
	tcase_add_test(tasks, test_only_what_f16_solves_counts);
	tcase_add_test(tasks, test_turns_are_told_apart);
	tcase_add_test(tasks, test_without_a_solved_question_there_is_no_share);
	suite_add_tcase(suite, tasks);
	return run_suite(suite);
}
