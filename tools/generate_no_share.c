/* SPDX-License-Identifier: MIT */
/**
 * \file    generate_no_share.c
 * \brief   In place of generate_share.c where libclkv-share isn't built: no url is allowed, so nothing asks for more.
 */
#include "generate_share.h"

bool generate_share_allowed(const struct generate_share *share, struct tool_error *error)
{
	return share->url == NULL ||
	       tool_fail(error, "--share: this clkv was built without stores (libclkv-share); "
	                        "install libmd and configure it anew");
}

bool generate_share_get(const struct session *session, const struct generate_share *share,
                        struct engine_stream *stream, const int32_t *tokens, size_t n,
                        float *logits, struct generate_share_report *report,
                        struct tool_error *error)
{
	(void)session, (void)stream, (void)tokens, (void)n, (void)logits, (void)report;
	return generate_share_allowed(share, error);
}

void generate_share_put(const struct session *session, const struct generate_share *share,
                        struct engine_stream *stream, const int32_t *tokens, size_t n,
                        float *logits, struct generate_share_report *report)
{
	(void)session, (void)share, (void)stream, (void)tokens, (void)n, (void)logits, (void)report;
}
