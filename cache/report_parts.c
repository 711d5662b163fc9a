/* cache/report_parts.c - the one place where other parts of the cache join in what is reported. */
#include "cache/audit.h"
#include "cache/report.h"

report_operations_fn *const report_operations = NULL;

audit_log_fn *const audit_log = NULL;
