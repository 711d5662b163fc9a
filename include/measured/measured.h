/* measured/measured.h - libmeasured: ask `measured` which code an attested peer may run, without
 * waiting.
 *
 *     struct measured *m = measured_open(NULL);
 *     struct measured_set *set = measured_subscribe(m, "eip155:1:0x...");
 *     ... poll measured_fd(m) for POLLIN, and call measured_pump(m) when it is readable ...
 *     if (measured_check(set, "dcap-tdx", regs, n, &match) == MEASURED_APPROVED) ...
 *
 * The daemon pushes each approved set as an immutable snapshot; a check looks into the newest one
 * and into the clock, and at nothing else. A set is used until its own deadline, whether or not the
 * daemon lives: a reader that hears nothing refuses when the time is up, not before and not after.
 *
 * Threads: measured_check, measured_describe and measured_state_name may be called from any thread
 * at any time. All other functions on one `struct measured` (and on its sets) are for one thread at
 * a time; usually that of the event loop. No global state, no signals, no threads of its own, no
 * locale. After fork the child must not pump what the parent opened; it opens its own. Checks in
 * the child go on to be answered from what it had, until the deadline, and it may measured_close
 * without the parent noticing.
 *
 * ABI: symbols are versioned (MEASURED_1). Structures that callers allocate do not grow within a
 * version. */
#ifndef MEASURED_MEASURED_H
#define MEASURED_MEASURED_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum measured_verdict {
    MEASURED_UNKNOWN = 0,  /* nothing may be said now: refuse, and tell the operator */
    MEASURED_APPROVED = 1, /* governance approves these registers */
    MEASURED_REFUSED = 2,  /* it does not */
};

/* One register as a verifier of evidence (a quote) found it. Registers that no record pins may be
 * given. A register given several times counts only when every one of its values is approved. */
struct measured_register {
    uint32_t index;    /* as in the records: DCAP 0 = MRTD, 1..4 = RTMR0..3; azure-tdx PCR n */
    const void *value; /* raw bytes, not hexadecimal */
    size_t size;       /* bytes: 48 for DCAP, 32 for azure-tdx */
};

#define MEASURED_ID_MAX 256u      /* bytes of a measurement id */
#define MEASURED_VERSION_MAX 127u /* bytes of a release's version */
#define MEASURED_ERROR_MAX 255u

/* What approved. Written only with MEASURED_APPROVED. Strings end in NUL and have no control
 * characters; an id may be any UTF-8. */
struct measured_match {
    uint64_t release_id;
    uint64_t sequence;   /* governance's own counter, or how many changes the daemon has accepted */
    uint64_t generation; /* of the snapshot: grows with each while the daemon runs */
    char measurement_id[MEASURED_ID_MAX + 1];
    char release_version[MEASURED_VERSION_MAX + 1];
};

/* The states of interface `state`, plus what only a reader can be in. */
enum measured_state {
    MEASURED_STATE_WAITING = 0, /* no snapshot yet */
    MEASURED_STATE_FRESH,
    MEASURED_STATE_STALE_WHILE_REVALIDATE,
    MEASURED_STATE_STALE_IF_ERROR,
    MEASURED_STATE_EXPIRED,
    MEASURED_STATE_NEGATIVE,
    MEASURED_STATE_REVOKED, /* nothing is approved: every check is MEASURED_REFUSED */
    MEASURED_STATE_HOLD,
    MEASURED_STATE_CONFLICT,
    MEASURED_STATE_CLOCK_SUSPECT,
    MEASURED_STATE_FAILED, /* the daemon refused the subscription: measured_error says why */
};

struct measured_description {
    enum measured_state state; /* now: a snapshot whose time is up is MEASURED_STATE_EXPIRED */
    int serves;                /* whether checks are answered with yes or no now */
    uint64_t generation, sequence;
    int64_t fresh_until_ms, hard_until_ms; /* CLOCK_BOOTTIME, milliseconds; INT64_MAX: no end */
    uint64_t n_records;
};

struct measured;
struct measured_set;

/* Get ready to talk to the daemon whose sockets are in `socket_dir`; NULL: $MEASURED_SOCKET_DIR,
 * else /run/measured for root, else $XDG_RUNTIME_DIR/measured, else /run/user/UID/measured. The
 * daemon need not run yet. NULL and errno: ENAMETOOLONG, ENOMEM, EMFILE, ENFILE. */
struct measured *measured_open(const char *socket_dir);

/* Follow one specifier, or the specifier in a URL (text that begins with "https://" or "http://").
 * Until the first snapshot has come checks are MEASURED_UNKNOWN. The set belongs to `m` and lives
 * until measured_unsubscribe or measured_close. The daemon reads the text; when it refuses it,
 * measured_describe says MEASURED_STATE_FAILED and measured_error why; it is asked again after 30
 * to 60 s (a quota may have room then). NULL and errno: EINVAL (NULL or empty), EMSGSIZE (longer
 * than 64,000 bytes), ENOMEM, ENOSPC (more than 65,536 sets). */
struct measured_set *measured_subscribe(struct measured *m, const char *specifier_or_url);
/* No thread may be in, or begin, a check of this set. NULL is fine. */
void measured_unsubscribe(struct measured_set *set);

/* May a peer that showed these registers be trusted? Any thread; no system call, no lock, no
 * allocation. `ret_match` may be NULL. MEASURED_UNKNOWN before the first snapshot, after its
 * deadline, and in every state in which nothing may be served; an attestation type that is not
 * known, a missing register or one of another size than its type has is MEASURED_REFUSED. NULL for
 * `set` or `attestation_type` is MEASURED_UNKNOWN. */
enum measured_verdict measured_check(struct measured_set *set, const char *attestation_type,
                                     const struct measured_register *regs, size_t n,
                                     struct measured_match *ret_match);
/* What a check made now would be answered from. Any thread. */
void measured_describe(struct measured_set *set, struct measured_description *ret_description);
/* "fresh", "stale-while-revalidate" and so on, as in the daemon's answers. Static storage. */
const char *measured_state_name(enum measured_state state);
/* What the daemon last said against this subscription, or when it closed the connection, "code:
 * sentence" in printable ASCII; "" when nothing. The pump's thread; good until the next pump. */
const char *measured_error(const struct measured_set *set);

/* A descriptor to poll for POLLIN; the same one as long as `m` lives. */
int measured_fd(const struct measured *m);
/* Take in what has come: at most a bounded amount of work, never blocks, reconnects by itself after
 * a random wait. Calling it without need is harmless. 0, or -1 and errno when the connection is
 * down: ECONNREFUSED, ENOENT, EACCES (no daemon there), ECONNRESET (it went away), EPROTO (it broke
 * the protocol), EPROTONOSUPPORT (another version), EXDEV (its clock is not ours: another time
 * namespace), ETIMEDOUT (it took the connection and said nothing for 10 s), ENOMEM, EMFILE, ENFILE.
 * Sets go on to be used until their deadlines all the same. */
int measured_pump(struct measured *m);
/* No thread may be in, or begin, a check. Frees all sets. NULL is fine. */
void measured_close(struct measured *m);

#ifdef __cplusplus
}
#endif
#endif
