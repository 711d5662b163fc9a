/* cli/key_file.h - a secret key from a file, for tests and CI. People sign with a wallet. */
#ifndef MS_CLI_KEY_FILE_H
#define MS_CLI_KEY_FILE_H

#include "base/err.h"

#include <stdint.h>

#define KEY_BYTES 32

/* 64 hex digits, "0x" before them or not, a newline behind them or not; "-" is standard input. A
 * file must be a regular one, ours or root's, and of mode 0600 or less: a key that others can read
 * is everybody's. The caller wipes the key.
 * MS_ERR_IO could not be read; MS_ERR_ARGUMENT it is another kind of file, somebody else's, or open
 * to others; MS_ERR_HEX, MS_ERR_LENGTH what is in it. Nothing of the key is ever in diag. */
MS_MUST_USE enum ms_err key_file_read(const char *path, uint8_t ret_key[KEY_BYTES],
                                      struct ms_diag *diag);

#endif
