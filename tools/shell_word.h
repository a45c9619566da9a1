/* SPDX-License-Identifier: MIT */
/** \file shell_word.h \brief Words of a command line. */
#ifndef SHELL_WORD_H
#define SHELL_WORD_H

#include <stdio.h>

/** Prints a word as a shell takes it: in single quotes if it needs them. */
void shell_word_print(FILE *out, const char *word);

#endif
