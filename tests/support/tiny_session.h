/* SPDX-License-Identifier: MIT */
/** \file tiny_session.h \brief The small model as tools open one, without a tokenizer. */
#ifndef TEST_TINY_SESSION_H
#define TEST_TINY_SESSION_H

#include "text_rows.h"

/** Passes take at most max_rows. False when there is no device: says that the test is skipped. */
bool tiny_session_open(struct session *session, size_t max_rows);

/** n tokens of the model's vocabulary; `way` 0 and 1 are two texts. */
void tiny_session_text(const struct session *session, int way, int32_t *ids, size_t n);

/** Makes an empty file, and says where. */
enum { TINY_PATH = 40 };
void tiny_session_path(char path[TINY_PATH]);

/** Takes what was written there; the file is gone. The caller, or session_close(), frees it. */
struct given_file tiny_session_take(const char *path);

/** Fails the test unless a cache of this recipe takes what the session has been given. */
void tiny_session_expect_taken(struct session *session, const char *recipe);

/** What trainers are given: two texts, in several passes of TINY_ROWS each, and an empty file. */
enum { TINY_TOKENS = 150, TINY_ROWS = 32 };
struct tiny_training {
	struct session session;
	int32_t ids[2][TINY_TOKENS];
	struct text_input texts[2];
	char path[TINY_PATH];
};

/** False when there is no device: says that the test is skipped. Close its session. */
bool tiny_training_open(struct tiny_training *training);

#endif
