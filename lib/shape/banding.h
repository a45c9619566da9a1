/* SPDX-License-Identifier: MIT */
/**
 * \file    banding.h
 * \brief   Which layers of a model have a recipe in common.
 *
 * A band is a set of layers with one recipe. A cache of several bands is a list of caches, of a band each, which know
 * nothing of each other; in each the band's layers are numbered from 0.
 */
#ifndef CLKV__BANDING_H
#define CLKV__BANDING_H

#include <stdbool.h>
#include <stdint.h>

enum { CLKV__MAX_BANDS = 16, CLKV__MAX_LAYERS = 1024, CLKV__NO_BAND = 255 };

struct clkv__banding {
	int layers;                           /**< of the model */
	int n;                                /**< bands */
	unsigned char of[CLKV__MAX_LAYERS];   /**< band of each layer */
	uint16_t number_in[CLKV__MAX_LAYERS]; /**< of each layer, in its band */
	unsigned char part[CLKV__MAX_BANDS];  /**< of the recipe's, for each band */
};

/** Layers of a band that come before one of the model's, or before all behind the last. */
static inline int clkv__band_before(const struct clkv__banding *b, int band, int layer)
{
	int n = 0;
	for (int i = 0; i < layer && i < b->layers; i++)
		n += b->of[i] == band;
	return n;
}

/** The model's number of a band's layer. */
static inline int clkv__band_layer(const struct clkv__banding *b, int band, int layer)
{
	int i = 0;
	while (i < b->layers - 1 && (b->of[i] != band || b->number_in[i] != layer))
		i++;
	return i;
}

#endif
