/* resolver/daemon/http_ui.h - the page for auditors, under /ui/. Its files are the same for
 * everybody; what it shows it asks of the paths under /v1/. Thread-safe. */
#ifndef MS_DAEMON_HTTP_UI_H
#define MS_DAEMON_HTTP_UI_H

#include "resolver/daemon/http_internal.h"

enum MHD_Result http_ui(struct http_request *r);

#endif
