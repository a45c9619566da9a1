/* SPDX-License-Identifier: MIT */
/**
 * \file    check_state.c
 * \brief   What sequences have beside their rows travels with them: indexes, codebooks by name, chosen tokens, newest queries.
 */
#include "support/faults.h"
#include "support/fixture.h"
#include "support/kinds.h"
#include "support/random.h"
#include "support/snap.h"

#include <stdio.h>
#include <string.h>

#define CODES "a2ats:recall=64,codes=32,every=128,most=1024 ; window=32,sinks=5"
#define MODEL 7

static size_t prompt_rows(const struct kind *kind)
{
	return kind->rows + 61;
}

/* A prompt, and generation that seals behind it. */
static void open_stream(struct feed *feed, const struct kind *kind, struct stream *s)
{
	kind_open(feed, kind, fixture.context, fixture.queue);
	stream_open(feed, s);
	feed_one(feed, s, prompt_rows(kind), CLKV_PROMPT_END, 3, NULL);
	feed_one(feed, s, kind->rows, CLKV_DECODE, 3, NULL);
	feed_one(feed, s, 2, CLKV_DECODE, 3, NULL);
}

static void expect_same_file(const struct memory_file *a, const struct memory_file *b)
{
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_int_eq(memcmp(a->bytes, b->bytes, a->n), 0);
}

/* Steps that seal, and that choose anew, give the same bits in both caches. */
static void expect_same_future(const struct kind *kind, struct feed *fa, struct stream *a,
                               struct feed *fb, struct stream *b)
{
	const struct {
		size_t n;
		clkv_phase phase;
	} steps[] = {{1, CLKV_DECODE},
	             {kind->rows, CLKV_DECODE},
	             {kind->rows + 20, kind->moves ? CLKV_DECODE : CLKV_PROMPT_END},
	             {2, CLKV_DECODE}};
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct feed_result x, y;
		feed_one(fa, a, steps[i].n, steps[i].phase, 4 + i, &x);
		feed_one(fb, b, steps[i].n, steps[i].phase, 4 + i, &y);
		kind_same_outputs(fa, &x, &y, kind->recipe);
		feed_result_close(&x);
		feed_result_close(&y);
		ck_assert_uint_eq(stream_info(a).sealed, stream_info(b).sealed);
		ck_assert_uint_eq(stream_info(a).min_length, stream_info(b).min_length);
	}
}

/* ---------------------------------------------------------------- all kinds ---- */

/* Into a cache that has seen nothing else: the same file again, how far it can be cut, and what comes next. */
START_TEST(test_another_cache_goes_on)
{
	static struct stream stream, copy;
	const struct kind *kind = &kinds[_i];
	struct feed feed, other;
	struct memory_file file = {0}, again = {0};
	clkv_error error;
	open_stream(&feed, kind, &stream);
	memory_save(&feed, &stream, NULL, &file);
	bool state = kind->selects || kind->looks || kind->indexes;
	bool bands = strncmp(kind->recipe, "layers", 6) == 0;
	ck_assert_uint_eq(file.bytes[8], state ? (bands ? 6 : 5) : (bands ? 2 : 1));
	kind_open(&other, kind, fixture.context, fixture.queue);
	memory_load(&other, &file, &stream, &copy);
	ck_assert_uint_eq(file.at, file.n);
	kind_same_streams(kind, &feed, &stream, &other, &copy, "loaded");
	memory_save(&other, &copy, NULL, &again);
	expect_same_file(&file, &again);
	size_t least = stream_info(&stream).min_length;
	ck_assert_uint_eq(least > 0, kind->selects);
	if (least > 0) {
		ck_assert_int_eq(clkv_seq_truncate(copy.seq, least - 1, &error),
		                 CLKV_ERROR_INVALID_ARGUMENT);
		feed_ok(clkv_seq_truncate(copy.seq, copy.n, &error), &error, "clkv_seq_truncate");
	}
	expect_same_future(kind, &feed, &stream, &other, &copy);
	stream_close(&copy);
	clkv_stats stats = feed_stats(&other);
	ck_assert_uint_eq(stats.used_sealed + stats.used_open + stats.used_host, 0);
	memory_close(&file);
	memory_close(&again);
	feed_close(&other);
	feed_close(&feed);
}
END_TEST

