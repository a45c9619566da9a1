/* SPDX-License-Identifier: MIT */
/**
 * \file    llama_state_format.h
 * \brief   The numbers of llama.cpp's state files, which reader and writer share.
 */
#ifndef LLAMA_STATE_FORMAT_H
#define LLAMA_STATE_FORMAT_H

#define LLAMA_SEQUENCE_MAGIC 0x67677371u /* "ggsq" as a number */
#define LLAMA_SEQUENCE_VERSION 3u
#define LLAMA_SESSION_MAGIC 0x6767736eu /* "ggsn" */
#define LLAMA_SESSION_VERSION 10u

/* Position, number of sequences, one sequence: the least that a cell takes. */
enum { LLAMA_CELL_BYTES = 12 };

#endif
