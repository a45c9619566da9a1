/* SPDX-License-Identifier: MIT */
/**
 * \file    check_order.c
 * \brief   The same from every order of work-groups, bit for bit: what a device other than this one may do.
 *
 * What is compared: outputs and log-sum-exps of all steps of a life, and what is stored at its end. A race that changes
 * neither isn't seen here, but by race_smoke under Oclgrind.
 */
#include "base/alloc.h"
#include "device/context.h"
#include "program/source.h"
#include "support/every.h"
#include "support/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A narrow form: it compiles fast, and the order is that of groups, whatever is in one. */
#define FORM "lanes=1,vec=4"

/* All by the same programs: what a launch's order is stands in its arguments. */
static const char *const orders[] = {"forward", "reverse", "shuffle", "shuffle:12345"};
enum { ORDERS = sizeof orders / sizeof orders[0] };

static clkv_context *open_ordered(const char *order, const char *kernels)
{
	setenv("CLKV_TEST_ORDER", order, 1);
	setenv("CLKV_KERNEL_DIR", kernels, 1);
	clkv_context *context = fixture_open_tuned(FORM);
	unsetenv("CLKV_TEST_ORDER");
	unsetenv("CLKV_KERNEL_DIR");
	return context;
}

/* Of one context for all orders: its programs are built once, and launches alone tell them the order. */
static struct every_record live(const struct every_case *c, clkv_context *context,
                                const char *order)
{
	struct every_record record = {0};
	clkv_error error;
	feed_ok(clkv__order_parse(order, &context->order, &error), &error, order);
	cl_command_queue queue = fixture_queue_of(context);
	every_long_life(c, context, queue, &record);
	clReleaseCommandQueue(queue);
	return record;
}

static bool same(const struct every_record *a, const struct every_record *b)
{
	return a->n == b->n && memcmp(a->data, b->data, a->n) == 0;
}

START_TEST(test_orders_give_the_same)
{
	const struct every_case *c = &every_cases[_i];
	clkv_context *context = open_ordered(orders[0], "");
	struct every_record usual = live(c, context, orders[0]);
	ck_assert_uint_gt(usual.n, 0);
	for (int i = 1; i < ORDERS; i++) {
		struct every_record other = live(c, context, orders[i]);
		ck_assert_msg(same(&usual, &other), "'%s' isn't the same in the order '%s'", c->recipe,
		              orders[i]);
		free(other.data);
	}
	free(usual.data);
	clkv_context_destroy(context);
}
END_TEST

/* ---------------------------------------------------------------- is it seen? ---- */

