/* tests/support/tools/rigfile.h - what the tools that make call data share. They end the program
 * with status 2 and a sentence instead of returning an error. */
#ifndef RIGFILE_H
#define RIGFILE_H

#include "base/buf.h"

#define RIG_FILE_MAX_BYTES ((size_t)4 << 20)

/* "NAME: what: text", where NAME is the program's. */
_Noreturn void rig_die(const char *what, const char *text);
/* The whole file, appended. */
void rig_read_file(const char *path, struct ms_buf *out);
/* Code of a compiler's JSON, appended. member is "bytecode" or "deployedBytecode", a string or an
 * object with the string "object". */
void rig_add_code(struct ms_buf *out, const char *path, const char *member);
/* The bytes as hex on stdout; the status to exit with. */
int rig_print_hex(const struct ms_buf *bytes);

#endif
