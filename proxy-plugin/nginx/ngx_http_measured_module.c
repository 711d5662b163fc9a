/*
 * proxy-plugin/nginx/ngx_http_measured_module.c - lets a request pass when
 * governance approves the code of the peer that an attested hop measured
 * (docs/nginx.md).
 *
 * Two phases.  preaccess: nobody but a trusted hop may say what was measured;
 * this holds for every request, also where nothing is required and where
 * `satisfy any` would not ask.  access: the question itself; nginx does not
 * ask it of subrequests, so these are asked in preaccess.
 */

#include "proxy-plugin/nginx/ngx_http_measured_module.h"
#include "proxy-plugin/nginx/measured_header.h"


#define NGX_HTTP_MEASURED_RETRY_AFTER  "1"
#define NGX_HTTP_MEASURED_SHOWN_MAX    64    /* of a specifier, in a reason */
#define NGX_HTTP_MEASURED_REASON_MAX   512


typedef struct {
    ngx_http_measured_require_t  *require;   /* NULL: off */
    ngx_array_t                  *hops;      /* of ngx_cidr_t; NULL: nobody */
    ngx_msec_t                    wait;
} ngx_http_measured_loc_conf_t;


/* What the last check of a request came to. */

typedef struct {
    ngx_str_t                     id;
    ngx_str_t                     release;
    ngx_str_t                     sequence;
    ngx_str_t                     state;
    ngx_str_t                     reason;    /* data NULL: none was made */
    ngx_http_measured_wait_t     *wait;
    ngx_http_measured_loc_conf_t *judged;    /* where the hop was judged, */
    unsigned                      trusted:1; /* and how */
    unsigned                      retry_after:1;
} ngx_http_measured_ctx_t;


/* The two headers among those of a request. */

typedef struct {
    ngx_table_elt_t              *type;
    ngx_table_elt_t              *measurement;
    unsigned                      any:1;
    unsigned                      twice:1;
    unsigned                      disguised:1; /* "X_Flashbots_Measurement" */
} ngx_http_measured_headers_t;


