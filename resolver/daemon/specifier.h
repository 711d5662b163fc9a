/* resolver/daemon/specifier.h - the text that a client gives, read by the configuration in force.
 */
#ifndef MS_DAEMON_SPECIFIER_H
#define MS_DAEMON_SPECIFIER_H

#include "resolver/daemon/answer.h"
#include "resolver/daemon/config.h"

/* A specifier, or the one in a URL, with an alias replaced by what it stands for. *ret_spec is the
 * caller's, heap (spec_done, free); *ret_id is where its entry is kept. Errors as spec_parse and
 * spec_parse_url; MS_ERR_ALIAS: no such alias. Any thread. */
MS_MUST_USE enum ms_err specifier_read(const struct config *config, struct ms_span text,
                                       bool is_url, struct spec **ret_spec,
                                       struct answer_id *ret_id, struct ms_diag *diag);

/* max-age= of a specifier in seconds, cut to 31 bits; 0: none. */
int64_t specifier_max_age_s(const struct spec *spec);

#endif
