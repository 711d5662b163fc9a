/* resolver/daemon/query.h - the raw request target taken apart: path and query members,
 * percent-decoded once and strictly; '+' stays '+', because base64 has it and a specifier has no
 * spaces. Pure. */
#ifndef MS_DAEMON_QUERY_H
#define MS_DAEMON_QUERY_H

#include "base/buf.h"

/* A specifier of 16,384 characters fits in every encoding that leaves letters and digits as they
 * are, and the whole of it with a head in a connection's memory (HTTP_MEMORY_BYTES). */
#define QUERY_TARGET_MAX 28000u

/* Up to the first '?'. */
struct ms_span query_path(struct ms_span target);

/* The member `name`, decoded into out.
 * MS_OK with *ret_found false when it is not there; MS_ERR_ARGUMENT when it stands twice;
 * MS_ERR_PCT. */
MS_MUST_USE enum ms_err query_member(struct ms_span target, const char *name, struct ms_buf *out,
                                     bool *ret_found, struct ms_diag *diag);

#endif