/* The kinds of which each state is tried by itself: a zeromerge, whose slots merge, an index of clusters, one by codes, one
 * that looks. */
static const struct kind *kind_of(const char *stage)
{
	for (int i = 0; i < n_kinds; i++)
		if (strncmp(kinds[i].recipe, stage, strlen(stage)) == 0)
			return &kinds[i];
	ck_abort_msg("no kind of '%s'", stage);
	return NULL;
}

static const char *const stages[] = {"zeromerge", "clusterkv", "a2ats", "snapkv", "prefixkv"};
enum { STAGES = sizeof stages / sizeof stages[0] };

/* A whole file goes into an empty sequence, too; parts of one with chosen tokens aren't made, and those of one with an index
 * are rows alone. */
START_TEST(test_ranges)
{
	static struct stream stream, copy;
	const struct kind *kind = kind_of(stages[_i]);
	struct feed feed;
	struct memory_file file = {0};
	clkv_ranges ranges = CLKV_INIT(clkv_ranges);
	clkv_error error;
	open_stream(&feed, kind, &stream);
	memory_save(&feed, &stream, NULL, &file);
	stream_open(&feed, &copy);
	file.at = 0;
	feed_ok(clkv_seq_load_range(copy.seq, feed.queue, memory_read, &file, &error), &error,
	        "clkv_seq_load_range");
	copy = (struct stream){.seq = copy.seq, .n = stream.n};
	memcpy(copy.row, stream.row, sizeof copy.row);
	kind_same_streams(kind, &feed, &stream, &feed, &copy, "appended");
	file.at = 0;
	ck_assert_int_eq(clkv_seq_load_range(copy.seq, feed.queue, memory_read, &file, &error),
	                 CLKV_ERROR_INVALID_STATE);
	expect_same_future(kind, &feed, &stream, &feed, &copy);
	file.n = 0;
	clkv_status status =
		clkv_seq_save_range(stream.seq, 0, stream.n, feed.queue, memory_write, &file, &error);
	ck_assert_int_eq(status, kind->selects ? CLKV_ERROR_UNSUPPORTED : CLKV_OK);
	if (kind->selects) {
		ck_assert_msg(strstr(error.text, stages[_i]) != NULL, "%s", error.text);
		ck_assert_int_eq(clkv_seq_get_ranges(stream.seq, &ranges, &error), CLKV_ERROR_UNSUPPORTED);
	} else {
		ck_assert_uint_eq(file.bytes[8], 1);
		stream_close(&copy);
		memory_load(&feed, &file, &stream, &copy); /* indexed anew */
		ck_assert_uint_gt(stream_info(&copy).sealed, 0);
	}
	memory_close(&file);
	feed_close(&feed);
}
END_TEST

/* A cut inside a segment leaves lists of more tokens than there are, and the next segment begins behind a page that isn't full. */
START_TEST(test_cut_indexes)
{
	static const char *const recalls[] = {"topk", "clusterkv", "a2ats"};
	static struct stream stream, copy;
	const struct kind *kind = kind_of(recalls[_i]);
	struct feed feed, other;
	struct memory_file file = {0};
	clkv_error error;
	open_stream(&feed, kind, &stream);
	kind_open(&other, kind, fixture.context, fixture.queue);
	for (size_t i = 0; i < 2; i++) {
		stream.n = stream_info(&stream).sealed - 17;
		feed_ok(clkv_seq_truncate(stream.seq, stream.n, &error), &error, "clkv_seq_truncate");
		if (i == 1)
			feed_one(&feed, &stream, kind->rows + 70, CLKV_DECODE, 9, NULL);
		memory_save(&feed, &stream, NULL, &file);
		memory_load(&other, &file, &stream, &copy);
		expect_same_future(kind, &feed, &stream, &other, &copy);
		stream_close(&copy);
	}
	memory_close(&file);
	feed_close(&other);
	feed_close(&feed);
}
END_TEST

