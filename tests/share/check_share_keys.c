/* SPDX-License-Identifier: MIT */
/** \file check_share_keys.c \brief Keys of chunks: SHA-256, and chains of a text's that stay as they are. */
#include "share/chain.h"
#include "share/sha256.h"
#include "support/suite.h"

#include <check.h>
#include <string.h>

/* Of FIPS 180-4's examples: none of a block, part of one, more than one, many; handed over in pieces. */
START_TEST(test_keys_are_sha256)
{
	static const struct {
		const char *text;
		size_t times, piece;
		const char *digest;
	} known[] = {
		{"", 1, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", 1, 2, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, 9,
	     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"a", 1000000, 1, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
	};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		struct share_sha256 sha;
		char text[2 * SHARE_KEY_BYTES + 1];
		size_t n = strlen(known[i].text);
		share_sha256_begin(&sha);
		for (size_t t = 0; t < known[i].times; t++)
			for (size_t at = 0; at < n; at += known[i].piece)
				share_sha256_add(&sha, known[i].text + at,
				                 n - at < known[i].piece ? n - at : known[i].piece);
		const struct share_key key = share_sha256_end(&sha);
		share_key_print(&key, text);
		ck_assert_str_eq(text, known[i].digest);
	}
}
END_TEST

/* Other builds and versions find what was stored: keys of a text by another SHA-256 (Python's hashlib), over the bytes that
 * doc/share.md names. Sinks: 3; tokens: 1 - i * i. */
START_TEST(test_keys_stay_as_they_are)
{
	static const char *const known[] = {
		"5200ba91260b84992652df038a6aa307736d5a4d4d94dd21f9efc344a9223d5a",
		"0c87b5b5a462179e7d9b493f8b51dc92ea41074df44d8d8c60b62cd417ae2a87",
		"5cf1bc5934c5093f5160c0009c096322671f5fa854eec72aa6982dc0e34df673",
	};
	unsigned char abc[] = {'a', 'b', 'c'};
	const struct share_blob empty = {.data = abc, .size = sizeof abc};
	clkv_ranges ranges = CLKV_INIT(clkv_ranges);
	struct share_chain chain;
	char text[2 * SHARE_KEY_BYTES + 1];
	int32_t tokens[600];
	for (int32_t i = 0; i < 600; i++)
		tokens[i] = 1 - i * i;
	ranges.first = 3;
	ranges.every = 64;
	const struct share_key root = share_chain_root(7, &empty);
	share_key_print(&root, text);
	ck_assert_str_eq(text, "9e76e345fac1e62f0eb317645956e014ff38c750b8de4dd0779bf11f81089a2a");
	ck_assert_int_eq(share_chain_make(&root, &ranges, tokens, 600, &chain, NULL), CLKV_OK);
	ck_assert_uint_eq(chain.n, 2);
	for (size_t i = 0; i <= chain.n; i++) {
		share_key_print(&chain.keys[i], text);
		ck_assert_str_eq(text, known[i]);
	}
	share_chain_free(&chain);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("share keys");
	TCase *keys = tcase_create("keys");
	tcase_add_test(keys, test_keys_are_sha256);
	tcase_add_test(keys, test_keys_stay_as_they_are);
	suite_add_tcase(suite, keys);
	return run_suite(suite);
}
