/* SPDX-License-Identifier: MIT */
/**
 * \file    recipe_real.c
 * \brief   Decimal numbers to floats and back, without the decimal point of the caller's locale.
 *
 * strtod and printf take that one, and in a recipe the comma ends a key. Digits go through double: its
 * errors, a few parts in 2^52, are far below half a step of a float, so 9 digits always come back.
 */
#include "recipe/recipe_real.h"

#include <assert.h>
#include <float.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Powers of ten up to this one are exact in double. */
enum { EXACT_POWER = 22 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* value * 10^exponent; far beyond a float's range it is 0 or infinite. */
static double scale(double value, int exponent)
{
	bool down = exponent < 0;
	int left = down ? -exponent : exponent;
	left = left < 400 ? left : 400;
	while (left > 0) {
		double power = 1;
		for (int i = 0; i < EXACT_POWER && left > 0; i++, left--)
			power *= 10;
		value = down ? value / power : value * power;
	}
	return value;
}

/* Digits and a point from text[0] on: whole * 10^exponent; their length, or 0 if there is no digit. */
static size_t read_digits(const char *text, size_t n, uint64_t *whole, int *exponent)
{
	size_t i = 0;
	bool point = false, any = false;
	for (; i < n && (is_digit(text[i]) || (text[i] == '.' && !point)); i++) {
		if (text[i] == '.') {
			point = true;
			continue;
		}
		any = true;
		/* Digits behind the 17th don't reach a float. */
		if (*whole < UINT64_C(10000000000000000)) {
			*whole = *whole * 10 + (uint64_t)(text[i] - '0');
			*exponent -= point;
		} else {
			*exponent += !point;
		}
	}
	return any ? i : 0;
}

/* "e-3" from text[0] on, added to exponent; its length, or 0 if it has no digits. */
static size_t read_exponent(const char *text, size_t n, int *exponent)
{
	size_t sign = n > 1 && (text[1] == '-' || text[1] == '+') ? 1 : 0, i = 1 + sign;
	int value = 0;
	for (; i < n && is_digit(text[i]); i++)
		value = value < 100000 ? value * 10 + (text[i] - '0') : value;
	*exponent += sign && text[1] == '-' ? -value : value;
	return i > 1 + sign ? i : 0;
}

bool clkv__real_parse(const char *text, size_t n, float *value)
{
	uint64_t whole = 0;
	int exponent = 0;
	size_t i = read_digits(text, n, &whole, &exponent);
	if (i == 0)
		return false;
	if (i < n && (text[i] == 'e' || text[i] == 'E'))
		i += read_exponent(text + i, n - i, &exponent);
	if (i < n)
		return false;
	double v = scale((double)whole, exponent);
	if (v > FLT_MAX)
		return false;
	*value = (float)v;
	return true;
}

/* n_digits digits of value, without the point; returns the power of ten of the first. */
static int round_digits(float value, int n_digits, char *digits)
{
	char text[40];
	int n = 0, i = 0;
	snprintf(text, sizeof text, "%.*e", n_digits - 1, (double)value);
	for (; text[i] != 'e'; i++)
		if (is_digit(text[i]))
			digits[n++] = text[i];
	digits[n] = '\0';
	return (int)strtol(text + i + 1, NULL, 10);
}

static void compose(const char *digits, int power, char text[CLKV__REAL_TEXT])
{
	static const char zeros[] = "00000000";
	int n = (int)strlen(digits);
	if (power < -5 || power > 8)
		snprintf(text, CLKV__REAL_TEXT, "%.1s%s%se%d", digits, n > 1 ? "." : "", digits + 1, power);
	else if (power < 0)
		snprintf(text, CLKV__REAL_TEXT, "0.%.*s%s", -power - 1, zeros, digits);
	else if (n <= power + 1)
		snprintf(text, CLKV__REAL_TEXT, "%s%.*s", digits, power + 1 - n, zeros);
	else
		snprintf(text, CLKV__REAL_TEXT, "%.*s.%s", power + 1, digits, digits + power + 1);
}

void clkv__real_format(float value, char text[CLKV__REAL_TEXT])
{
	assert(value >= 0 && value <= FLT_MAX);
	for (int n_digits = 1; n_digits <= 9; n_digits++) {
		char digits[16];
		float back = -1;
		int power = round_digits(value, n_digits, digits);
		compose(digits, power, text);
		if (clkv__real_parse(text, strlen(text), &back) && back == value)
			return;
	}
}
