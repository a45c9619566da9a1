/* SPDX-License-Identifier: MIT */
/**
 * \file    eigen.h
 * \brief   Eigenvectors of symmetric matrices and solutions of equations with them, by LAPACK where the tools were built with it.
 */
#ifndef EIGEN_H
#define EIGEN_H

#include "tool_error.h"

/** Whether they can be had; if not, *error says what the build lacked. */
bool eigen_ready(struct tool_error *error);

/** m [n][n], symmetric, becomes its eigenvectors: column i belongs to the i-th largest eigenvalue, and has length 1.
 *  values [n]: the eigenvalues, largest first. */
bool eigen_vectors(int n, double *m, double *values, struct tool_error *error);

/** x [n][columns] becomes what m [n][n], symmetric and positive, times it makes x of; m means nothing afterwards. A matrix that is
 *  singular is an error. */
bool eigen_solve(int n, double *m, int columns, double *x, struct tool_error *error);

#endif
