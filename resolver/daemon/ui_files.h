/* resolver/daemon/ui_files.h - the files of resolver/daemon/ui/ as they are built into the program;
 * cmake/ui.cmake writes the table. */
#ifndef MS_DAEMON_UI_FILES_H
#define MS_DAEMON_UI_FILES_H

#include <stddef.h>

struct ui_file {
    const char *path; /* below /ui/; "" is the page itself */
    const char *type;
    const char *etag; /* with its quotes: SHA-256 of the bytes */
    const unsigned char *bytes;
    size_t len;
};
extern const struct ui_file ui_files[];
extern const size_t ui_n_files;

#endif
