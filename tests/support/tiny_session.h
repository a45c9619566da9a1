/* SPDX-License-Identifier: MIT */
/** \file tiny_session.h \brief The small model as tools open one, without a tokenizer. */
#ifndef TEST_TINY_SESSION_H
#define TEST_TINY_SESSION_H

#include "session.h"

/** Passes take at most max_rows. False when there is no device: says that the test is skipped. */
bool tiny_session_open(struct session *session, size_t max_rows);

#endif
