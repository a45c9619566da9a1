/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_sources.h
 * \brief   The engine's kernel sources, embedded when the tools are built.
 */
#ifndef ENGINE_SOURCES_H
#define ENGINE_SOURCES_H

/** The lines of a file of tools/ by its name, ended by NULL; no lines when it isn't embedded. */
const char *const *engine_source_lines(const char *name);

#endif
