/* SPDX-License-Identifier: MIT */
/**
 * \file    report.c
 * \brief   Results as JSON lines for scripts, or as a table for people.
 */
#include <math.h>
#include <stdio.h>

#include "bench.h"
#include "json_string.h"

/* What the problem costs at least on this machine, and which limit says so. */
struct bound {
	const char *name;
	double us;
};

static struct bound find_bound(const struct bench_machine *m, const struct bench_work *work)
{
	double memory = work->moved_bytes / m->read_gbps / 1e3;
	double arithmetic = 2.0 * work->multiply_adds / m->fma_gflops / 1e3;
	return memory >= arithmetic ? (struct bound){"memory", memory}
	                            : (struct bound){"arithmetic", arithmetic};
}

static void print_number(const char *name, double value)
{
	if (isfinite(value))
		(void)printf(", \"%s\": %.5g", name, value);
	else
		(void)printf(", \"%s\": null", name);
}

static void print_problem(const struct bench_machine *m, const struct bench_problem *p)
{
	(void)printf("{\"op\": \"%s\", \"recipe\": ", p->operation->name);
	json_string_print(stdout, p->recipe);
	(void)printf(", \"tokens\": %zu, \"head_dim\": %zu, \"q_heads\": %zu, \"kv_heads\": %zu, "
	             "\"batch\": %zu, \"rows\": %zu, \"device\": ",
	             p->tokens, p->head_dim, p->q_heads, p->kv_heads, p->batch, p->rows);
	json_string_print(stdout, m->info.name);
}

void bench_report_head(const struct bench_machine *m, bool json)
{
	if (json)
		return;
	(void)printf("%s: reads %.1f GB/s, %.1f GFLOP/s%s\n\n", m->info.name, m->read_gbps,
	             m->fma_gflops, m->cpu_time ? " (processor time)" : "");
	(void)printf("%-7s %-20s %7s %4s %3s %3s %5s %5s %10s %10s %7s %8s %8s %8s  %s\n", "op",
	             "recipe", "tokens", "D", "H", "K", "batch", "rows", "us", "fastest", "spread",
	             "ns/t/h", "GB/s", "f16 GB/s", "limit");
}

void bench_report(const struct bench_machine *m, const struct bench_problem *p,
                  struct bench_result *r, bool json)
{
	const double us = bench_median(r->us, r->n);
	const double spread = (r->us[r->n - 1 - r->n / 4] - r->us[r->n / 4]) / us;
	const double ns = us * 1e3 / (r->work.tokens * (double)(p->kv_heads * p->batch));
	const double compressed = r->work.compressed_bytes / us / 1e3;
	const double f16 = r->work.f16_bytes / us / 1e3;
	const struct bound bound = find_bound(m, &r->work);
	if (json) {
		print_problem(m, p);
		print_number("time_us", us);
		print_number("fastest_us", r->us[0]);
		print_number("spread", spread);
		print_number("ns_per_token_head", ns);
		print_number("gbps_compressed", compressed);
		print_number("gbps_f16", f16);
		print_number("read_gbps", m->read_gbps);
		print_number("fma_gflops", m->fma_gflops);
		(void)printf(", \"limit\": \"%s\"", bound.name);
		print_number("limit_share", bound.us / us);
		if (r->launches > 0) {
			print_number("host_us_per_layer", r->host_us);
			print_number("launches_per_layer", r->launches);
		}
		if (r->f16_us > 0) {
			print_number("f16_us", r->f16_us);
			print_number("f16_fastest_us", r->f16_fastest_us);
			print_number("speedup", r->f16_us / us);
		}
		if (r->index_ns > 0)
			print_number("index_ns_per_token_head", r->index_ns);
		if (r->commit_us > 0) {
			print_number("commit_us", r->commit_us);
			print_number("select_us", r->select_us);
			print_number("commit_mean_us", r->commit_mean_us);
			print_number("compress_share", r->compress_share);
		}
		(void)puts(m->cpu_time ? ", \"clock\": \"cpu\"}" : "}");
	} else {
		(void)printf("%-7s %-20s %7zu %4zu %3zu %3zu %5zu %5zu %10.1f %10.1f %6.1f%% %8.2f %8.2f "
		             "%8.2f  %s, %.0f %% of it",
		             p->operation->name, p->recipe, p->tokens, p->head_dim, p->q_heads, p->kv_heads,
		             p->batch, p->rows, us, r->us[0], 100.0 * spread, ns, compressed, f16,
		             bound.name, 100.0 * bound.us / us);
		if (r->f16_us > 0)
			(void)printf("; %.2f times f16", r->f16_us / us);
		if (r->index_ns > 0)
			(void)printf(", indexed in %.0f ns/t/h", r->index_ns);
		if (r->commit_us > 0)
			(void)printf(", commit %.0f us, %.0f with a selection, %.0f of all; prompt +%.1f %%",
			             r->commit_us, r->select_us, r->commit_mean_us, 100.0 * r->compress_share);
		(void)putchar('\n');
	}
	(void)fflush(stdout);
}
