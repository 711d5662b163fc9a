/* resolver/daemon/http_audit.h - the paths of auditors (docs/http-api.md). */
#ifndef MS_DAEMON_HTTP_AUDIT_H
#define MS_DAEMON_HTTP_AUDIT_H

#include "resolver/daemon/http_internal.h"

enum ms_err http_prepare_history(struct http_request *r, struct ms_diag *diag);
enum ms_err http_prepare_diff(struct http_request *r, struct ms_diag *diag);
enum ms_err http_prepare_at(struct http_request *r, struct ms_diag *diag);
enum ms_err http_prepare_evidence(struct http_request *r, struct ms_diag *diag);
enum ms_err http_prepare_past(struct http_request *r, struct ms_diag *diag);
enum ms_err http_prepare_entries(struct http_request *r, struct ms_diag *diag);
enum MHD_Result http_audit(struct http_request *r);

#endif
