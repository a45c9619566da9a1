/* SPDX-License-Identifier: MIT */
/**
 * \file    plot_family.h
 * \brief   Families of recipes: those with the same stages, whatever their keys.
 */
#ifndef PLOT_FAMILY_H
#define PLOT_FAMILY_H

#include <stddef.h>

/** The number of the family of recipes[i]: how many families appear before its first member. Takes
 *  stages to be separated by '|', keys to begin with ':' and global keys with ';'. */
size_t plot_family(const char *const *recipes, size_t i);

#endif
