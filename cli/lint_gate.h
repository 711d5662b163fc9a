/* cli/lint_gate.h - no document is published with a mistake that makes it unusable, unless somebody
 * says which mistake he means. */
#ifndef MS_CLI_LINT_GATE_H
#define MS_CLI_LINT_GATE_H

#include "cli/cli.h"

/* Lint a measurement document (docs/measurements.md); every finding goes to standard error, with
 * `name`, the file's, before it.
 *   force  value of --force: rules between commas, "L006" or "L001,L006"; NULL for none
 * CLI_YES; CLI_NO when a finding of error grade has a rule that `force` does not name; CLI_USAGE
 * when `force` names something that is no rule. */
int lint_gate(const struct cli *cli, const char *name, struct ms_span document, const char *force);

/* "info", "warning", "error" */
const char *lint_grade_name(enum rec_grade grade);

#endif