/* Other recipes: rows of an indexed sequence, but nothing of one with chosen tokens. */
START_TEST(test_other_recipes)
{
	static struct stream stream, copy;
	static const char *const words[2] = {"keeps some tokens", "same recipe"};
	const struct kind *kind = kind_of(stages[_i]);
	struct feed feed, half = {.geometry = feed_usual(kind->layers)};
	struct memory_file file = {0}, plain = {0}, none = {0};
	clkv_error error;
	open_stream(&feed, kind, &stream);
	memory_save(&feed, &stream, NULL, &file);
	half.geometry.rope.kind = CLKV_ROPE_HALVES;
	feed_open(&half, fixture.context, fixture.queue, "f16", NULL);
	if (!kind->selects) {
		memory_load(&half, &file, &stream, &copy);
		memory_save(&feed, &stream, "f16", &plain);
		stream_close(&copy);
		memory_load(&half, &plain, &stream, &copy);
	} else {
		ck_assert_int_eq(memory_refused(&half, &file, &error), CLKV_ERROR_UNSUPPORTED);
		for (size_t i = 0; i < 2; i++)
			ck_assert_msg(strstr(error.text, words[i]) != NULL, "%s", error.text);
		ck_assert_int_eq(clkv_seq_save(stream.seq, "f16", feed.queue, memory_write, &none, &error),
		                 CLKV_ERROR_UNSUPPORTED);
		ck_assert_uint_eq(none.n, 0);
		stream_open(&half, &copy);
		feed_one(&half, &copy, 60, CLKV_PROMPT_END, 1, NULL);
		memory_save(&half, &copy, NULL, &plain);
		ck_assert_int_eq(memory_refused(&feed, &plain, &error), CLKV_ERROR_UNSUPPORTED);
	}
	memory_close(&file);
	memory_close(&plain);
	memory_close(&none);
	feed_close(&half);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- codebooks ---- */

static void open_codes(struct feed *feed, const struct memory_file *book)
{
	clkv_cache_options o = feed_room(2000, 3);
	*feed = (struct feed){.geometry = feed_usual(2)};
	if (book) {
		o.codebook = book->bytes;
		o.codebook_size = book->n;
		o.model = MODEL;
	}
	feed_open(feed, fixture.context, fixture.queue, CODES, &o);
}

/* A codebook of a prompt's own, and the file of that sequence. */
static void train(uint64_t seed, struct memory_file *book, struct memory_file *file,
                  struct stream *stream)
{
	struct feed feed;
	clkv_error error;
	open_codes(&feed, NULL);
	stream_open(&feed, stream);
	feed_one(&feed, stream, 400, CLKV_PROMPT_END, seed, NULL);
	feed_ok(clkv_seq_save_codebook(stream->seq, MODEL, feed.queue, memory_write, book, &error),
	        &error, "clkv_seq_save_codebook");
	memory_save(&feed, stream, NULL, file);
	feed_close(&feed);
}

START_TEST(test_codebooks_have_names)
{
	static struct stream stream, copy;
	struct feed feed, same, foreign, none;
	struct memory_file book[2] = {{0}, {0}}, own = {0}, file = {0};
	char name[20];
	uint64_t number = 0;
	train(2, &book[1], &own, &stream);
	memory_close(&own);
	train(1, &book[0], &own, &stream);
	for (size_t i = 0; i < 8; i++)
		number |= (uint64_t)book[0].bytes[book[0].n - 8 + i] << 8 * i;
	snprintf(name, sizeof name, "%016llx", (unsigned long long)number);
	open_codes(&feed, &book[0]);
	stream_open(&feed, &stream);
	memory_save(&feed, &stream, NULL, &file); /* of no token: the name is there */
	open_codes(&foreign, &book[1]);
	memory_expect_refused(&foreign, &file, name);
	feed_one(&feed, &stream, 300, CLKV_PROMPT_END, 5, NULL);
	memory_save(&feed, &stream, NULL, &file);
	memory_expect_refused(&foreign, &file, name);
	memory_expect_refused(&foreign, &own, "of their own");
	open_codes(&none, NULL);
	memory_expect_refused(&none, &file, name);
	open_codes(&same, &book[0]);
	memory_load(&same, &file, &stream, &copy);
	expect_same_future(kind_of("a2ats"), &feed, &stream, &same, &copy);
	feed_close(&same);
	feed_close(&none);
	feed_close(&foreign);
	feed_close(&feed);
	for (size_t i = 0; i < 2; i++)
		memory_close(&book[i]);
	memory_close(&own);
	memory_close(&file);
}
END_TEST

/* ---------------------------------------------------------------- damage ---- */

static void open_snap(struct snap *snap, const char *stage)
{
	memset(snap, 0, sizeof *snap);
	open_stream(&snap->feed, kind_of(stage), &snap->stream);
	memory_save(&snap->feed, &snap->stream, NULL, &snap->file);
	snap_list(snap);
}

static void close_snap(struct snap *snap)
{
	memory_close(&snap->file);
	feed_close(&snap->feed);
}

/* Some bytes of each part changed, and early ends. */
START_TEST(test_damage_is_found)
{
	static struct snap snap;
	clkv_error error;
	open_snap(&snap, stages[_i]);
	for (size_t part = 0; part < snap.parts; part++) {
		size_t first = part ? snap_record(&snap, part) : 12, n = snap.ends[part] + SNAP_SUM - first;
		for (size_t i = 0; i < n; i += n / 3) {
			snap.file.bytes[first + i] ^= 0x10;
			ck_assert_int_eq(memory_refused(&snap.feed, &snap.file, &error), CLKV_ERROR_CORRUPT);
			snap.file.bytes[first + i] ^= 0x10;
		}
		size_t whole = snap.file.n;
		snap.file.n = snap.ends[part];
		ck_assert_int_eq(memory_refused(&snap.feed, &snap.file, &error), CLKV_ERROR_CORRUPT);
		snap.file.n = whole;
	}
	close_snap(&snap);
}
END_TEST

/* The first record of a kind. */
static size_t part_of(const struct snap *snap, uint32_t kind)
{
	for (size_t part = 1; part < snap->parts; part++)
		if (snap_word(snap->file.bytes + snap_record(snap, part)) == kind)
			return part;
	ck_abort_msg("the file has no record of kind %u", kind);
	return 0;
}

/* A word of a record's contents, or of what stands before them where `at` is negative, is another, and all checksums are right. */
struct lie {
	const char *stage;
	uint32_t kind;
	int at;
	uint32_t value;
	const char *word; /* of the error */
};

enum {
	NOT_A_NUMBER = 0x7fc00000,
	INFINITE = 0x7f800000,
	HALF_INFINITE = 0x7c00,
	BLOCK = 32,
	CLUSTERS = 30,
	INDEX_ENDS = 32 * 64 * 2
};

static const struct lie lies[] = {
	/* flags, counted, merged blocks; entries, live, cosine of each head */
	{"zeromerge", SNAP_CHOICE, 0, 8, "flags are wrong"},
	{"zeromerge", SNAP_CHOICE, 0, 3, "flags are wrong"},
	{"zeromerge", SNAP_CHOICE, 0, 0, "nothing chosen"},
	{"zeromerge", SNAP_CHOICE, 4, 0, "nothing chosen"},
	{"zeromerge", SNAP_CHOICE, 4, 0x7fffffff, "max_seq_tokens"},
	{"zeromerge", SNAP_CHOICE, 8, 99, "merged slots"},
	{"zeromerge", SNAP_CHOICE, 12, 0, "too few or too many pages"},
	{"zeromerge", SNAP_CHOICE, 12, 1000, "too few or too many pages"},
	{"zeromerge", SNAP_CHOICE, 16, 9999, "too few or too many pages"},
	{"zeromerge", SNAP_CHOICE, 16, 1, "tokens instead of 1"},
	{"zeromerge", SNAP_CHOICE, 20, NOT_A_NUMBER, "cosine"},
	{"zeromerge", SNAP_CHOICE, 20, 0x40000000, "cosine"},
	/* weights, scores, positions, traces [BLOCK] */
	{"zeromerge", SNAP_SEALED, 0, NOT_A_NUMBER, "stands for no number"},
	{"zeromerge", SNAP_SEALED, 0, INFINITE, "stands for no number"},
	{"zeromerge", SNAP_SEALED, 0, 0xbf800000, "stands for no number"},
	{"zeromerge", SNAP_SEALED, 4 * BLOCK, NOT_A_NUMBER, "score"},
	{"zeromerge", SNAP_SEALED, 8 * BLOCK, 100000, "doesn't have"},
	{"zeromerge", SNAP_SEALED, -16, 33, "slots"},
	{"zeromerge", SNAP_SEALED, -16, 0, "slots"},
	{"zeromerge", SNAP_MERGED, 0, INFINITE, "stands for no number"},
	{"zeromerge", SNAP_MERGED, 4 * BLOCK, NOT_A_NUMBER, "score"},
	{"zeromerge", SNAP_MERGED, 16 * BLOCK, HALF_INFINITE, "finite"},
	{"zeromerge", SNAP_MERGED, -12, 1, "flags"},
	/* kind of codebook, its number, segments; stride, tokens, kept of each */
	{"clusterkv", SNAP_SEGMENTS, 0, 1, "codebook"},
	{"clusterkv", SNAP_SEGMENTS, 0, 3, "codebook"},
	{"clusterkv", SNAP_SEGMENTS, 4, 1, "codebook"},
	{"clusterkv", SNAP_SEGMENTS, 12, 0x7fffffff, "segments"},
	{"clusterkv", SNAP_SEGMENTS, 16, 1, "size"},
	{"clusterkv", SNAP_SEGMENTS, 20, 0, "too few or too many"},
	{"clusterkv", SNAP_SEGMENTS, 20, 0x10000, "too few or too many"},
	{"clusterkv", SNAP_SEGMENTS, 24, 0, "too few or too many"},
	{"clusterkv", SNAP_SEGMENTS, 24, 1, "doesn't end where a page does"},
	{"clusterkv", SNAP_INDEX, 0, HALF_INFINITE, "finite"},
	{"clusterkv", SNAP_INDEX, INDEX_ENDS, 0xffffffff, "each token once"},
	{"clusterkv", SNAP_INDEX, INDEX_ENDS + 64, 0xffffffff, "each token once"},
	{"clusterkv", SNAP_INDEX, INDEX_ENDS + 64, 0, "each token once"},
	{"a2ats", SNAP_SEGMENTS, 0, 0, "codebook"},
	{"a2ats", SNAP_BOOK, 0, HALF_INFINITE, "finite"},
	/* tags [16], queries half [16][6][64], log-sum-exps float [16][6] */
	{"snapkv", SNAP_QUERIES, 0, 100000, "of no token"},
	{"snapkv", SNAP_QUERIES, 0, 2, "of no token"},
	{"snapkv", SNAP_QUERIES, 4 * 16, HALF_INFINITE, "finite"},
	{"snapkv", SNAP_QUERIES, 4 * 16 + 2 * 16 * 6 * 64, NOT_A_NUMBER, "finite"},
	{"snapkv", SNAP_QUERIES, -16, 3, "heads"},
};

START_TEST(test_lies_are_named)
{
	static struct snap snap;
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		const struct lie *l = &lies[i];
		clkv_error error;
		if (strcmp(l->stage, stages[_i]) != 0)
			continue;
		if (!snap.file.bytes)
			open_snap(&snap, l->stage);
		unsigned char *at = snap.file.bytes + snap_contents(&snap, part_of(&snap, l->kind)) + l->at;
		uint32_t before = snap_word(at);
		snap_set_word(at, l->value);
		snap_seal(&snap);
		memory_refused(&snap.feed, &snap.file, &error);
		ck_assert_msg(strstr(error.text, l->word) != NULL, "row %zu: no '%s' in: %s", i, l->word,
		              error.text);
		snap_set_word(at, before);
		snap_seal(&snap);
	}
	if (snap.file.bytes)
		close_snap(&snap);
}
END_TEST

