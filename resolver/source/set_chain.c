/* resolver/source/set_chain.c - folders, roots and signers of sets. */
#include "resolver/source/set_chain.h"

#include "base/json.h"

#define WELL_KNOWN "/.well-known/measured/"
#define URL_MAX_BYTES 8192u
#define HOST_URL_MAX_BYTES 1024u

/* ---- where ---- */

struct ms_span set_folder_of_at(const struct spec *spec)
{
    struct ms_span url = ms_span_str(spec->at.url == NULL ? "" : spec->at.url);
    size_t len = url.len;

    while (len > 0 && url.ptr[len - 1] != '/')
        len--;
    return ms_span_of(url.ptr, len);
}

struct ms_span set_folder_of_host(const char *host, struct ms_arena *arena)
{
    struct ms_buf folder = MS_BUF_INIT(HOST_URL_MAX_BYTES);

    (void)ms_buf_addf(&folder, "https://%s" WELL_KNOWN, host);
    const char *copy =
        ms_buf_err(&folder) == MS_OK ? ms_arena_strdup(arena, ms_buf_span(&folder)) : NULL;
    size_t len = folder.len;
    ms_buf_done(&folder);
    return ms_span_of(copy, copy == NULL ? 0 : len);
}

enum ms_err set_locate(struct ms_span folder, const char *name, struct ms_arena *arena,
                       const struct spec_location **ret_location, struct ms_diag *diag)
{
    struct ms_buf url = MS_BUF_INIT(URL_MAX_BYTES);
    struct spec_location *out = ms_arena_alloc(arena, 1, sizeof(*out));

    (void)ms_buf_add(&url, folder);
    (void)ms_buf_add_str(&url, name);
    enum ms_err err = out == NULL ? MS_ERR_MEMORY : ms_buf_err(&url);
    if (err == MS_OK)
        err = spec_location_parse(ms_buf_span(&url), arena, out, diag);
    ms_buf_done(&url);
    if (err == MS_OK)
        *ret_location = out;
    return err;
}

/* ---- who ---- */

struct ms_span set_app(const struct spec *spec)
{
    const char *app = spec_option_value(spec, "app");
    return ms_span_str(app == NULL ? "" : app);
}

struct msig_root set_own_list(const struct spec *spec)
{
    const struct spec_signers *in = &spec->signers;
    struct msig_root root = {.app = set_app(spec)};

    root.signers.threshold = in->m;
    root.signers.n = in->n;
    memcpy(root.signers.addrs, in->addr, in->n * sizeof(in->addr[0]));
    return root;
}

static enum ms_err read_root(const json_t *tree, const struct msig_root *before,
                             struct ms_arena *arena, struct msig_root *ret_root,
                             struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(MSIG_ROOT_MAX_BYTES);
    struct msig_root_doc doc;

    enum ms_err err = ms_json_dump(tree, &text);
    if (err == MS_OK)
        err = msig_root_parse(ms_buf_span(&text), arena, &doc, diag);
    if (err == MS_OK)
        err = msig_root_follows(&doc, before, diag);
    if (err == MS_OK)
        *ret_root = doc.root;
    ms_buf_done(&text);
    return err;
}

enum ms_err set_roots_read(const struct spec *spec, const json_t *carry, struct ms_arena *arena,
                           struct set_roots *ret_roots, struct ms_diag *diag)
{
    const json_t *docs = json_object_get(carry, "roots");
    size_t n = json_array_size(docs);
    struct msig_root *roots = ms_arena_alloc(arena, n + 1, sizeof(*roots));
    enum ms_err err = roots == NULL ? MS_ERR_MEMORY : MS_OK;

    if (err == MS_OK)
        roots[0] = set_own_list(spec);
    for (size_t i = 0; err == MS_OK && i < n; i++)
        err = read_root(json_array_get(docs, i), &roots[i], arena, &roots[i + 1], diag);
    if (err == MS_OK)
        *ret_roots = (struct set_roots){.n = n + 1, .roots = roots};
    return err;
}

static struct set_signers judge_by(const struct msig_root *root, const struct msig_set_doc *doc)
{
    struct set_signers out = {.epoch = root->epoch};

    out.bad = msig_tally(&doc->digest, &doc->signatures, &root->signers, &out.tally, NULL) != MS_OK;
    out.met = !out.bad && msig_met(&out.tally, &root->signers) == MSIG_MET;
    return out;
}

struct set_signers set_signers_judge(const struct set_roots *roots, const struct msig_set_doc *doc)
{
    size_t i = roots->n - 1;
    struct set_signers best = judge_by(&roots->roots[i], doc);

    while (!best.met && i-- > 0) {
        struct set_signers one = judge_by(&roots->roots[i], doc);
        if (one.met || one.tally.n_counted > best.tally.n_counted)
            best = one;
    }
    return best;
}
