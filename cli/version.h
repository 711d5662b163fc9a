/* cli/version.h - version numbers of releases as people write them. Pure. */
#ifndef MS_CLI_VERSION_H
#define MS_CLI_VERSION_H

#include "base/span.h"

/* "2.3.1" is 2 * 2^48 + 3 * 2^32 + 1, which keeps their order (docs/signed-sets.md); or the number
 * itself. false for anything else. */
bool version_parse(struct ms_span text, uint64_t *ret_version);

#define VERSION_NOTE 32 /* bytes with NUL */
/* "2.3.1" for numbers made of three; "" for others. */
void version_note(uint64_t version, char out[VERSION_NOTE]);

#define VERSION_TEXT 48 /* bytes with NUL */
/* "562962838323201 (2.3.1)"; the number alone below 2^32. */
void version_text(uint64_t version, char out[VERSION_TEXT]);

#endif
