/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-train.c
 * \brief   Trains codebooks, rotations, calibrations, factors or dictionaries for a model on texts, for recipes with a2ats, rot=file,
 *          qtc, lowrank, lorc, recalkv, clla or csr.
 *
 * A text goes through the model as one long prompt: of a cache with the codebook's recipe, which trains it; or in half, for
 * rotations (train_rotation.c), calibrations (train_calibration.c), factors (train_factors.c, train_recalkv.c) and dictionaries
 * (train_dictionary.c). Factors for lorc come of the weights alone (train_lorc.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "output_file.h"
#include "session.h"
#include "text_tokens.h"
#include "tool_main.h"
#include "train_calibration.h"
#include "train_dictionary.h"
#include "train_factors.h"
#include "train_groups.h"
#include "train_rotation.h"

enum {
	MOST_TOKENS = 1 << 24,
	MOST_TEXTS = 16,
	CALIBRATION_TOKENS = 2048,
	USUAL_HEADS = 4,
	USUAL_SHARE = 2
};

/* Error of a layer's output that a step stands for: about an eighth of f16's bytes. */
static const float usual_delta = 0.0014F;

/* Parts of the head size that ranks of the first and of the last layers are. */
static const float usual_most = 1, usual_least = 0.25F;

enum purpose {
	FOR_CODEBOOK,
	FOR_ROTATION,
	FOR_QTC,
	FOR_LOWRANK,
	FOR_LORC,
	FOR_RECALKV,
	FOR_CLLA,
	FOR_CSR,
	N_PURPOSES
};

static const char *const purposes[N_PURPOSES] = {"codebook", "rotation", "qtc",  "lowrank",
                                                 "lorc",     "recalkv",  "clla", "csr"};

static const char tool_name[] = "clkv-train";

static struct {
	const char *model, *out, *recipe, *device, *prompt;
	const char *texts[MOST_TEXTS];
	size_t n_texts, offset, tokens, heads, share, prompt_tokens, online, guard;
	enum engine_products products;
	enum purpose purpose;
	float delta; /* 0: the usual one */
	float most, least;
	bool weighed, joint, uniform, before;
} o;

static bool set_purpose(const char *text, struct tool_error *error)
{
	for (int i = 0; i < N_PURPOSES; i++)
		if (strcmp(text, purposes[i]) == 0) {
			o.purpose = (enum purpose)i;
			return true;
		}
	return tool_fail(
		error, "--for takes codebook, rotation, qtc, lowrank, lorc, recalkv, clla or csr, not '%s'",
		text);
}

static bool add_text(const char *text, struct tool_error *error)
{
	if (o.n_texts == MOST_TEXTS)
		return tool_fail(error, "at most %d texts at a time", MOST_TEXTS);
	o.texts[o.n_texts++] = text;
	return true;
}

static const struct tool_option options[] = {
	{"model", "FILE", "GGUF file (Llama architecture)", .text = &o.model},
	{"text", "FILE",
     "UTF-8 text; - reads standard input; again for more with --for qtc, lowrank, recalkv, clla, "
     "csr",
     .set = add_text},
	{"out", "FILE", "where the codebooks, matrices, calibration, factors go", .text = &o.out},
	{"for", "WHAT", "codebook (default), rotation, qtc, lowrank, lorc, recalkv, clla or csr",
     .set = set_purpose},
	{"recipe", "R",
     "of codebooks or dictionaries; default a2ats:codes=256 or csr; what else it says of codes, or "
     "of\n"
     "atoms and chunks, must be the same when it is used",
     .text = &o.recipe},
	{"offset", "K", "begin at token K of the text; default 0", .size = {&o.offset, 0, MOST_TOKENS}},
	{"tokens", "N",
     "tokens of each text; default as many as the model was trained for, or as there are;\n"
     "with --for qtc at most 2048",
     .size = {&o.tokens, 1, MOST_TOKENS}},
	{"delta", "X", "with --for qtc: what a step stands for; smaller is finer; default 0.0014",
     .number = {&o.delta, 1e-6F, 1}},
	{"uniform", NULL,
     "with --for qtc: bits by what errors do to each layer's output alone; a quarter of the time",
     .flag = &o.uniform},
	{"before-rope", NULL,
     "with --for qtc: keys coded as they were in front of RoPE where it turns them fast: a tenth "
     "fewer\n"
     "bytes, slower",
     .flag = &o.before},
	{"prompt", "FILE", "with --for csr: a prompt whose own rows are atoms of the dictionary, too",
     .text = &o.prompt},
	{"prompt-tokens", "N", "as many of its first tokens; default as --tokens",
     .size = {&o.prompt_tokens, 1, MOST_TOKENS}},
	{"online", "N", "of the recipe's atoms, the prompt's newest rows; multiples of 16; default 0",
     .size = {&o.online, 0, MOST_TOKENS}},
	{"guard", "M",
     "and of its rows those that all other atoms code worst; multiples of 16; default 0",
     .size = {&o.guard, 0, MOST_TOKENS}},
	{"heads", "N",
     "with --for recalkv: KV heads whose keys have latents together; default 4, or all of fewer",
     .size = {&o.heads, 1, 4096}},
	{"share", "N", "with --for clla: layers that share latents of the first one's rows; default 2",
     .size = {&o.share, 1, 1024}},
	{"joint", NULL, "with --for clla: latents of all these layers' rows, for lowrank with share",
     .flag = &o.joint},
	{"weighed", NULL,
     "with --for recalkv: errors count by what they do to logits and to the layer's output",
     .flag = &o.weighed},
	{"most", "X", "with --for lorc: rank of the first layer, a part of the head size; default 1",
     .number = {&o.most, 0.0625F, 1}},
	{"least", "X", "with --for lorc: rank of the last one; default 0.25",
     .number = {&o.least, 0.0625F, 1}},
	OPTION_DEVICE(o.device),
	OPTION_PRODUCTS(o.products),
};

static bool check(struct tool_error *error)
{
	const bool lorc = o.purpose == FOR_LORC;
	if (o.model == NULL || (o.n_texts == 0 && !lorc) || o.out == NULL)
		return tool_fail(error, "--model, --text and --out are needed; try clkv-train --help");
	if (lorc && (o.n_texts > 0 || o.tokens > 0 || o.offset > 0))
		return tool_fail(error, "--for lorc takes no --text: its factors come of the weights");
	if (!lorc && (o.most > 0 || o.least > 0))
		return tool_fail(error, "--most and --least go with --for lorc alone");
	o.most = o.most > 0 ? o.most : usual_most;
	o.least = o.least > 0 ? o.least : usual_least < o.most ? usual_least : o.most;
	if (o.least > o.most)
		return tool_fail(error, "--least is %g; allowed: up to --most, %g", (double)o.least,
		                 (double)o.most);
	if (o.purpose != FOR_RECALKV && (o.heads > 0 || o.weighed))
		return tool_fail(error, "--heads and --weighed go with --for recalkv alone");
	if (o.purpose != FOR_CLLA && (o.share > 0 || o.joint))
		return tool_fail(error, "--share and --joint go with --for clla alone");
	if (o.purpose != FOR_CODEBOOK && o.purpose != FOR_CSR && o.recipe != NULL)
		return tool_fail(error, "--for %s takes no --recipe: its file serves all that ask for one",
		                 purposes[o.purpose]);
	if (o.purpose != FOR_QTC && o.delta > 0)
		return tool_fail(error, "--delta goes with --for qtc alone");
	if (o.purpose != FOR_QTC && (o.uniform || o.before))
		return tool_fail(error, "--uniform and --before-rope go with --for qtc alone");
	const bool several = o.purpose == FOR_QTC || o.purpose == FOR_LOWRANK ||
	                     o.purpose == FOR_RECALKV || o.purpose == FOR_CLLA || o.purpose == FOR_CSR;
	if (o.n_texts > 1 && !several)
		return tool_fail(
			error,
			"more than one --text goes with --for qtc, lowrank, recalkv, clla and csr alone");
	if (o.purpose == FOR_QTC && o.tokens > 0 && o.tokens < CALIBRATION_LEAST_TOKENS)
		return tool_fail(error, "--for qtc takes --tokens from %d on", CALIBRATION_LEAST_TOKENS);
	if ((o.prompt != NULL) != (o.online + o.guard > 0))
		return tool_fail(error, "--prompt goes with --online or --guard, which say how many atoms "
		                        "it has, and they with it");
	if (o.prompt != NULL && o.purpose != FOR_CSR)
		return tool_fail(error, "--prompt goes with --for csr alone");
	if (o.prompt_tokens > 0 && o.prompt == NULL)
		return tool_fail(error, "--prompt-tokens goes with --prompt alone");
	if (o.recipe == NULL)
		o.recipe = o.purpose == FOR_CSR ? "csr" : "a2ats:codes=256";
	return true;
}

/* The tokens of one text; *all is the caller's to free. */
struct tokens {
	int32_t *all;
	const int32_t *ids;
	size_t n;
};

static size_t usual_tokens(const struct session *session)
{
	size_t most = (size_t)session->model->context;
	return o.purpose == FOR_QTC && most > CALIBRATION_TOKENS ? CALIBRATION_TOKENS : most;
}

/* wanted: how many, 0: as many as is usual. */
static bool read_tokens(const struct session *session, const char *path, size_t offset,
                        size_t wanted, struct tokens *tokens, struct tool_error *error)
{
	size_t there, most = wanted > 0 ? wanted : usual_tokens(session);
	const size_t least = wanted > 0 ? wanted : o.purpose == FOR_QTC ? CALIBRATION_LEAST_TOKENS : 1;
	if (!text_tokens_read(session->tokenizer, path, &tokens->all, &there, error))
		return false;
	if (there < offset || there - offset < least)
		return tool_fail(error, "'%s' has %zu tokens; needed: %zu behind token %zu", path, there,
		                 least, offset);
	tokens->ids = tokens->all + offset;
	tokens->n = there - offset < most ? there - offset : most;
	return true;
}

static bool save(struct session *session, const struct engine_stream *stream, const char *path,
                 struct tool_error *error)
{
	clkv_error cause = {0};
	cl_command_queue queue = engine_queue(session->engine);
	struct output_file file;
	if (!output_file_open(&file, path, error))
		return false;
	clkv_status status = clkv_seq_save_codebook(stream->seq, model_fingerprint(session->model),
	                                            queue, output_file_write, &file, &cause);
	return output_file_close(&file, status, "writing the codebooks", &cause, error);
}

static bool train_codebook(struct session *session, const int32_t *ids, size_t n,
                           struct tool_error *error)
{
	struct engine_stream stream = {0};
	bool done = session_stream_open(session, o.recipe, n, &stream, error) &&
	            session_prompt(session, &stream, ids, n, "prompt", error) &&
	            save(session, &stream, o.out, error);
	session_stream_close(&stream);
	return done;
}

static bool calibrate(struct session *session, const struct text_input *in,
                      struct tool_error *error)
{
	const double half = (double)session_f16_bytes(session);
	const float delta = o.delta > 0 ? o.delta : usual_delta;
	struct calibration_bits bits;
	struct calibrator *calibrator;
	struct given_file file = {NULL, 0};
	if (!calibrator_open(session, in, o.n_texts, o.before, &calibrator, error))
		return false;
	bool done = (o.uniform || calibrator_share(calibrator, delta, delta, error)) &&
	            calibrator_make(calibrator, delta, &file, &bits, error) &&
	            given_file_write(&file, o.out, error);
	calibrator_close(calibrator);
	free(file.data);
	if (!done)
		return false;
	(void)printf(
		"%.3f bits a value of K, %.3f of V: %.0f bytes a token of %.0f in half, %.2f times "
		"fewer\n",
		bits.k, bits.v, bits.bytes, half, half / bits.bytes);
	return true;
}

/* The recipe's ranks follow from the weights as the factors do. */
static bool train_weights(const struct session *session, struct tool_error *error)
{
	char recipe[2048];
	if (!train_lorc(session->model, o.most, o.least, o.out, recipe, sizeof recipe, error))
		return false;
	(void)printf("%s\n", recipe);
	return true;
}

/* What the other layers' rows are worth is seen at once. */
static bool train_layers(struct session *session, const struct text_input *in,
                         struct tool_error *error)
{
	double explained[2][2];
	if (!train_clla(session, in, o.n_texts, o.share > 0 ? o.share : USUAL_SHARE, o.joint, o.out,
	                explained, error))
		return false;
	if (o.joint)
		return true;
	(void)printf(
		"of the other layers' squares all latents stand for %.1f %% of K, %.1f %% of V; half "
		"of them for %.1f %%, %.1f %%\n",
		100 * explained[0][0], 100 * explained[1][0], 100 * explained[0][1], 100 * explained[1][1]);
	return true;
}

static bool train(struct session *session, const struct tokens *texts, size_t n_texts,
                  struct tool_error *error)
{
	struct text_input in[MOST_TEXTS + 1];
	const struct dictionary_sources sources = {o.recipe, in, n_texts, {o.online, o.guard}};
	for (size_t i = 0; i < n_texts; i++)
		in[i] = (struct text_input){texts[i].ids, texts[i].n};
	switch (o.purpose) {
	case FOR_ROTATION:
		return train_rotation(session, texts->ids, texts->n, o.out, error);
	case FOR_QTC:
		return calibrate(session, in, error);
	case FOR_LOWRANK:
		return train_factors(session, in, o.n_texts, o.out, error);
	case FOR_LORC:
		return train_weights(session, error);
	case FOR_RECALKV:
		return train_recalkv(session, in, o.n_texts, o.heads > 0 ? o.heads : USUAL_HEADS, o.weighed,
		                     o.out, error);
	case FOR_CLLA:
		return train_layers(session, in, error);
	case FOR_CSR:
		return train_dictionary(session, &sources, o.out, error);
	default:
		return train_codebook(session, texts->ids, texts->n, error);
	}
}

static bool read_and_train(struct session *session, struct tool_error *error)
{
	struct tokens texts[MOST_TEXTS + 1] = {{0}}; /* the prompt behind them */
	const size_t n_texts = o.n_texts + (o.prompt != NULL);
	bool done = true;
	size_t n = 0;
	for (size_t i = 0; i < n_texts && done; i++) {
		const bool prompt = i == o.n_texts;
		done = read_tokens(session, prompt ? o.prompt : o.texts[i], prompt ? 0 : o.offset,
		                   prompt && o.prompt_tokens > 0 ? o.prompt_tokens : o.tokens, &texts[i],
		                   error);
		n += texts[i].n;
	}
	done = done && train(session, texts, n_texts, error);
	if (done)
		(void)fprintf(stderr, "%s: %zu tokens, written to %s\n", tool_name, n, o.out);
	for (size_t i = 0; i < n_texts; i++)
		free(texts[i].all);
	return done;
}

static bool run(struct tool_error *error)
{
	struct session session;
	struct engine_options engine_options = {.products = o.products};
	if (!session_open(&session, o.model, o.device, &engine_options, error))
		return false;
	bool done = read_and_train(&session, error);
	session_close(&session);
	return done;
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = tool_name,
		.usage =
			"usage: clkv-train --model M.gguf --text T.txt --out FILE [--for "
			"codebook|rotation|qtc|lowrank|lorc|recalkv|clla|csr] "
			"[--recipe R]\n"
			"\n"
			"Trains the codebooks of a recipe with a2ats on a text and writes them to a file, for\n"
			"clkv-eval --codebook and clkv_cache_options.codebook. Take text unlike what will be "
			"asked\nabout: codebooks serve all sequences of the model. With --for rotation:\n"
			"the matrices of recipes with rot=file, for clkv-eval --rotation and\n"
			"clkv_cache_options.rotation. With --for qtc: the calibration of recipes with qtc, "
			"for\n"
			"clkv-eval --calibration and clkv_cache_options.calibration; take texts of several "
			"kinds.\n"
			"With --for lowrank: the factors of recipes with lowrank or cskv, for clkv-eval "
			"--factors\n"
			"and clkv_cache_options.factors; with --for recalkv those of recipes with recalkv, "
			"with "
			"--for\n"
			"lorc those of recipes with lorc, which need no text, and the recipe of their ranks is "
			"printed;\n"
			"with --for clla those of recipes with clla, or with share of lowrank;\n"
			"with --for csr the dictionaries of recipes with csr. All go the same way.\n"
			"\n",
		.options = options,
		.n_options = sizeof options / sizeof options[0],
		.check = check,
		.run = run,
	};
	return tool_main(&tool, argc, argv);
}
