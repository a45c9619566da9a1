/* SPDX-License-Identifier: MIT */
#include "support/tiny_calibration.h"

#include <check.h>
#include <string.h>

char *tiny_calibration(struct calibrator *c, float delta, struct calibration_bits *bits,
                       size_t *size)
{
	struct tool_error error = {""};
	struct given_file file;
	ck_assert_msg(calibrator_make(c, delta, &file, bits, &error), "%s", error.text);
	*size = file.size;
	return file.data;
}

float tiny_calibration_float(const char *file, size_t at)
{
	float x;
	memcpy(&x, file + at, sizeof x);
	return x;
}
