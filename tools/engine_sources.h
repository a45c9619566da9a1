/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_sources.h
 * \brief   The engine's kernel sources, embedded by build-aux/embed-cl.awk when the tools are
 * built.
 */
#ifndef ENGINE_SOURCES_H
#define ENGINE_SOURCES_H

struct engine_source {
	const char *name;
	const char *const *lines; /**< ended by NULL; each with its newline */
};

/** Ended by an entry without a name. */
extern const struct engine_source engine_sources[];

#endif
