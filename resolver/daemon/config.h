/* resolver/daemon/config.h - the configuration file: INI text to one immutable struct.
 *
 * `[section]`, `[rpc NAME]`, `[alias NAME]`, `[witness NAME]`, `key = value`; a comment starts with
 * '#' at the start of a line or after white space, so a '#' inside a word belongs to the value. One
 * table holds every key with its type, range, default and meaning; an unknown key or section, a
 * repeated key and a bad value are errors that name line and rule. Everything but config_load_file
 * is a pure function of its arguments: even the environment comes in as one. A struct config may be
 * read from any thread. */
#ifndef MS_CONFIG_H
#define MS_CONFIG_H

#include "resolver/daemon/fetch_net.h"
#include "resolver/source/boot_rules.h"
#include "resolver/source/source.h"
#include "sig/note.h"

#define CONFIG_FILE_MAX_BYTES 1048576u
#define CONFIG_LINE_MAX 20000u /* bytes; an inline specifier of SPEC_TEXT_MAX fits */
#define CONFIG_ALIASES_MAX 1024u
#define CONFIG_DSTACK_APPS_MAX 1024u
#define CONFIG_DSTACK_DEADLINE_MAX_S \
    5                             /* as long as the core lets anybody wait for a first answer */
#define CONFIG_LIST_MAX 256u      /* items of a comma list */
#define CONFIG_NAME_MAX 64u       /* bytes of an [rpc], [alias] or [dstack-app] name */
#define CONFIG_SOCKET_DIR_MAX 96u /* sockaddr_un holds 107 and "/admin.sock" takes 11 */

enum config_eip55 { CONFIG_EIP55_WARN = 0, CONFIG_EIP55_STRICT };
#define CONFIG_MAX_EVIDENCE_AGE_S 21600 /* its default */
enum config_backfill { CONFIG_BACKFILL_NO = 0, CONFIG_BACKFILL_REGISTRY, CONFIG_BACKFILL_ALL };
enum config_nonfinality { CONFIG_NONFINALITY_KEEP = 0, CONFIG_NONFINALITY_SAFE };
#define CONFIG_CODE_HOLD (-1) /* code_delay_s: other code is never taken by itself */
enum config_audit { CONFIG_AUDIT_REQUIRE = 0, CONFIG_AUDIT_BEST_EFFORT };

struct config_checkpoint { /* a block the operator vouches for */
    bool set;
    uint64_t chain;
    struct eth_hash hash;
};

struct config_rpc {
    const char *name;
    const char *url; /* may hold a key: never printed, logged nor stored */
    const char *group;
    uint64_t chain;
    enum source_proofs proofs;
    bool trusted;
    size_t line; /* of its section */
};

struct config_alias {
    const char *name;
    const char *specifier; /* text as written */
    size_t line;
};

struct config_dstack_app { /* [dstack-app ID]: who governs this app */
    const char *name;      /* ID as written */
    uint8_t id[BOOT_APP_ID_BYTES];
    const char *specifier;
    size_t line;
};

struct config_dstack {          /* [dstack]: the webhook of dstack's KMS */
    bool enabled;               /* the section is there */
    const char *kms_specifier;  /* NULL: none */
    const char *gateway_app_id; /* NULL: none; where governance names none */
    int64_t deadline_s;
    bool sign;
    struct boot_policy policy; /* where governance is a list */
    size_t n_apps;
    const struct config_dstack_app *apps;
};

#define CONFIG_WITNESSES_MAX 16u

struct config_witness { /* who cosigns checkpoints of our log */
    const char *name;
    const char *url;       /* add-checkpoint is a path below it */
    struct msig_vkey vkey; /* of type MSIG_NOTE_COSIGNATURE */
    size_t line;           /* of its section */
};

