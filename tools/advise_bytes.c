/* SPDX-License-Identifier: MIT */
/** \file advise_bytes.c \brief From what a prompt takes to what longer ones will. */
#include "advise.h"

static bool used_at(const struct session *session, const char *recipe,
                    const struct given_files *given, size_t n, clkv_bytes_used *used,
                    struct tool_error *error)
{
	const clkv_geometry geometry = engine_geometry(session->model);
	const size_t rows = engine_max_rows(session->engine);
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	clkv_error cause = {0};
	options.max_tokens = options.max_seq_tokens = n;
	options.max_sequences = 1;
	options.max_step_tokens = rows < n ? rows : n;
	given_files_offer(given, recipe, model_fingerprint(session->model), &options);
	*used = (clkv_bytes_used)CLKV_INIT(clkv_bytes_used);
	return clkv_bytes_at(session->context, &geometry, recipe, &options, n, 1, 1, used, &cause) ==
	           CLKV_OK ||
	       tool_fail_clkv(error, recipe, &cause);
}

/* Bytes of a sequence without its sealed blocks. */
static double beside_sealed(const clkv_bytes_used *used)
{
	return (double)used->sequence - (double)used->sealed;
}

bool advise_bytes_at(const struct session *session, const char *recipe,
                     const struct given_files *given, const struct engine_stream *stream,
                     size_t n_tokens, double *bytes, struct tool_error *error)
{
	clkv_bytes_used there, here;
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	clkv_stats stats = CLKV_INIT(clkv_stats);
	if (!used_at(session, recipe, given, n_tokens, &there, error) ||
	    !used_at(session, recipe, given, stream->length, &here, error))
		return false;
	if (clkv_seq_get_info(stream->seq, &info, NULL) != CLKV_OK ||
	    clkv_cache_stats(stream->cache, &stats, NULL) != CLKV_OK)
		return tool_fail(error, "the cache can't say what its sequence takes");
	*bytes = (double)there.sequence;
	if (there.exact)
		return true;
	if (info.sealed == 0)
		return tool_fail(error, "'%s' seals nothing of %zu tokens: take a longer --context", recipe,
		                 stream->length);
	const double sealed = (double)info.bytes - beside_sealed(&here);
	*bytes = beside_sealed(&there) + (double)stats.used_code_tables +
	         sealed / (double)info.sealed * (double)there.sealed_tokens;
	return true;
}
