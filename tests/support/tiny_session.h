/* SPDX-License-Identifier: MIT */
/** \file tiny_session.h \brief The small model as tools open one, without a tokenizer. */
#ifndef TEST_TINY_SESSION_H
#define TEST_TINY_SESSION_H

#include "session.h"

/** Passes take at most max_rows. False when there is no device: says that the test is skipped. */
bool tiny_session_open(struct session *session, size_t max_rows);

/** n tokens of the model's vocabulary; `way` 0 and 1 are two texts. */
void tiny_session_text(const struct session *session, int way, int32_t *ids, size_t n);

/** path: a pattern of mkstemp's, of which it makes an empty file. */
void tiny_session_path(char *path);

/** Takes what was written there; the file is gone. The caller, or session_close(), frees it. */
struct given_file tiny_session_take(const char *path);

#endif