/* The embedded text of a file with `good` made `bad`, as the only file of a new folder. */
static void plant(const char *name, const char *good, const char *bad, char *folder, size_t n)
{
	char path[256];
	bool planted = false;
	snprintf(folder, n, "tests/order-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	for (const struct clkv__cl_file *file = clkv__cl_files; file->name; file++)
		for (int i = 0; strcmp(file->name, name) == 0 && file->lines[i]; i++) {
			const char *at = strstr(file->lines[i], good);
			planted = planted || at;
			if (at)
				fprintf(f, "%.*s%s%s", (int)(at - file->lines[i]), file->lines[i], bad,
				        at + strlen(good));
			else
				fputs(file->lines[i], f);
		}
	fclose(f);
	ck_assert_msg(planted, "%s has no '%s' any more", name, good);
}

static void uproot(const char *folder, const char *name)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* Races that were there, or are like those: two groups write one place, the last one wins. */
static const struct planted {
	const char *recipe, *file, *good, *bad;
} planted[] = {
	/* sinks and tail share a half block, and both groups write all of its scores */
	{"h2o:", "mark_slots.cl", "b.first + t < b.lo || b.first + t >= b.hi", "false"},
	{"cascade:", "mark_slots.cl", "b.first + t < b.lo || b.first + t >= b.hi", "false"},
};

static const struct every_case *case_of(const char *recipe)
{
	for (int i = 0; i < every_count; i++)
		if (strncmp(every_cases[i].recipe, recipe, strlen(recipe)) == 0)
			return &every_cases[i];
	ck_abort_msg("no case begins with '%s'", recipe);
	return NULL;
}

START_TEST(test_planted_races_are_seen)
{
	const struct planted *p = &planted[_i];
	const struct every_case *c = case_of(p->recipe);
	char folder[64];
	plant(p->file, p->good, p->bad, folder, sizeof folder);
	clkv_context *context = open_ordered("forward", folder);
	struct every_record usual = live(c, context, "forward"), reversed = live(c, context, "reverse");
	clkv_context_destroy(context);
	uproot(folder, p->file);
	ck_assert_msg(!same(&usual, &reversed), "%s has a race that nobody sees", p->file);
	free(usual.data);
	free(reversed.data);
}
END_TEST

/* ---------------------------------------------------------------- numbers ---- */

enum { GROUPS = 5 * 3 * 4, LOCAL = 2 };

/* In front of the order's macros: what the device itself says. */
static const char *const own = "static inline uint own_group(uint d) { return get_group_id(d); }\n";
static const char *const body =
	"__kernel void numbers(__global uint *out)\n"
	"{\n"
	"	const uint n0 = get_num_groups(0), n1 = get_num_groups(1);\n"
	"	const uint is = (own_group(2) * n1 + own_group(1)) * n0 + own_group(0);\n"
	"	const uint seen = (get_group_id(2) * n1 + get_group_id(1)) * n0 + get_group_id(0);\n"
	"	out[2 * is + get_local_id(0)] = seen;\n"
	"	if (get_global_id(0) != get_group_id(0) * 2 + get_local_id(0))\n"
	"		out[2 * is] = 1000;\n"
	"}\n";

static cl_program build_numbers(clkv_context *context)
{
	char *text = NULL;
	cl_device_id device = clkv_context_device(context);
	clkv_error error;
	cl_int code;
	feed_ok(clkv__source_text(context, "order.clh", &text, &error), &error, "clkv__source_text");
	const char *parts[] = {own, text, body};
	cl_program program = clCreateProgramWithSource(clkv_context_cl(context), 3, parts, NULL, &code);
	ck_assert_int_eq(code, CL_SUCCESS);
	ck_assert_int_eq(clBuildProgram(program, 1, &device, "-cl-std=CL1.2", NULL, NULL), CL_SUCCESS);
	clkv__free(&context->allocator, text);
	return program;
}

/* seen [GROUPS][LOCAL]: the number that a group of 5 x 3 x 4 has for the kernel, by the device's own. */
static void read_numbers(const char *order, cl_uint *seen)
{
	const size_t items[3] = {5 * LOCAL, 3, 4}, local[3] = {LOCAL, 1, 1};
	size_t offset[3] = {0};
	const size_t bytes = sizeof *seen * GROUPS * LOCAL;
	clkv_context *context = open_ordered(order, "");
	cl_command_queue queue = fixture_queue_of(context);
	cl_int code;
	cl_program program = build_numbers(context);
	offset[0] = clkv__order_offset(&context->order);
	cl_kernel kernel = clCreateKernel(program, "numbers", &code);
	ck_assert_int_eq(code, CL_SUCCESS);
	cl_mem out = clCreateBuffer(clkv_context_cl(context), CL_MEM_READ_WRITE, bytes, NULL, &code);
	ck_assert_int_eq(code, CL_SUCCESS);
	ck_assert_int_eq(clSetKernelArg(kernel, 0, sizeof(cl_mem), &out), CL_SUCCESS);
	ck_assert_int_eq(clEnqueueNDRangeKernel(queue, kernel, 3, offset, items, local, 0, NULL, NULL),
	                 CL_SUCCESS);
	ck_assert_int_eq(clEnqueueReadBuffer(queue, out, CL_TRUE, 0, bytes, seen, 0, NULL, NULL),
	                 CL_SUCCESS);
	clReleaseMemObject(out);
	clReleaseKernel(kernel);
	clReleaseProgram(program);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}

/* One to one, the same for all items of a group, and another order than the device's, but for the first. */
START_TEST(test_numbers_of_groups)
{
	static cl_uint seen[GROUPS * LOCAL];
	bool had[GROUPS] = {false}, moved = false;
	read_numbers(orders[_i], seen);
	for (size_t i = 0; i < GROUPS; i++) {
		ck_assert_uint_lt(seen[LOCAL * i], GROUPS);
		ck_assert_uint_eq(seen[LOCAL * i], seen[LOCAL * i + 1]);
		ck_assert_msg(!had[seen[LOCAL * i]], "two groups have number %u", seen[LOCAL * i]);
		had[seen[LOCAL * i]] = true;
		moved = moved || seen[LOCAL * i] != i;
		if (_i == 1)
			ck_assert_uint_eq(seen[LOCAL * i], GROUPS - 1 - i);
	}
	ck_assert(moved == (_i != 0));
}
END_TEST

/* No program goes without: what numbers groups anew stands in front of every file's text. */
START_TEST(test_every_program_is_ordered)
{
	clkv_context *usual = open_ordered("", ""), *reversed = open_ordered("reverse", "");
	clkv_error error;
	for (const struct clkv__cl_file *f = clkv__cl_files; f->name; f++) {
		char *text = NULL, *ordered = NULL;
		feed_ok(clkv__source_text(usual, f->name, &text, &error), &error, f->name);
		feed_ok(clkv__source_text(reversed, f->name, &ordered, &error), &error, f->name);
		const char *macro = strstr(ordered, "#define get_group_id("),
				   *use = strstr(ordered, "get_group_id(0)");
		if (strcmp(f->name, "order.clh") != 0) {
			ck_assert_msg(!strstr(text, "#define get_group_id("), "%s in the usual order", f->name);
			ck_assert_msg(macro && strstr(ordered, text) > macro, "%s isn't ordered", f->name);
			ck_assert_ptr_nonnull(use);
		}
		clkv__free(&usual->allocator, text);
		clkv__free(&reversed->allocator, ordered);
	}
	clkv_context_destroy(usual);
	clkv_context_destroy(reversed);
}
END_TEST

START_TEST(test_wrong_orders_are_refused)
{
	static const char *const wrong[] = {"backwards",          "shuffle:", "shuffle:-1",
	                                    "shuffle:2147483648", "reverse ", "shuffle:1x"};
	clkv_context *context = NULL;
	clkv_error error;
	setenv("CLKV_TEST_ORDER", wrong[_i], 1);
	clkv_status status = fixture_try_open(&context, &error);
	unsetenv("CLKV_TEST_ORDER");
	ck_assert_int_eq(status, CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_null(context);
	ck_assert_ptr_nonnull(strstr(error.text, "CLKV_TEST_ORDER"));
	ck_assert_ptr_nonnull(strstr(error.text, "allowed"));
}
END_TEST

/* ---------------------------------------------------------------- all of them ---- */

/* The cases launch every kernel that ships, in short lives as in long ones. */
START_TEST(test_cases_launch_every_kernel)
{
	struct every_record record = {0};
	clkv_context *context = open_ordered(orders[0], "");
	cl_command_queue queue = fixture_queue_of(context);
	for (int i = 0; i < every_count; i++)
		if (!every_cases[i].more)
			every_short_life(&every_cases[i], context, queue, &record);
	ck_assert_msg(!every_missing(), "no case launches %s", every_missing());
	free(record.data);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("order");
	TCase *numbers = fixture_case(suite, "numbers", 20), *same = fixture_case(suite, "same", 120);
	tcase_add_loop_test(numbers, test_numbers_of_groups, 0, ORDERS);
	tcase_add_test(numbers, test_every_program_is_ordered);
	tcase_add_loop_test(numbers, test_wrong_orders_are_refused, 0, 6);
	for (int i = 0; i < every_count; i++)
		if (fixture_full() || !every_cases[i].more)
			tcase_add_loop_test(same, test_orders_give_the_same, i, i + 1);
	tcase_add_loop_test(same, test_planted_races_are_seen, 0, sizeof planted / sizeof planted[0]);
	tcase_add_test(same, test_cases_launch_every_kernel);
	return fixture_run(suite);
}
