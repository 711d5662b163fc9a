/* resolver/daemon/build.h - which program this is, for the rows it writes: its version and the
 * SHA-256 of its file, so that an auditor can tell which build reached a verdict
 * (`sha256sum measured`). */
#ifndef MS_DAEMON_BUILD_H
#define MS_DAEMON_BUILD_H

/* "0.1.0 sha256:HEX"; without the hash when the file cannot be read. Read once, in the first call;
 * static storage; any thread. */
const char *build_id(void);

#endif