/* Contents that nobody wrote, with right checksums: refused, or a sequence that goes on like others. */
START_TEST(test_contents_may_say_anything)
{
	static struct snap snap;
	uint64_t random = 11;
	size_t taken = 0, refused = 0;
	open_snap(&snap, stages[_i]);
	const struct kind *kind = kind_of(stages[_i]);
	for (size_t i = 0; i < (fixture_full() ? 600 : 60); i++) {
		static struct stream loaded;
		size_t part = 1 + random_below(random_next(&random), snap.parts - 2);
		size_t from = snap_contents(&snap, part), size = snap.ends[part] - from;
		size_t at = from + random_below(random_next(&random), i % 2 && size > 64 ? 64 : size);
		unsigned char before = snap.file.bytes[at];
		clkv_error error;
		snap.file.bytes[at] ^= (unsigned char)(1 + random_below(random_next(&random), 255));
		snap_seal(&snap);
		snap.file.at = 0;
		loaded = (struct stream){.n = snap.stream.n};
		clkv_status status = clkv_seq_load(snap.feed.cache, snap.feed.queue, memory_read,
		                                   &snap.file, &loaded.seq, &error);
		taken += status == CLKV_OK;
		refused += status != CLKV_OK;
		if (status == CLKV_OK) {
			feed_one(&snap.feed, &loaded, 1, CLKV_DECODE, 9, NULL);
			feed_one(&snap.feed, &loaded, kind->rows, CLKV_DECODE, 9, NULL);
			stream_close(&loaded);
		}
		snap.file.bytes[at] = before;
	}
	ck_assert(taken > 0 && refused > 0);
	close_snap(&snap);
}
END_TEST

