/* SPDX-License-Identifier: MIT */
/** \file data.c \brief Finds and reads the large test data. */
#include "data.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef CLKV_TEST_DATA_DEFAULT
#define CLKV_TEST_DATA_DEFAULT "../shared/data"
#endif

static const char *directory_name(void)
{
	const char *named = getenv("CLKV_TEST_DATA");
	return named && *named ? named : CLKV_TEST_DATA_DEFAULT;
}

const char *data_directory(void)
{
	char path[1024];
	FILE *file;
	snprintf(path, sizeof path, "%s/kv/essay_k.npy", directory_name());
	file = fopen(path, "rb");
	if (!file)
		return NULL;
	fclose(file);
	return directory_name();
}

void data_read(const char *text, const char *what, struct npy *out)
{
	char path[1024], why[1200];
	snprintf(path, sizeof path, "%s/kv/%s_%s.npy", directory_name(), text, what);
	ck_assert_msg(npy_read(path, out, why, sizeof why) == 0, "%s", why);
}
