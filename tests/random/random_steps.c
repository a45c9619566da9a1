/* SPDX-License-Identifier: MIT */
/**
 * \file    random_steps.c
 * \brief   Random operations on caches of all stages, each followed by a model and attention in double precision.
 *
 * Without arguments a few runs with fixed seeds: what `make check` does. By hand as long as wanted:
 *
 *     tests/random_steps --seconds 600 --seed 1 --inject
 *
 * A run is a cache of one recipe and geometry, and operations drawn from one seed. The first fault ends the program with the
 * command that repeats it.
 */
#include "../support/fixture.h"
#include "geometry.h"
#include "operations.h"
#include "recipes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define STEPS 300 /* of a run */
#define FEW 60    /* of those without arguments */
#define USUAL "layers=2,q=6,kv=2,dk=64,dv=64"

static struct run_case run;
static char folder[4096];         /* of programs */
static struct progress *progress; /* shared with the process of a run */

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

START_TEST(test_a_cache_is_what_its_model_says)
{
	struct world w;
	if (!world_open(&w, &run, progress, fixture.context, fixture.queue))
		return;
	for (size_t i = 0; i < run.steps && (run.seconds <= 0.0 || now() < run.seconds); i++) {
		progress->operation = i;
		operate(&w);
	}
	snprintf(progress->name, sizeof progress->name, "end");
	world_close(&w);
}
END_TEST

/* ---------------------------------------------------------------- runs ---- */

/* Prints the fault in one line, and how to see it again. */
static void report(SRunner *runner)
{
	TestResult **results = srunner_failures(runner);
	fprintf(stderr, "FAULT recipe='%s' geometry='%s' seed=%llu operation=%zu (%s): %s\n",
	        run.recipe, run.geometry, (unsigned long long)run.seed, progress->operation,
	        progress->name, tr_msg(results[0]));
	fprintf(stderr,
	        "again: tests/random_steps --recipe '%s' --geometry '%s' --seed %llu --steps %zu%s\n",
	        run.recipe, run.geometry, (unsigned long long)run.seed, run.steps,
	        run.inject ? " --inject" : "");
	free(results);
}

/* Programs are kept on disk but where allocations fail: without one, what is kept is built anew, and nothing has failed. */
static void choose_folder(void)
{
	setenv("CLKV_CACHE_DIR", run.inject ? "" : folder, 1);
}

/* In a process of its own, so that a crash or a hang is a fault like others. */
static bool do_run(void)
{
	Suite *suite = suite_create("random_steps");
	TCase *c = fixture_case(suite, "run", 120);
	double begin = now();
	uint64_t steps = progress->steps;
	progress->impossible = false;
	progress->operation = 0;
	tcase_add_test(c, test_a_cache_is_what_its_model_says);
	choose_folder();
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_SILENT);
	bool good = srunner_ntests_failed(runner) == 0;
	if (!good)
		report(runner);
	else if (progress->impossible)
		printf("not possible: '%s' with %s: %s\n", run.recipe, run.geometry, progress->reason);
	else
		printf("seed %llu: '%s' with %s: %llu steps in %.1f s\n", (unsigned long long)run.seed,
		       run.recipe, run.geometry, (unsigned long long)(progress->steps - steps),
		       now() - begin);
	fflush(stdout);
	srunner_free(runner);
	return good;
}

/* One geometry, and recipes of other suites: nearly all of a run's time without cached programs is that of building kernels. */
static bool do_fixed(void)
{
	for (size_t i = 0; recipes_fixed(i); i++) {
		run = (struct run_case){.recipe = recipes_fixed(i), .geometry = USUAL, .seed = i + 1};
		run.steps = FEW;
		run.inject = i % 2 == 0;
		if (!do_run() || progress->impossible)
			return false;
	}
	return true;
}

static void print_sums(void)
{
	const struct {
		const char *what;
		uint64_t n;
	} sums[] = {
		{"operations", progress->done},
		{"steps committed", progress->steps},
		{"answers of a row and head compared", progress->rows},
		{"of them bounded only", progress->unsure},
		{"sealed values compared", progress->sealed},
		{"choices of tokens compared", progress->choices},
		{"of them next to a tie", progress->ties},
		{"times the pool was full", progress->full},
		{"failures struck", progress->failed},
	};
	for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
		printf("%s%llu %s", i ? ", " : "", (unsigned long long)sums[i].n, sums[i].what);
	printf("\n");
}

/* ---------------------------------------------------------------- arguments ---- */

struct arguments {
	const char *recipe, *geometry;
	double seconds;
	uint64_t seed;
	size_t steps;
	bool inject, trace, layers;
};

static int usage(void)
{
	fprintf(stderr,
	        "usage: random_steps [--seed S] [--seconds N] [--steps N] [--recipe R] "
	        "[--geometry layers=2,q=6,kv=2,dk=64,dv=64] [--inject] [--trace] [--layers]\n"
	        "  no argument: fixed runs; --seconds: runs of seeds S, S + 1, ...; else one run.\n"
	        "  What isn't given is drawn. --steps: operations of a run; --layers: recipes by layer "
	        "alone.\n");
	return 2;
}

static bool read_arguments(int argc, char **argv, struct arguments *a)
{
	*a = (struct arguments){.seed = 1, .steps = STEPS};
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (strcmp(argv[i], "--inject") == 0) {
			a->inject = true;
			continue;
		}
		if (strcmp(argv[i], "--layers") == 0) {
			a->layers = true;
			continue;
		}
		if (strcmp(argv[i], "--trace") == 0) {
			a->trace = true;
			continue;
		}
		if (!value)
			return false;
		if (strcmp(argv[i], "--seconds") == 0)
			a->seconds = atof(value);
		else if (strcmp(argv[i], "--seed") == 0)
			a->seed = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--steps") == 0)
			a->steps = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--recipe") == 0)
			a->recipe = value;
		else if (strcmp(argv[i], "--geometry") == 0)
			a->geometry = value;
		else
			return false;
		i++;
	}
	return true;
}

static bool do_drawn(const struct arguments *a)
{
	double end = a->seconds > 0.0 ? now() + a->seconds : 0.0;
	for (uint64_t seed = a->seed;; seed++) {
		char geometry[160], recipe[RECIPES_TEXT];
		const char *shape = a->geometry ? a->geometry : geometry;
		geometry_draw(seed, geometry, sizeof geometry);
		recipes_draw(seed, geometry_layers(shape), a->layers, recipe);
		run = (struct run_case){.recipe = a->recipe ? a->recipe : recipe,
		                        .geometry = shape,
		                        .seed = seed,
		                        .steps = a->steps,
		                        .inject = a->inject,
		                        .trace = a->trace,
		                        .seconds = end};
		if (!do_run())
			return false;
		if (now() >= end)
			return true;
	}
}

int main(int argc, char **argv)
{
	struct arguments a;
	if (!read_arguments(argc, argv, &a))
		return usage();
	const char *given = getenv("CLKV_CACHE_DIR");
	snprintf(folder, sizeof folder, "%s", given ? given : "tests/program-cache");
	if (!fixture_has_device()) {
		fprintf(stderr, "SKIPPED: no OpenCL device\n");
		return 77;
	}
	progress =
		mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		return EXIT_FAILURE;
	bool good = argc == 1 ? do_fixed() : do_drawn(&a);
	print_sums();
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