/* Flags of the header that promise what isn't there, or deny what is. */
START_TEST(test_flags_are_checked)
{
	static struct snap snap;
	clkv_error error;
	open_snap(&snap, stages[_i]);
	unsigned char *flags = snap.file.bytes + 8 + 4 * SNAP_FLAGS;
	uint32_t is = snap_word(flags);
	for (uint32_t bits = 0; bits < 128; bits += 4) {
		if (bits == (is & ~3u))
			continue;
		snap_set_word(flags, bits | (is & 3));
		snap_seal(&snap);
		/* that the newest row was attended with can be said of any, but not denied without a difference */
		if ((bits ^ is) >> 2 == 8)
			continue;
		ck_assert_int_eq(memory_refused(&snap.feed, &snap.file, &error), CLKV_ERROR_CORRUPT);
	}
	close_snap(&snap);
}
END_TEST

/* Each allocation and each OpenCL call of saving and loading fails in turn. */
START_TEST(test_failures)
{
	static struct snap snap;
	enum fault fault = (enum fault)(_i % FAULTS);
	struct memory_file again = {0};
	clkv_error error;
	bool happened = true;
	open_snap(&snap, stages[_i / FAULTS]);
	clkv_stats before = feed_stats(&snap.feed);
	for (int n = 0; happened; n += n < 40 ? 1 : 7) {
		clkv_seq *seq = NULL;
		ck_assert_int_lt(n, 4000);
		snap.file.at = again.n = 0;
		fault_arm(fault, n);
		clkv_status saved =
			clkv_seq_save(snap.stream.seq, NULL, snap.feed.queue, memory_write, &again, &error);
		happened = fault_disarm(fault);
		fault_expect(fault, saved, &error);
		fault_arm(fault, n);
		clkv_status read =
			clkv_seq_load(snap.feed.cache, snap.feed.queue, memory_read, &snap.file, &seq, &error);
		happened = fault_disarm(fault) || happened;
		fault_expect(fault, read, &error);
		ck_assert((read == CLKV_OK) == (seq != NULL));
		clkv_seq_destroy(seq);
		clkv_stats after = feed_stats(&snap.feed);
		ck_assert_uint_eq(after.used_open, before.used_open);
		ck_assert_uint_eq(after.used_sealed, before.used_sealed);
		ck_assert_uint_eq(after.used_index, before.used_index);
		ck_assert_uint_eq(after.sequences, before.sequences);
	}
	memory_close(&again);
	close_snap(&snap);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("state");
	TCase *all = fixture_case(suite, "kinds", 60), *other = fixture_case(suite, "other", 60);
	TCase *damage = fixture_case(suite, "damage", 120);
	tcase_add_loop_test(all, test_another_cache_goes_on, 0, n_kinds);
	tcase_add_loop_test(other, test_ranges, 0, STAGES);
	tcase_add_loop_test(other, test_cut_indexes, 0, 3);
	tcase_add_loop_test(other, test_other_recipes, 0, STAGES);
	tcase_add_test(other, test_codebooks_have_names);
	tcase_add_loop_test(damage, test_damage_is_found, 0, STAGES);
	tcase_add_loop_test(damage, test_lies_are_named, 0, STAGES - 1);
	tcase_add_loop_test(damage, test_contents_may_say_anything, 0, STAGES);
	tcase_add_loop_test(damage, test_flags_are_checked, 0, STAGES);
	fixture_some(damage, test_failures, STAGES * FAULTS, 0, FAULTS, 2 * FAULTS + 1, 3 * FAULTS);
	return fixture_run(suite);
}
