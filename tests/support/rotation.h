/* SPDX-License-Identifier: MIT */
/** \file rotation.h \brief Orthogonal matrices, and files of them for recipes with rot=file. */
#ifndef TEST_ROTATION_H
#define TEST_ROTATION_H

#include "memory_file.h"

/** What a file's matrices are. */
enum rotation_kind {
	ROTATION_RANDOM,  /**< each its own */
	ROTATION_HADAMARD /**< all as rot=hadamard turns */
};

/** A random orthogonal matrix [dim][dim], dim up to 256. */
void rotation_random(size_t dim, uint64_t seed, float *matrix);

/** Matrices of K [layers][kv_heads][dk][dk] or of V; the caller frees them. */
float *rotation_matrices(const clkv_geometry *geometry, enum feed_side side,
                         enum rotation_kind kind, uint64_t seed);

/** A file of both for model 0. */
struct memory_file rotation_file(const clkv_geometry *geometry, enum rotation_kind kind,
                                 uint64_t seed);

#endif
