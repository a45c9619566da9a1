/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-info.c
 * \brief   The OpenCL devices of this machine as clkv sees them, and the stages of recipes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "info_tuning.h"
#include "json_string.h"
#include "tool_main.h"

static const char tool_name[] = "clkv-info";

static struct {
	bool json, kernels, recipes;
} o;

static const struct tool_option options[] = {
	{"kernels", NULL,
     "build the kernels of the tunings shown, so that what a device refuses is named",
     .flag = &o.kernels},
	{"recipes", NULL, "the stages of recipes instead, with their keys", .flag = &o.recipes},
	{"json", NULL, "a JSON line per device", .flag = &o.json},
};

static void print_device(const char *id, const clkv_device_info *d)
{
	const double gib = 1024.0 * 1024.0 * 1024.0;
	(void)printf("%s  %s\n", id, d->name);
	(void)printf("     platform   %s\n     vendor     %s\n     driver     %s, %s\n", d->platform,
	             d->vendor, d->driver, d->cl_version);
	(void)printf("     kind       %s, %u compute units, vectors of %u floats\n",
	             d->is_gpu ? "GPU or accelerator" : "CPU", d->compute_units, d->vector_width);
	(void)printf("     supports   half arithmetic: %s, double: %s, subgroups: %s\n",
	             d->has_fp16 ? "yes" : "no", d->has_fp64 ? "yes" : "no",
	             d->has_subgroups ? "yes" : "no");
	(void)printf("     memory     %.2f GiB, one buffer %.2f GiB, local %.0f KiB\n",
	             (double)d->global_bytes / gib, (double)d->max_alloc_bytes / gib,
	             (double)d->local_bytes / 1024.0);
	(void)printf("     groups     up to %zu work-items\n", d->max_work_group);
	(void)printf("     tuning     %u lanes, vectors of %u (%s)\n", d->lanes, d->vec, d->tuning);
}

static void print_field(const char *name, const char *value)
{
	(void)printf(", \"%s\": ", name);
	json_string_print(stdout, value);
}

static void print_device_json(const char *id, const clkv_device_info *d)
{
	(void)fputs("{\"id\": ", stdout);
	json_string_print(stdout, id);
	print_field("name", d->name);
	print_field("platform", d->platform);
	print_field("vendor", d->vendor);
	print_field("driver", d->driver);
	print_field("cl_version", d->cl_version);
	print_field("tuning", d->tuning);
	(void)printf(", \"is_gpu\": %s, \"compute_units\": %u, \"vector_width\": %u",
	             d->is_gpu ? "true" : "false", d->compute_units, d->vector_width);
	(void)printf(", \"has_fp16\": %s, \"has_fp64\": %s, \"has_subgroups\": %s",
	             d->has_fp16 ? "true" : "false", d->has_fp64 ? "true" : "false",
	             d->has_subgroups ? "true" : "false");
	(void)printf(", \"global_bytes\": %llu, \"max_alloc_bytes\": %llu, \"local_bytes\": %llu",
	             (unsigned long long)d->global_bytes, (unsigned long long)d->max_alloc_bytes,
	             (unsigned long long)d->local_bytes);
	(void)printf(", \"max_work_group\": %zu, \"lanes\": %u, \"vec\": %u", d->max_work_group,
	             d->lanes, d->vec);
}

/* Opens a device as any program would; one that clkv can't use is named with the reason. */
static void show_device(size_t platform, size_t device)
{
	char id[48];
	clkv_context *context;
	clkv_error cause = {0};
	clkv_device_info info = CLKV_INIT(clkv_device_info);
	(void)snprintf(id, sizeof id, "%zu:%zu", platform, device);
	if (clkv_context_open(id, NULL, &context, &cause) != CLKV_OK) {
		(void)fprintf(stderr, "%s: device %s can't be used: %s\n", tool_name, id, cause.text);
		return;
	}
	if (clkv_context_get_info(context, &info, NULL) == CLKV_OK && o.json) {
		print_device_json(id, &info);
		(void)fputs(", \"tunings\": ", stdout);
		info_tuning_print_json(context, o.kernels);
		(void)puts("}");
	} else if (!o.json) {
		print_device(id, &info);
		info_tuning_print(context, o.kernels);
	}
	clkv_context_destroy(context);
}

static size_t show_platform(cl_platform_id platform, size_t index)
{
	cl_uint n = 0;
	/* a platform without a device answers with an error: drivers of hardware that isn't there */
	if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &n) != CL_SUCCESS)
		return 0;
	for (size_t i = 0; i < n; i++)
		show_device(index, i);
	return n;
}

static bool show_devices(struct tool_error *error)
{
	cl_uint n = 0;
	size_t shown = 0;
	(void)clGetPlatformIDs(0, NULL, &n);
	cl_platform_id *platforms = calloc((size_t)n + 1, sizeof *platforms);
	if (platforms == NULL)
		return tool_fail(error, "out of memory");
	if (n > 0 && clGetPlatformIDs(n, platforms, NULL) != CL_SUCCESS)
		n = 0;
	for (size_t i = 0; i < n; i++)
		shown += show_platform(platforms[i], i);
	free(platforms);
	if (shown > 0)
		return true;
	clkv_context *context = NULL;
	clkv_error cause = {0};
	if (clkv_context_open(NULL, NULL, &context, &cause) == CLKV_OK) /* it came this moment */
		clkv_context_destroy(context);
	return tool_fail(error, "%s%s", cause.text, n == 0 ? " For the CPU: pocl-opencl-icd" : "");
}

static void print_stage(void *opaque, const char *stage, const char *brief, const char *source,
                        const char *keys)
{
	(void)opaque;
	(void)printf("%s  %s", stage, brief);
	if (source != NULL && source[0] != '\0')
		(void)printf(" (%s)", source);
	(void)putchar('\n');
	while (keys != NULL && *keys != '\0') {
		size_t n = strcspn(keys, "\n");
		(void)printf("    %.*s\n", (int)n, keys);
		keys += n + (keys[n] == '\n');
	}
}

static bool run(struct tool_error *error)
{
	if (!o.recipes)
		return show_devices(error);
	clkv_recipe_list(print_stage, NULL);
	return true;
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = tool_name,
		.usage = "usage: clkv-info [--json] [--kernels] [--recipes]\n"
				 "\n"
				 "Lists the OpenCL devices, what they support, and the tuning that clkv chose for "
				 "them.\n"
				 "\n",
		.options = options,
		.n_options = sizeof options / sizeof options[0],
		.run = run,
	};
	return tool_main(&tool, argc, argv);
}
