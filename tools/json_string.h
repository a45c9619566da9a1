/* SPDX-License-Identifier: MIT */
/**
 * \file    json_string.h
 * \brief   A string of JSON.
 */
#ifndef JSON_STRING_H
#define JSON_STRING_H

#include <stdio.h>

/** Prints text in quotes, with what JSON doesn't allow inside them escaped. */
void json_string_print(FILE *out, const char *text);

#endif
