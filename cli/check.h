/* cli/check.h - the file of `check --registers`. Pure. */
#ifndef MS_CLI_CHECK_H
#define MS_CLI_CHECK_H

#include "base/json.h"

/* What a peer showed, in a shape the daemon takes (rec_presented_parse): {"0":"hex"}, also inside
 * {"measurements":{..}} and with values {"expected":"hex"}; or the matched policy
 * {"type":..,"measurements":{..}}, unchanged. A new reference.
 * MS_ERR_JSON and the like, MS_ERR_MEMORY */
MS_MUST_USE enum ms_err check_presented(struct ms_span text, json_t **ret_presented,
                                        struct ms_diag *diag);

#endif
