/* resolver/daemon/http_ui.h - the page for auditors, under /ui/. Its files are the same for
 * everybody; what it shows it asks of the paths under /v1/. Thread-safe. */
#ifndef MS_DAEMON_HTTP_UI_H
#define MS_DAEMON_HTTP_UI_H

#include "resolver/daemon/http_internal.h"

/* Over TCP: the Host must be an address or localhost. A name that some other site points at
 * 127.0.0.1 would let that site's scripts read along (DNS rebinding). MS_ERR_ARGUMENT. */
MS_MUST_USE enum ms_err http_local_host(const struct http_request *r, struct ms_diag *diag);

enum ms_err http_prepare_ui(struct http_request *r, struct ms_diag *diag);
enum MHD_Result http_ui(struct http_request *r);

#endif