static ngx_int_t ngx_http_measured_preaccess_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_measured_access_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_measured_check(ngx_http_request_t *r);
static ngx_int_t ngx_http_measured_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static ngx_int_t ngx_http_measured_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_measured_init(ngx_conf_t *cf);
static void *ngx_http_measured_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_measured_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_measured_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_measured_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_measured_feed(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_measured_require(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_measured_trusted_hop(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_conf_num_bounds_t  ngx_http_measured_max_sets_bounds = {
    ngx_conf_check_num_bounds, 1, 32768
};


static ngx_command_t  ngx_http_measured_commands[] = {

    { ngx_string("measured_feed"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_measured_feed,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("measured_max_sets"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_measured_main_conf_t, max_sets),
      &ngx_http_measured_max_sets_bounds },

    { ngx_string("measured_require"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_measured_require,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("measured_trusted_hop"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_measured_trusted_hop,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("measured_wait"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_measured_loc_conf_t, wait),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_measured_module_ctx = {
    ngx_http_measured_add_variables,       /* preconfiguration */
    ngx_http_measured_init,                /* postconfiguration */

    ngx_http_measured_create_main_conf,    /* create main configuration */
    ngx_http_measured_init_main_conf,      /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_measured_create_loc_conf,     /* create location configuration */
    ngx_http_measured_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_measured_module = {
    NGX_MODULE_V1,
    &ngx_http_measured_module_ctx,         /* module context */
    ngx_http_measured_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_measured_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_measured_exit_process,        /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/*
 * Not cacheable: a value from before the check, or from the location that a
 * request was redirected from, is none from after it.
 */

static ngx_http_variable_t  ngx_http_measured_vars[] = {

    { ngx_string("measured_id"), NULL, ngx_http_measured_variable,
      offsetof(ngx_http_measured_ctx_t, id), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("measured_release"), NULL, ngx_http_measured_variable,
      offsetof(ngx_http_measured_ctx_t, release), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("measured_sequence"), NULL, ngx_http_measured_variable,
      offsetof(ngx_http_measured_ctx_t, sequence), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("measured_state"), NULL, ngx_http_measured_variable,
      offsetof(ngx_http_measured_ctx_t, state), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("measured_reason"), NULL, ngx_http_measured_variable,
      offsetof(ngx_http_measured_ctx_t, reason), NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* ---- what is remembered of a request ---- */

/* Marks the context in the request's pool: a redirect forgets r->ctx. */

static void
ngx_http_measured_ctx_cleanup(void *data)
{
    (void) data;
}


static ngx_http_measured_ctx_t *
ngx_http_measured_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_measured_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_measured_module);

    if (ctx != NULL || r != r->main || !(r->internal || r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_measured_ctx_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_http_measured_module);
            return ctx;
        }
    }

    return NULL;
}


static ngx_http_measured_ctx_t *
ngx_http_measured_make_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_measured_ctx_t  *ctx;

    ctx = ngx_http_measured_get_ctx(r);
    if (ctx != NULL) {
        return ctx;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_measured_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    /* the pool is the main request's, and so is the mark */

    if (r == r->main) {
        cln = ngx_pool_cleanup_add(r->pool, 0);
        if (cln == NULL) {
            return NULL;
        }

        cln->handler = ngx_http_measured_ctx_cleanup;
        cln->data = ctx;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_measured_module);
    return ctx;
}


/* Before a check: nothing of an earlier one stays. */

static void
ngx_http_measured_forget(ngx_http_measured_ctx_t *ctx)
{
    ngx_str_null(&ctx->id);
    ngx_str_null(&ctx->release);
    ngx_str_null(&ctx->sequence);
    ngx_str_null(&ctx->state);
    ngx_str_null(&ctx->reason);
}


static ngx_int_t
ngx_http_measured_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t                *value;
    ngx_http_measured_ctx_t  *ctx;

    ctx = ngx_http_measured_get_ctx(r);

    if (ctx == NULL && r != r->main) {
        ctx = ngx_http_measured_get_ctx(r->main);
    }

    value = ctx == NULL ? NULL : (ngx_str_t *) ((char *) ctx + data);

    if (value == NULL || value->data == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = value->len;
    v->data = value->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* ---- the headers ---- */

/*
 * Applications behind CGI, WSGI and the like cannot tell "X_A" from "X-A", so
 * every byte that is no letter or digit counts as the hyphen.
 */

static ngx_uint_t
ngx_http_measured_is_header(ngx_str_t *key, const char *lower, size_t len,
    ngx_uint_t *disguised)
{
    size_t      i;
    u_char      c;
    ngx_uint_t  other;

    if (key->len != len) {
        return 0;
    }

    for (i = 0, other = 0; i < len; i++) {
        c = ngx_tolower(key->data[i]);

        if (c == (u_char) lower[i]) {
            continue;
        }

        if (lower[i] != '-' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        {
            return 0;
        }

        other = 1;
    }

    *disguised = other;
    return 1;
}


static void
ngx_http_measured_find_headers(ngx_http_request_t *r,
    ngx_http_measured_headers_t *h)
{
    ngx_uint_t         i, disguised;
    ngx_list_part_t   *part;
    ngx_table_elt_t   *header, **found;
    static const char  type[] = "x-flashbots-attestation-type";
    static const char  measurement[] = "x-flashbots-measurement";

    ngx_memzero(h, sizeof(ngx_http_measured_headers_t));

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_measured_is_header(&header[i].key, type,
                                            sizeof(type) - 1, &disguised))
            {
                found = &h->type;

            } else if (ngx_http_measured_is_header(&header[i].key, measurement,
                                                   sizeof(measurement) - 1,
                                                   &disguised))
            {
                found = &h->measurement;

            } else {
                continue;
            }

            h->any = 1;

            if (disguised) {
                h->disguised = 1;

            } else if (*found != NULL) {
                h->twice = 1;

            } else {
                *found = &header[i];
            }
        }
    }
}


/*
 * By whom the connection was made.  The socket is asked, not nginx: what nginx
 * calls the client's address may come out of a header (realip).
 */

static ngx_uint_t
ngx_http_measured_is_trusted(ngx_http_request_t *r,
    ngx_http_measured_loc_conf_t *mlcf, ngx_http_measured_ctx_t *ctx)
{
    socklen_t       len;
    ngx_sockaddr_t  sa;

    if (mlcf->hops == NULL) {
        return 0;
    }

    if (ctx->judged != mlcf) {
        ngx_memzero(&sa, sizeof(ngx_sockaddr_t));
        len = sizeof(ngx_sockaddr_t);

        ctx->trusted = getpeername(r->connection->fd, &sa.sockaddr, &len) == 0
                       && ngx_cidr_match(&sa.sockaddr, mlcf->hops) == NGX_OK;
        ctx->judged = mlcf;
    }

    return ctx->trusted;
}


/* ---- outcomes ---- */

static ngx_int_t
ngx_http_measured_refuse(ngx_http_request_t *r, ngx_http_measured_ctx_t *ctx,
    const char *reason)
{
    ctx->reason.data = (u_char *) reason;
    ctx->reason.len = ngx_strlen(reason);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "measured: refused: %s", reason);

    return NGX_HTTP_FORBIDDEN;
}


static ngx_int_t
ngx_http_measured_add_retry_after(ngx_http_request_t *r,
    ngx_http_measured_ctx_t *ctx)
{
    ngx_table_elt_t  *h;

    if (ctx->retry_after || r != r->main) {
        return NGX_OK;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "Retry-After");
    ngx_str_set(&h->value, NGX_HTTP_MEASURED_RETRY_AFTER);
    ctx->retry_after = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_measured_unknown(ngx_http_request_t *r, ngx_http_measured_ctx_t *ctx,
    const char *reason)
{
    ngx_http_core_loc_conf_t  *clcf;

    ctx->reason.data = (u_char *) reason;
    ctx->reason.len = ngx_strlen(reason);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "measured: unknown: %s", reason);

    /* what nginx takes for "ask the others": 503 would end it here */

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    if (clcf->satisfy == NGX_HTTP_SATISFY_ANY) {
        return NGX_HTTP_FORBIDDEN;
    }

    if (ngx_http_measured_add_retry_after(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_HTTP_SERVICE_UNAVAILABLE;
}


/* A reason with text from elsewhere, of which only what can be shown is. */

static const char *
ngx_http_measured_words(ngx_http_request_t *r, const char *words,
    ngx_str_t *text, const char *more)
{
    size_t   i, shown;
    u_char  *p, *reason;

    reason = ngx_pnalloc(r->pool, NGX_HTTP_MEASURED_REASON_MAX);
    if (reason == NULL) {
        return words;
    }

    shown = ngx_min(text->len, NGX_HTTP_MEASURED_SHOWN_MAX);
    p = ngx_snprintf(reason, NGX_HTTP_MEASURED_REASON_MAX - 1, "%s: %*s%s%s%s",
                     words, shown, text->data, shown < text->len ? "..." : "",
                     more[0] == '\0' ? "" : ": ", more);

    for (i = 0; &reason[i] < p; i++) {
        if (reason[i] < 0x20 || reason[i] > 0x7e) {
            reason[i] = '?';
        }
    }

    *p = '\0';
    return (const char *) reason;
}


/*
 * As the daemon's X-Measured-*: visible ASCII but '%' as it is, every other
 * byte %XX; "-" for nothing.
 */

static ngx_int_t
ngx_http_measured_name(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    u_char            *p;
    const u_char      *c;
    static const char  hex[] = "0123456789ABCDEF";

    p = ngx_pnalloc(r->pool, 3 * ngx_strlen(name) + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;

    for (c = (const u_char *) name; *c != '\0'; c++) {
        if (*c > 0x20 && *c < 0x7f && *c != '%') {
            *p++ = *c;
            continue;
        }

        *p++ = '%';
        *p++ = (u_char) hex[*c >> 4];
        *p++ = (u_char) hex[*c & 15];
    }

    if (p == value->data) {
        *p++ = '-';
    }

    value->len = (size_t) (p - value->data);

    return NGX_OK;
}


static ngx_int_t
ngx_http_measured_approve(ngx_http_request_t *r, ngx_http_measured_ctx_t *ctx,
    struct measured_match *match)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);

    if (p == NULL
        || ngx_http_measured_name(r, match->measurement_id, &ctx->id) != NGX_OK
        || ngx_http_measured_name(r, match->release_version, &ctx->release)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->sequence.data = p;
    ctx->sequence.len = (size_t) (ngx_sprintf(p, "%uL", match->sequence) - p);
    ngx_str_set(&ctx->reason, "approved");

    return NGX_OK;
}


/* ---- the check ---- */

/* What the hop says of its peer; *why tells why it counts for nothing. */

static ngx_int_t
ngx_http_measured_evidence(ngx_http_request_t *r,
    ngx_http_measured_loc_conf_t *mlcf, ngx_http_measured_ctx_t *ctx,
    enum measured_header_type *type, struct measured_presented *presented,
    const char **why)
{
    ngx_str_t                    *value;
    ngx_http_measured_headers_t   h;

    ngx_http_measured_find_headers(r, &h);

    if (!h.any) {
        *why = "nothing was measured: the request does not come from an "
               "attested hop";
        return NGX_DECLINED;
    }

    /* preaccess has asked the same, but another module can leave it out */

    if (h.disguised || !ngx_http_measured_is_trusted(r, mlcf, ctx)) {
        *why = "X-Flashbots-* headers from a peer that is no "
               "measured_trusted_hop";
        return NGX_DECLINED;
    }

    if (h.twice) {
        *why = "an X-Flashbots-* header stands twice";
        return NGX_DECLINED;
    }

    if (h.type == NULL || h.measurement == NULL) {
        *why = h.type == NULL ? "X-Flashbots-Attestation-Type is missing"
                              : "X-Flashbots-Measurement is missing";
        return NGX_DECLINED;
    }

    value = &h.type->value;
    *type = measured_header_type((const char *) value->data, value->len);
    if (*type == MEASURED_HEADER_UNKNOWN) {
        *why = ngx_http_measured_words(r, "X-Flashbots-Attestation-Type is of "
                                       "no known type", value, "");
        return NGX_DECLINED;
    }

    value = &h.measurement->value;
    *why = measured_header_read(*type, (const char *) value->data, value->len,
                                presented);
    if (*why != NULL) {
        value = &h.type->value;
        *why = ngx_http_measured_words(r, "X-Flashbots-Measurement cannot be "
                                       "read as of type", value, *why);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* The set by which the request is judged.  NULL and *rc: there is none. */

static ngx_http_measured_entry_t *
ngx_http_measured_set(ngx_http_request_t *r, ngx_http_measured_loc_conf_t *mlcf,
    ngx_http_measured_ctx_t *ctx, ngx_str_t *text, ngx_int_t *rc)
{
    const char                     *why;
    ngx_http_measured_entry_t      *entry;
    ngx_http_measured_require_t    *require;
    ngx_http_measured_main_conf_t  *mcf;

    require = mlcf->require;

    if (require->value == NULL) {
        *text = require->text;

        if (require->entry != NULL) {
            return require->entry;
        }

    } else if (ngx_http_complex_value(r, require->value, text) != NGX_OK) {
        *rc = NGX_ERROR;
        return NULL;
    }

    if (text->len == 0) {
        *rc = ngx_http_measured_refuse(r, ctx, "measured_require is empty for "
                                       "this request: nobody can approve it");
        return NULL;
    }

    if (text->len > NGX_HTTP_MEASURED_TEXT_MAX
        || ngx_strlchr(text->data, text->data + text->len, '\0') != NULL)
    {
        *rc = ngx_http_measured_refuse(r, ctx, "measured_require is no "
                                       "specifier for this request");
        return NULL;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_measured_module);
    entry = ngx_http_measured_follow(mcf, text, require->value == NULL, &why);

    if (entry == NULL) {
        *rc = ngx_http_measured_unknown(r, ctx, why);
        return NULL;
    }

    if (require->value == NULL) {
        require->entry = entry;
    }

    return entry;
}


static ngx_int_t
ngx_http_measured_judge(ngx_http_request_t *r,
    ngx_http_measured_loc_conf_t *mlcf, ngx_http_measured_ctx_t *ctx,
    ngx_http_measured_entry_t *entry, ngx_str_t *text,
    enum measured_header_type type, struct measured_presented *presented)
{
    ngx_int_t                    rc;
    const char                  *state;
    enum measured_verdict        verdict;
    struct measured_match        match;
    struct measured_description  d;

    verdict = measured_check(entry->set, measured_header_type_name(type),
                             presented->regs, presented->n, &match);
    measured_describe(entry->set, &d);
    state = measured_state_name(d.state);
    ctx->state.data = (u_char *) state;
    ctx->state.len = ngx_strlen(state);

    switch (verdict) {

    case MEASURED_APPROVED:
        return ngx_http_measured_approve(r, ctx, &match);

    case MEASURED_REFUSED:
        return ngx_http_measured_refuse(r, ctx,
                   ngx_http_measured_words(r, "not approved by", text, ""));

    case MEASURED_UNKNOWN:
        break;
    }

    if (d.state == MEASURED_STATE_WAITING) {
        rc = ngx_http_measured_wait(r, entry, mlcf->wait, &ctx->wait);
        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (d.state == MEASURED_STATE_FAILED) {
        state = measured_error(entry->set);
    }

    return ngx_http_measured_unknown(r, ctx,
               ngx_http_measured_words(r, "nothing can be said by", text, state));
}


static ngx_int_t
ngx_http_measured_check(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_str_t                      text;
    const char                    *why;
    struct measured_presented      presented;
    enum measured_header_type      type;
    ngx_http_measured_ctx_t       *ctx;
    ngx_http_measured_entry_t     *entry;
    ngx_http_measured_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_measured_module);

    if (mlcf->require == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_measured_make_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_measured_forget(ctx);

    rc = ngx_http_measured_evidence(r, mlcf, ctx, &type, &presented, &why);
    if (rc != NGX_OK) {
        return ngx_http_measured_refuse(r, ctx, why);
    }

    entry = ngx_http_measured_set(r, mlcf, ctx, &text, &rc);
    if (entry == NULL) {
        return rc;
    }

    return ngx_http_measured_judge(r, mlcf, ctx, entry, &text, type,
                                   &presented);
}


/* ---- phases ---- */

static ngx_int_t
ngx_http_measured_access_handler(ngx_http_request_t *r)
{
    return ngx_http_measured_check(r);
}


static ngx_int_t
ngx_http_measured_preaccess_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_measured_ctx_t       *ctx;
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_measured_headers_t    h;
    ngx_http_measured_loc_conf_t  *mlcf;

    ngx_http_measured_find_headers(r, &h);

    if (h.any) {
        ctx = ngx_http_measured_make_ctx(r);
        if (ctx == NULL) {
            return NGX_ERROR;
        }

        mlcf = ngx_http_get_module_loc_conf(r, ngx_http_measured_module);

        if (h.disguised || !ngx_http_measured_is_trusted(r, mlcf, ctx)) {
            ngx_http_measured_forget(ctx);
            return ngx_http_measured_refuse(r, ctx, "X-Flashbots-* headers "
                                            "from a peer that is no "
                                            "measured_trusted_hop");
        }
    }

    if (r == r->main) {
        return NGX_DECLINED;
    }

    /* others that could let it in cannot be asked here */

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    if (clcf->satisfy == NGX_HTTP_SATISFY_ANY) {
        return NGX_DECLINED;
    }

    rc = ngx_http_measured_check(r);

    /* NGX_OK would leave out the other handlers of this phase */

    return rc == NGX_OK ? NGX_DECLINED : rc;
}


/* ---- configuration ---- */

static ngx_int_t
ngx_http_measured_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *v, *var;

    for (v = ngx_http_measured_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_measured_add_handler(ngx_conf_t *cf, ngx_http_phases phase,
    ngx_http_handler_pt handler)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[phase].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = handler;
    return NGX_OK;
}


static ngx_int_t
ngx_http_measured_init(ngx_conf_t *cf)
{
    ngx_http_measured_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_measured_module);

    if (!mcf->used) {
        return NGX_OK;
    }

    if (ngx_http_measured_add_handler(cf, NGX_HTTP_PREACCESS_PHASE,
                                      ngx_http_measured_preaccess_handler)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_measured_add_handler(cf, NGX_HTTP_ACCESS_PHASE,
                                         ngx_http_measured_access_handler);
}


static void *
ngx_http_measured_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_measured_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_measured_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    mcf->max_sets = NGX_CONF_UNSET_UINT;

    if (ngx_array_init(&mcf->named, cf->pool, 4,
                       sizeof(ngx_http_measured_require_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return mcf;
}


/*
 * Where measured_open would look by itself; but the workers have another user
 * and no environment, so it is this process that must be asked.
 */

static char *
ngx_http_measured_init_main_conf(ngx_conf_t *cf, void *conf)
{
    const char                     *dir;
    ngx_http_measured_main_conf_t  *mcf = conf;

    ngx_conf_init_uint_value(mcf->max_sets, 1024);

    if (mcf->dir.data != NULL) {
        return NGX_CONF_OK;
    }

    dir = getenv("MEASURED_SOCKET_DIR");

    if (dir == NULL || dir[0] == '\0') {
        if (geteuid() != 0) {
            return NGX_CONF_OK;
        }

        dir = "/run/measured";
    }

    mcf->dir.len = ngx_strlen(dir);
    mcf->dir.data = ngx_pnalloc(cf->pool, mcf->dir.len + 1);
    if (mcf->dir.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(mcf->dir.data, dir, mcf->dir.len + 1);

    return NGX_CONF_OK;
}


static void *
ngx_http_measured_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_measured_loc_conf_t  *mlcf;

    mlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_measured_loc_conf_t));
    if (mlcf == NULL) {
        return NULL;
    }

    mlcf->require = NGX_CONF_UNSET_PTR;
    mlcf->hops = NGX_CONF_UNSET_PTR;
    mlcf->wait = NGX_CONF_UNSET_MSEC;

    return mlcf;
}


static char *
ngx_http_measured_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_measured_loc_conf_t   *prev = parent;
    ngx_http_measured_loc_conf_t   *conf = child;
    ngx_http_measured_main_conf_t  *mcf;

    ngx_conf_merge_ptr_value(conf->require, prev->require, NULL);
    ngx_conf_merge_ptr_value(conf->hops, prev->hops, NULL);
    ngx_conf_merge_msec_value(conf->wait, prev->wait, 1000);

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_measured_module);

    if (conf->require != NULL && conf->hops == NULL && !mcf->warned) {
        mcf->warned = 1;
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"measured_require\" without "
                           "\"measured_trusted_hop\" refuses every request");
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_measured_feed(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                      *value;
    struct sockaddr_un              sa;
    ngx_http_measured_main_conf_t  *mcf = conf;

    (void) cmd;

    if (mcf->dir.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->dir = value[1];

    if (mcf->dir.len == 0) {
        return "needs the folder of the daemon's sockets";
    }

    if (ngx_conf_full_name(cf->cycle, &mcf->dir, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (mcf->dir.len + sizeof("/feed.sock") > sizeof(sa.sun_path)) {
        return "is longer than the name of a socket may be";
    }

    return NGX_CONF_OK;
}


static ngx_http_measured_require_t *
ngx_http_measured_new_require(ngx_conf_t *cf, ngx_str_t *text)
{
    ngx_http_measured_require_t       *require, **named;
    ngx_http_measured_main_conf_t     *mcf;
    ngx_http_compile_complex_value_t   ccv;

    require = ngx_pcalloc(cf->pool, sizeof(ngx_http_measured_require_t));
    if (require == NULL) {
        return NULL;
    }

    require->text = *text;

    if (ngx_http_script_variables_count(text) == 0) {
        mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_measured_module);

        named = ngx_array_push(&mcf->named);
        if (named == NULL) {
            return NULL;
        }

        *named = require;
        return require;
    }

    require->value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (require->value == NULL) {
        return NULL;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));
    ccv.cf = cf;
    ccv.value = text;
    ccv.complex_value = require->value;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? require : NULL;
}


static char *
ngx_http_measured_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                      *value;
    ngx_http_measured_loc_conf_t   *mlcf = conf;
    ngx_http_measured_main_conf_t  *mcf;

    (void) cmd;

    if (mlcf->require != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        mlcf->require = NULL;
        return NGX_CONF_OK;
    }

    if (value[1].len == 0 || value[1].len > NGX_HTTP_MEASURED_TEXT_MAX) {
        return "needs a specifier, a URL that has one, or a variable";
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_measured_module);
    mcf->used = 1;

    mlcf->require = ngx_http_measured_new_require(cf, &value[1]);

    return mlcf->require == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
}


static char *
ngx_http_measured_add_hop(ngx_conf_t *cf, ngx_array_t *hops, ngx_str_t *text)
{
    ngx_int_t    rc;
    ngx_cidr_t  *cidr;

    cidr = ngx_array_push(hops);
    if (cidr == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(cidr, sizeof(ngx_cidr_t));

    if (ngx_strcmp(text->data, "unix:") == 0) {
        cidr->family = AF_UNIX;
        return NGX_CONF_OK;
    }

    rc = ngx_ptocidr(text, cidr);

    if (rc == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no address, no CIDR block and not "
                           "\"unix:\" or \"off\"", text);
        return NGX_CONF_ERROR;
    }

    if (rc == NGX_DONE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "low address bits of \"%V\" are not zero", text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_measured_trusted_hop(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                           *rv;
    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_measured_loc_conf_t   *mlcf = conf;
    ngx_http_measured_main_conf_t  *mcf;

    (void) cmd;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_measured_module);
    mcf->used = 1;

    if (mlcf->hops == NULL) {
        return "is \"off\" here already";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        if (mlcf->hops != NGX_CONF_UNSET_PTR) {
            return "cannot be \"off\" beside others";
        }

        mlcf->hops = NULL;
        return NGX_CONF_OK;
    }

    if (mlcf->hops == NGX_CONF_UNSET_PTR) {
        mlcf->hops = ngx_array_create(cf->pool, 4, sizeof(ngx_cidr_t));
        if (mlcf->hops == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_measured_add_hop(cf, mlcf->hops, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}
