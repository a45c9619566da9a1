/* SPDX-License-Identifier: MIT */
/**
 * \file    json_string.h
 * \brief   A string of JSON on standard output.
 */
#ifndef JSON_STRING_H
#define JSON_STRING_H

/** Prints text in quotes, with what JSON doesn't allow inside them escaped. */
void json_string_print(const char *text);

#endif
