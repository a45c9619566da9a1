/* SPDX-License-Identifier: MIT */
#include "support/tiny_calibration.h"

#include <check.h>
#include <math.h>
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

float tiny_calibration_factor(const char *file, const char *uniform, size_t dim, size_t head)
{
	const size_t at = CALIBRATION_HEADS_AT + head * calibration_head_bytes(dim);
	const float first = tiny_calibration_float(file, at) / tiny_calibration_float(uniform, at);
	/* quotients of numbers that were rounded twice */
	for (size_t i = 1; i < dim; i++)
		ck_assert_float_eq_tol(tiny_calibration_float(file, at + 4 * i) /
		                           tiny_calibration_float(uniform, at + 4 * i) / first,
		                       1, 1e-5f);
	return first;
}
