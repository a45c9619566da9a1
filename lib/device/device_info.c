/* SPDX-License-Identifier: MIT */
/** \file device_info.c \brief Reads a device's facts. */
#include "device/device_info.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

static clkv_status get(cl_device_id device, cl_device_info what, void *value, size_t size,
                       clkv_error *error)
{
	CLKV_CL(error, clGetDeviceInfo(device, what, size, value, NULL));
	return CLKV_OK;
}

/* Strings that don't fit are cut: they are for people. */
static void get_text(cl_device_id device, cl_device_info what, char *text, size_t n)
{
	char full[16384]; /* extensions of some drivers are long */
	size_t length = 0;
	text[0] = '\0';
	if (clGetDeviceInfo(device, what, sizeof full, full, &length) != CL_SUCCESS || length == 0)
		return;
	if (length > n)
		length = n;
	memcpy(text, full, length - 1);
	text[length - 1] = '\0';
}

static clkv_status read_texts(cl_device_id device, clkv_device_info *info, clkv_error *error)
{
	cl_platform_id platform;
	CLKV_TRY(get(device, CL_DEVICE_PLATFORM, &platform, sizeof platform, error));
	size_t length;
	if (clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof info->platform, info->platform,
	                      &length) != CL_SUCCESS)
		strcpy(info->platform, "?");
	get_text(device, CL_DEVICE_NAME, info->name, sizeof info->name);
	get_text(device, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
	get_text(device, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
	get_text(device, CL_DEVICE_VERSION, info->cl_version, sizeof info->cl_version);
	return CLKV_OK;
}

static void read_extensions(cl_device_id device, clkv_device_info *info)
{
	char text[16384];
	get_text(device, CL_DEVICE_EXTENSIONS, text, sizeof text);
	info->has_fp16 = strstr(text, "cl_khr_fp16") != NULL;
	info->has_fp64 = strstr(text, "cl_khr_fp64") != NULL;
	info->has_subgroups =
		strstr(text, "cl_khr_subgroups") != NULL || strstr(text, "cl_intel_subgroups") != NULL;
}

static bool host_intersects(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
	return __builtin_cpu_supports("avx512vp2intersect");
#else
	return false;
#endif
}

void clkv__device_hints_read(cl_device_id device, struct clkv__device_hints *hints)
{
	enum { WAVEFRONT_WIDTH_AMD = 0x4043 };
	char text[16384];
	cl_uint wavefront = 0;
	get_text(device, CL_DEVICE_EXTENSIONS, text, sizeof text);
	*hints = (struct clkv__device_hints){
		.amd = strstr(text, "cl_amd_") != NULL,
		.intel = strstr(text, "cl_intel_") != NULL,
		.nvidia = strstr(text, "cl_nv_") != NULL,
		.host_intersects = host_intersects(),
	};
	if (hints->amd && clGetDeviceInfo(device, WAVEFRONT_WIDTH_AMD, sizeof wavefront, &wavefront,
	                                  NULL) == CL_SUCCESS)
		hints->wavefront = wavefront;
}

const char *clkv__device_subgroups(cl_device_id device, const clkv_device_info *info)
{
	char text[64];
	int major = 0;
	get_text(device, CL_DEVICE_OPENCL_C_VERSION, text, sizeof text);
	if (!info->has_subgroups || sscanf(text, "OpenCL C %d.", &major) != 1 || major < 2)
		return NULL;
	return major == 2 ? "CL2.0" : "CL3.0";
}

clkv_status clkv__device_info_read(cl_device_id device, clkv_device_info *info, clkv_error *error)
{
	cl_device_type type;
	cl_uint units, width;
	cl_ulong global, alloc, local;
	size_t group;
	*info = (clkv_device_info){.struct_size = sizeof *info};
	CLKV_TRY(read_texts(device, info, error));
	read_extensions(device, info);
	CLKV_TRY(get(device, CL_DEVICE_TYPE, &type, sizeof type, error));
	CLKV_TRY(get(device, CL_DEVICE_MAX_COMPUTE_UNITS, &units, sizeof units, error));
	CLKV_TRY(get(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, &width, sizeof width, error));
	CLKV_TRY(get(device, CL_DEVICE_GLOBAL_MEM_SIZE, &global, sizeof global, error));
	CLKV_TRY(get(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, &alloc, sizeof alloc, error));
	CLKV_TRY(get(device, CL_DEVICE_LOCAL_MEM_SIZE, &local, sizeof local, error));
	CLKV_TRY(get(device, CL_DEVICE_MAX_WORK_GROUP_SIZE, &group, sizeof group, error));
	info->is_gpu = (type & CL_DEVICE_TYPE_CPU) == 0;
	info->compute_units = units;
	info->vector_width = width;
	info->global_bytes = global;
	info->max_alloc_bytes = alloc;
	info->local_bytes = local;
	info->max_work_group = group;
	return CLKV_OK;
}
