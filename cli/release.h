/* cli/release.h - what the verbs of `measuredctl release` share: signed documents (docs/signed-sets
 * .md) and the files they are in. Single-threaded. */
#ifndef MS_CLI_RELEASE_H
#define MS_CLI_RELEASE_H

#include "cli/cli.h"
#include "sig/release_set.h"

enum release_kind {
    RELEASE_SET = 0,
    RELEASE_ROOT,
    RELEASE_FRESHNESS,
    RELEASE_REVOCATIONS,
};

struct release_doc { /* one file */
    const char *path;
    enum release_kind kind;
    json_t *tree;          /* all of it, owned */
    struct ms_arena arena; /* of what follows; the one that `kind` names is set */
    struct msig_set_doc set;
    struct msig_root_doc root;
    struct msig_freshness_doc freshness;
    struct msig_revocation_doc *revocations;
    size_t n_revocations;
};

void release_doc_init(struct release_doc *doc);
void release_doc_done(struct release_doc *doc);

/* Read and parse a file or stdin ("-"), whatever document it is. doc is initialised and holds
 * nothing. CLI_YES; or the exit code, after the words. */
int release_read(const struct cli *cli, const char *path, struct release_doc *doc);
/* The same, and it must be of this kind. `option` names where the path came from: "--previous". */
int release_read_kind(const struct cli *cli, const char *option, const char *path,
                      enum release_kind kind, struct release_doc *doc);
/* "release set", "root", ... */
const char *release_kind_name(enum release_kind kind);

/* One message of a document: what is signed, and the signatures. */
struct release_subject {
    const struct release_doc *doc;
    size_t entry; /* of the revocations */
    enum msig_type type;
    struct ms_span app;
    struct eth_hash struct_hash, digest;
    const struct msig_signatures *signatures;
    json_t *holder; /* borrowed from the tree: the object whose member is "signatures" */
};
/* `entry`: value of --entry, from 1, or NULL; then the only message, or the only one without a
 * signature. CLI_YES; or the exit code, after the words. */
int release_subject(const struct cli *cli, const struct release_doc *doc, const char *entry,
                    struct release_subject *ret_subject);
/* Its message as JSON; a new reference, NULL when out of memory. */
json_t *release_message(const struct release_subject *subject);

/* Where a document goes: -o FILE and --replace. Without a file it is printed. */
struct release_out {
    const char *path;
    bool replace;
};
/* Write a tree, which must be a document that release_read takes. A file that is there is replaced
 * as a whole and only with --replace, or when it is `from`, the file the document was read from and
 * to which something was added (NULL: none). Returns the exit code. */
int release_write(const struct cli *cli, const json_t *tree, const struct release_out *out,
                  const char *from);

/* What a person compares with the display of a device, appended: the members of the message, its
 * hashes, who has signed. A printable text. */
enum ms_err release_words(const struct release_subject *subject, struct ms_buf *out);
/* Text of a document between quotes; what is not printable ASCII becomes \xNN. */
enum ms_err release_quote(struct ms_span text, struct ms_buf *out);

/* ---- values of options; all say what is wrong and return false ---- */
/* Unix time or RFC 3339; `text` NULL leaves *ret_s as it is. */
bool release_time(const struct cli *cli, const char *option, const char *text, uint64_t *ret_s);
bool release_number(const struct cli *cli, const char *option, const char *text, uint64_t max,
                    uint64_t *ret_number);
/* --valid-until TIME or --days N, from issued_at_s on, else default_s later. */
bool release_validity(const struct cli *cli, const char *until, const char *days,
                      uint64_t issued_at_s, uint64_t default_s, uint64_t *ret_until_s);
/* "0x" and 64 digits. */
bool release_hash(const struct cli *cli, const char *option, const char *text, uint8_t out[32]);
/* An address; a wrong checksum is refused: who types an address may mistype it. */
bool release_addr(const struct cli *cli, const char *option, const char *text,
                  struct eth_addr *ret_addr);
/* "2of3:0x..,0x..,0x.." */
bool release_signers(const struct cli *cli, const char *option, const char *text,
                     struct msig_signers *ret_signers);
/* "eip155:1:0x.." or "0x..", which gives chain 1: a Safe. */
bool release_safe(const struct cli *cli, const char *option, const char *text, uint64_t *ret_chain,
                  struct eth_addr *ret_safe);
/* The wall clock, Unix seconds. */
uint64_t release_now(void);

/* Take `--NAME VALUE` and `--NAME=VALUE` out of argv, as often as they come, at most max times.
 * false when it has said what is wrong. */
bool release_repeated(const struct cli *cli, const char *name, int *argc, char **argv,
                      const char **ret_values, size_t max, size_t *ret_n);

/* ---- verbs ---- */
int release_new(struct cli *cli, int argc, char **argv);
int release_digest(struct cli *cli, int argc, char **argv);
int release_sign(struct cli *cli, int argc, char **argv);
int release_add_signature(struct cli *cli, int argc, char **argv);
int release_verify(struct cli *cli, int argc, char **argv);
int release_root_new(struct cli *cli, int argc, char **argv);
int release_root_rotate(struct cli *cli, int argc, char **argv);
int release_revoke(struct cli *cli, int argc, char **argv);
int release_freshness(struct cli *cli, int argc, char **argv);

#endif
