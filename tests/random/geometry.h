/* SPDX-License-Identifier: MIT */
/**
 * \file    geometry.h
 * \brief   Geometries as text: "layers=2,q=6,kv=2,dk=64,dv=64,windows=40/0,softcap=10,scale=0.2".
 */
#ifndef RANDOM_GEOMETRY_H
#define RANDOM_GEOMETRY_H

#include <clkv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** False if the text isn't one. windows has room for 4 layers; the geometry points to it if any is set. Keys may be left
 *  out: 1 layer, 1 head, dv as dk, nothing else. */
bool geometry_read(const char *text, clkv_geometry *g, int *windows);

/** Its layers, 1 to 4. */
int geometry_layers(const char *text);

/** A geometry from those that random runs draw from: head sizes from 16 to 256, groups from 1 to 8, up to 4 layers. */
void geometry_draw(uint64_t seed, char *text, size_t n);

#endif