struct config { /* strings and arrays live as long as the config */
    /* [server] */
    const char *socket_dir, *state_dir;
    bool http_enabled;
    struct net_addr http_listen; /* when http_enabled */
    uint32_t http_threads, max_entries;
    uint32_t uid_connections, uid_waiting, uid_watchers, uid_resolutions;
    /* [policy] */
    enum spec_level level;
    uint32_t quorum;
    int64_t poll_s, head_poll_s, max_evidence_age_s;
    enum config_eip55 eip55;
    enum config_audit audit;
    struct config_checkpoint checkpoint;
    enum config_nonfinality nonfinality;
    enum config_backfill backfill;
    uint32_t backfill_rate; /* requests a second */
    int64_t code_delay_s;   /* 0: other code is taken at once */
    int64_t sie_max_s;
    /* [fetch] */
    const char *ca_file; /* NULL: none */
    size_t n_permits;
    const struct net_permit *permits; /* allow-private */
    size_t n_pins;
    const struct net_pin *pins; /* resolve */
    /* [times] */
    struct source_times times;
    /* [log] */
    const char *log_origin; /* NULL: that of the key, or of this host */
    /* [rpc NAME], [alias NAME], [witness NAME], in the order of the file */
    size_t n_rpcs;
    const struct config_rpc *rpcs;
    size_t n_aliases;
    const struct config_alias *aliases;
    /* [dstack], [dstack-app ID] */
    struct config_dstack dstack;
    size_t n_witnesses;
    const struct config_witness *witnesses;

    struct ms_arena arena;
};

struct config_context { /* what surrounds the text; zero is allowed everywhere */
    /* As getenv; NULL: an empty environment. */
    const char *(*env)(void *arg, const char *name);
    void *env_arg;
    uint32_t uid; /* effective; 0 takes the system's directories */
    /* Judge the text of an alias; NULL: it is checked later. An error is reported with the alias's
     * line. */
    enum ms_err (*check_specifier)(void *arg, struct ms_span text, struct ms_diag *diag);
    void *check_arg;
};

/* Defaults only, as without a file. MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err config_default(const struct config_context *context,
                                       struct config **ret_config);

/* The whole text of a file.
 * MS_ERR_CONFIG: the text is not acceptable; diag->line and diag->text say where and which rule
 * (line 0: the file as a whole). MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err config_parse(struct ms_span text, const struct config_context *context,
                                     struct config **ret_config, struct ms_diag *diag);

/* The same from a file. MS_ERR_IO when it cannot be read, as well. */
MS_MUST_USE enum ms_err config_load_file(const char *path, const struct config_context *context,
                                         struct config **ret_config, struct ms_diag *diag);

void config_free(struct config *config);

/* "FILE:LINE: what is wrong", or "FILE: what is wrong" when no line applies; appended to out. */
enum ms_err config_error_text(const char *file, enum ms_err err, const struct ms_diag *diag,
                              struct ms_buf *out);

/* The directories used when the file names none: root has /run/measured and /var/lib/measured;
 * others $XDG_RUNTIME_DIR/measured (else /run/user/UID/measured) and $XDG_STATE_HOME/measured (else
 * $HOME/.local/state/measured, else /var/lib/measured). A relative value is ignored, as the XDG
 * Base Directory Specification asks. Appended to out. */
enum ms_err config_default_socket_dir(const struct config_context *context, struct ms_buf *out);
enum ms_err config_default_state_dir(const struct config_context *context, struct ms_buf *out);

/* The part that sources judge by; strings are borrowed from config. benched is false everywhere. */
void config_policy(const struct config *config, struct source_policy *ret_policy);

/* The value of an alias, or NULL. Fits spec_context.alias with the config as its argument. */
const char *config_alias(void *config, struct ms_span name);

/* Who governs this app; NULL: nobody was named for it. */
const struct config_dstack_app *config_dstack_app(const struct config *config,
                                                  const uint8_t id[BOOT_APP_ID_BYTES]);

/* What is legal but will not work, one sentence each: a chain with fewer RPC groups than the
 * quorum. */
void config_each_warning(const struct config *config, void (*fn)(void *arg, const char *text),
                         void *arg);

/* The first key that differs although only a restart applies it, as "section.key"; NULL when none
 * does. Static storage. */
const char *config_fixed_difference(const struct config *a, const struct config *b);

/* One row of the table, for the manual and its test. */
struct config_key {
    const char *section; /* "server"; "rpc", "alias" and "dstack-app" take a NAME */
    const char *key;
    const char *type;     /* "path", "duration", "l1 | l2 | l3", ... */
    const char *fallback; /* the default as it would be written, "" when empty */
    bool required;
    bool reloadable;  /* SIGHUP applies it; otherwise a restart does */
    const char *help; /* one line */
};
void config_each_key(void (*fn)(void *arg, const struct config_key *key), void *arg);

#endif
