/* cli/check.h - the files of `check`, which `workload-id` takes too. */
#ifndef MS_CLI_CHECK_H
#define MS_CLI_CHECK_H

#include "cli/cli.h"
#include "resolver/records/boot_info.h"
#include "resolver/source/workload.h"

/* What a peer showed, in a shape the daemon takes (rec_presented_parse): {"0":"hex"}, also inside
 * {"measurements":{..}} and with values {"expected":"hex"}; or the matched policy
 * {"type":..,"measurements":{..}}, unchanged. A new reference.
 * MS_ERR_JSON and the like, MS_ERR_MEMORY */
MS_MUST_USE enum ms_err check_presented(struct ms_span text, json_t **ret_presented,
                                        struct ms_diag *diag);

/* Whether the daemon will take them, which judges them again. Of a type with TDX registers also
 * what goes into a workload id: *ret_input, and in words what of it is missing, appended to lacks;
 * nothing when it is whole. `presented` stays as it is. MS_ERR_REGISTER and others of
 * rec_presented_parse and workload_from_registers. */
MS_MUST_USE enum ms_err check_registers(const json_t *presented, enum rec_type type,
                                        struct workload_input *ret_input, struct ms_buf *lacks,
                                        struct ms_diag *diag);

/* What dstack's verifier says of a guest: details.boot_info, or its whole answer, which then has to
 * say is_valid. Judged as the daemon will judge it; a new reference.
 * MS_ERR_JSON and the like, MS_ERR_SIGNATURE not valid, those of boot_info_read */
MS_MUST_USE enum ms_err check_boot_info(struct ms_span text, json_t **ret_info,
                                        struct ms_diag *diag);

/* The file of an option, or stdin for "-", at most max bytes (ret_text's); the words name option
 * and file. MS_ERR_IO, MS_ERR_LIMIT, MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err check_read(const char *option, const char *path, struct ms_buf *ret_text,
                                   struct ms_diag *diag);

#endif
