/* SPDX-License-Identifier: MIT */
/** \file context_open.c \brief Finds a device by name. */
#include "base/error.h"
#include "device/context.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PLATFORMS = 32, MAX_DEVICES = 64 };

struct found {
	cl_platform_id platform;
	cl_device_id device;
	int platform_number, device_number;
	cl_device_type type;
	char names[512]; /* "platform / device", lower case */
};

static void lower(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

static void describe(struct found *f)
{
	char platform[200] = "", device[300] = "";
	clGetPlatformInfo(f->platform, CL_PLATFORM_NAME, sizeof platform, platform, NULL);
	clGetDeviceInfo(f->device, CL_DEVICE_NAME, sizeof device, device, NULL);
	clGetDeviceInfo(f->device, CL_DEVICE_TYPE, sizeof f->type, &f->type, NULL);
	platform[sizeof platform - 1] = device[sizeof device - 1] = '\0';
	snprintf(f->names, sizeof f->names, "%s / %s", platform, device);
	lower(f->names);
}

/* Appends why a platform has no device. PoCL's has none when it can't write to its cache, and CL_DEVICE_NOT_FOUND is
 * all that it says. */
static void note_empty(cl_platform_id platform, int number, cl_int code, char *why, size_t n)
{
	char name[100] = "?";
	size_t at = strlen(why);
	clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name, name, NULL);
	name[sizeof name - 1] = '\0';
	bool pocl = strcmp(name, "Portable Computing Language") == 0;
	snprintf(why + at, n - at, "; platform %d (%.40s) has none (code %d)%s", number, name, code,
	         pocl ? ": can PoCL write to POCL_CACHE_DIR, or to $HOME/.cache?" : "");
}

/* All devices of all platforms that have any, and of the others why they have none. */
static size_t find_all(struct found *list, size_t max, char *why, size_t why_size)
{
	cl_platform_id platforms[MAX_PLATFORMS];
	cl_uint n_platforms = 0;
	size_t n = 0;
	why[0] = '\0';
	if (clGetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms) != CL_SUCCESS)
		return 0;
	for (cl_uint p = 0; p < n_platforms && p < MAX_PLATFORMS; p++) {
		cl_device_id devices[MAX_DEVICES];
		cl_uint n_devices = 0;
		cl_int code =
			clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, &n_devices);
		if (code != CL_SUCCESS) {
			note_empty(platforms[p], (int)p, code, why, why_size);
			continue;
		}
		for (cl_uint d = 0; d < n_devices && d < MAX_DEVICES && n < max; d++) {
			list[n] = (struct found){platforms[p], devices[d], (int)p, (int)d, 0, ""};
			describe(&list[n++]);
		}
	}
	return n;
}

static bool matches(const struct found *f, const char *name)
{
	char wanted[128], number[32];
	if (strlen(name) >= sizeof wanted)
		return false;
	snprintf(wanted, sizeof wanted, "%s", name);
	lower(wanted);
	snprintf(number, sizeof number, "%d:%d", f->platform_number, f->device_number);
	if (strcmp(wanted, "gpu") == 0)
		return (f->type & CL_DEVICE_TYPE_GPU) != 0;
	if (strcmp(wanted, "cpu") == 0)
		return (f->type & CL_DEVICE_TYPE_CPU) != 0;
	if (strcmp(wanted, "accelerator") == 0)
		return (f->type & CL_DEVICE_TYPE_ACCELERATOR) != 0;
	return strcmp(wanted, number) == 0 || strstr(f->names, wanted) != NULL;
}

static const struct found *choose(const struct found *list, size_t n, const char *name)
{
	if (name && name[0]) {
		for (size_t i = 0; i < n; i++)
			if (matches(&list[i], name))
				return &list[i];
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		if (list[i].type & CL_DEVICE_TYPE_GPU)
			return &list[i];
	return n > 0 ? &list[0] : NULL;
}

/* Without a device the platforms are to blame, with some the name. */
static clkv_status fail_none(const struct found *list, size_t n, const char *name, const char *why,
                             clkv_error *error)
{
	char text[200] = "none";
	size_t at = 0;
	for (size_t i = 0; i < n && at < sizeof text; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%d:%d %s", i ? ", " : "",
		                       list[i].platform_number, list[i].device_number, list[i].names);
	if (n == 0)
		CLKV_FAIL(error, CLKV_ERROR_NO_DEVICE, "there is no OpenCL device%s",
		          why[0] ? why : ", and no platform: is a driver installed?");
	CLKV_FAIL(error, CLKV_ERROR_NO_DEVICE, "no OpenCL device matches '%.30s'; there are: %s",
	          name ? name : "", text);
}

clkv_status clkv_context_open(const char *device, const clkv_context_options *options,
                              clkv_context **out, clkv_error *error)
{
	struct found list[MAX_DEVICES];
	char why[200];
	clkv__error_clear(error);
	size_t n = find_all(list, MAX_DEVICES, why, sizeof why);
	const struct found *f = choose(list, n, device);
	if (!f)
		return fail_none(list, n, device, why, error);
	cl_int code;
	cl_context cl = clCreateContext(NULL, 1, &f->device, NULL, NULL, &code);
	CLKV_CL_CODE(error, code, "clCreateContext");
	clkv_status status = clkv_context_create(cl, f->device, options, out, error);
	clReleaseContext(cl);
	return status;
}
