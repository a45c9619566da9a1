/* SPDX-License-Identifier: MIT */
/** \file replay.c \brief Gives every file of a directory to a fuzz target; needs no fuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* From memory of its size, so that a sanitizer sees what is read behind it. */
static int replay(const char *path)
{
	static uint8_t bytes[1 << 20];
	FILE *file = fopen(path, "rb");
	if (!file)
		return -1;
	size_t size = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	uint8_t *data = malloc(size > 0 ? size : 1);
	if (!data)
		return -1;
	memcpy(data, bytes, size);
	int result = LLVMFuzzerTestOneInput(data, size);
	free(data);
	return result;
}

int main(int argc, char **argv)
{
	const char *corpus = argc > 1 ? argv[1] : CLKV_FUZZ_CORPUS;
	DIR *directory = opendir(corpus);
	struct dirent *entry;
	int files = 0;
	if (!directory) {
		fprintf(stderr, "%s can't be opened\n", corpus);
		return EXIT_FAILURE;
	}
	while ((entry = readdir(directory)) != NULL) {
		char path[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", corpus, entry->d_name);
		if (replay(path) != 0) {
			fprintf(stderr, "%s can't be read\n", path);
			return EXIT_FAILURE;
		}
		files++;
	}
	closedir(directory);
	printf("%d files replayed\n", files);
	return files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
