/* SPDX-License-Identifier: MIT */
/**
 * \file    data.h
 * \brief   Where the large test data lies: keys, values and queries of a real model.
 *
 * They aren't part of the project: CLKV_TEST_DATA names their directory, by default ../shared/data
 * beside the source tree. Tests of them are skipped, with a word, where it is absent.
 */
#ifndef TEST_DATA_H
#define TEST_DATA_H

#include "npy.h"

#include <stdbool.h>

/** The directory, or NULL. */
const char *data_directory(void);

/** Reads kv/<text>_<what>.npy; fails the test if it can't. Free values with free. */
void data_read(const char *text, const char *what, struct npy *out);

#endif
