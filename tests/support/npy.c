/* SPDX-License-Identifier: MIT */
/** \file npy.c \brief The .npy reader. */
#include "npy.h"

#include "../ref/ref_half.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct header {
	char text[512];
	char type; /* '2', '4' or '8' bytes per value */
};

static int read_header(FILE *file, struct header *h)
{
	unsigned char start[12];
	size_t length;
	if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6) != 0)
		return -1;
	length = start[8] | (size_t)start[9] << 8;
	if (start[6] == 2) {
		if (fread(start + 10, 1, 2, file) != 2 || start[10] || start[11])
			return -1;
	} else if (start[6] != 1) {
		return -1;
	}
	if (length >= sizeof h->text || fread(h->text, 1, length, file) != length)
		return -1;
	h->text[length] = '\0';
	const char *type = strstr(h->text, "'<f");
	if (!type || !strstr(h->text, "'fortran_order': False"))
		return -1;
	h->type = type[3];
	return h->type == '2' || h->type == '4' || h->type == '8' ? 0 : -1;
}

static int read_shape(const struct header *h, struct npy *out)
{
	const char *at = strstr(h->text, "'shape': (");
	if (!at)
		return -1;
	at += strlen("'shape': (");
	out->n = 1;
	for (out->n_dims = 0; *at && *at != ')'; out->n_dims++) {
		char *end;
		unsigned long size = strtoul(at, &end, 10);
		if (end == at || out->n_dims == 4 || size > 1u << 28 || out->n * size > 1u << 28)
			return -1;
		out->dims[out->n_dims] = size;
		out->n *= size;
		for (at = end; *at == ',' || *at == ' ';)
			at++;
	}
	return *at == ')' ? 0 : -1;
}

static double value_of(const unsigned char *bytes, char type)
{
	uint64_t bits = 0;
	for (int i = type - '0' - 1; i >= 0; i--)
		bits = bits << 8 | bytes[i];
	if (type == '2')
		return ref_from_half((uint16_t)bits);
	if (type == '4') {
		uint32_t word = (uint32_t)bits;
		float f;
		memcpy(&f, &word, sizeof f);
		return (double)f;
	}
	double d;
	memcpy(&d, &bits, sizeof d);
	return d;
}

static int read_values(FILE *file, char type, struct npy *out)
{
	size_t size = (size_t)(type - '0');
	out->values = malloc(out->n * sizeof *out->values + 1);
	for (size_t i = 0; out->values && i < out->n; i++) {
		unsigned char bytes[8];
		if (fread(bytes, 1, size, file) != size)
			break;
		out->values[i] = value_of(bytes, type);
		if (i + 1 == out->n)
			return 0;
	}
	free(out->values);
	out->values = NULL;
	return -1;
}

int npy_read(const char *path, struct npy *out, char *why, size_t n)
{
	struct header header;
	const char *problem = NULL;
	FILE *file = fopen(path, "rb");
	*out = (struct npy){0};
	if (!file)
		problem = "can't be opened";
	else if (read_header(file, &header) != 0)
		problem = "isn't a little-endian .npy file of floats in C order";
	else if (read_shape(&header, out) != 0)
		problem = "has a shape that can't be read";
	else if (read_values(file, header.type, out) != 0)
		problem = "is shorter than its shape";
	if (file)
		fclose(file);
	if (problem)
		snprintf(why, n, "%s %s", path, problem);
	return problem ? -1 : 0;
}
