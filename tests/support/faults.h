/* SPDX-License-Identifier: MIT */
/** \file faults.h \brief Arms a fault of one kind, and checks the error of what it made fail. */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#include <clkv.h>
#include <stdbool.h>

enum fault { FAULT_ALLOC, FAULT_CALL, FAULTS };

/** The n-th allocation or OpenCL call from now fails (0: the next one). disarm says whether it has. */
void fault_arm(enum fault fault, int n);
bool fault_disarm(enum fault fault);

/** status, if it isn't CLKV_OK, is one that the fault that has been disarmed may have, and the error tells of it. */
void fault_expect(enum fault fault, clkv_status status, const clkv_error *error);

#endif
