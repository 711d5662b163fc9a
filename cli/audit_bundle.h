/* cli/audit_bundle.h - one bundle, or the whole past of a registry, checked on a machine that knows
 * nothing of where it was made. */
#ifndef MS_CLI_AUDIT_BUNDLE_H
#define MS_CLI_AUDIT_BUNDLE_H

#include "cli/cli.h"

struct audit_roots {    /* what the auditor knows by himself; NULL: not named */
    const char *sha256; /* the bundle's name */
    const char *spec;   /* whose set it is */
    const char *block;  /* hash of the block, from a source of his own */
    const char *groups; /* operator groups he believes, with commas */
    const char *level;  /* least read level */
    const char *quorum; /* how many groups had to agree, at least */
    const char *at;     /* no root: the moment that is asked about, of a whole past */
};

/* Replays it, and every operation of a past, says what rests on what, compares with the roots. Exit
 * code: 0 it verifies and all roots hold (and with `at`, something counted then), 1 not, 2 a root
 * is malformed, 3 it could not be read. */
int audit_bundle(struct cli *cli, const char *path, const struct audit_roots *roots);

#endif
