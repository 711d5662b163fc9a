/* The configuration: every key, every class of mistake with the line and rule a person is told. */
#define _GNU_SOURCE
#include "resolver/daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* docs/interface: the example of the config section, to the letter. */
static const char example[] =
    "[server]\n"
    "socket-dir  = /run/measured        # api.sock 0660, admin.sock 0600, feed.sock 0660; default "
    "$XDG_RUNTIME_DIR/measured if not root\n"
    "state-dir   = /var/lib/measured    # measured.db 0600; default $XDG_STATE_HOME/measured if "
    "not "
    "root\n"
    "http-listen =                      # e.g. 127.0.0.1:7747; empty = off; non-loopback addresses "
    "are refused\n"
    "http-threads = 2\n"
    "[policy]\n"
    "level            = l2              # least read level for contracts: l1 l2 l3 (l0 only for "
    "rpc "
    "trusted=yes)\n"
    "quorum           = 2               # groups that must agree\n"
    "poll             = 60s             # finalized state of contracts\n"
    "head-poll        = 12s             # revocations at the head\n"
    "max-evidence-age = 6h\n"
    "eip55            = warn            # warn | strict\n"
    "audit            = require         # require | best-effort\n"
    "[fetch]\n"
    "ca-file       =                    # extra trust anchors for https locations (PEM)\n"
    "allow-private =                    # comma list of CIDR blocks or host names that may resolve "
    "to private addresses\n"
    "resolve       =                    # comma list HOST:PORT:ADDRESS, as curl --resolve; such a "
    "HOST:PORT may be private\n"
    "[rpc NAME]                         # one section per endpoint\n"
    "chain   = 1\n"
    "url     = https://...              # http:// only to loopback\n"
    "group   = NAME                     # operator group, default the section's name\n"
    "proofs  = finalized                # finalized | head | no\n"
    "trusted = no\n"
    "[alias NAME]\n"
    "specifier = ...\n";

static const struct config_context root = {.uid = 0};

#define APP19 "00112233445566778899aabbccddeeff001122"
#define HASH29 "00112233445566778899aabbccddeeff00112233445566778899aabbcc"
#define HASH31 "00112233445566778899aabbccddeeff00112233445566778899aabbccddee"
#define HASH31_SHOWN HASH29 "dd" /* of a long value 60 bytes are shown */

/* Parse an exact-size heap copy, so that a read past the end shows under ASan. */
static enum ms_err parse(const char *text, size_t len, const struct config_context *context,
                         struct config **ret, struct ms_diag *diag)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, text, len);
    enum ms_err err = config_parse(ms_span_of(copy, len), context, ret, diag);
    free(copy);
    return err;
}

static struct config *must_parse(const char *text)
{
    struct config *config = NULL;
    struct ms_diag diag = {0};
    enum ms_err err = parse(text, strlen(text), &root, &config, &diag);
    if (err != MS_OK)
        fail_msg("%zu: %s", diag.line, ms_diag_text(&diag, err));
    return config;
}

static void check_defaults(const struct config *c)
{
    assert_string_equal(c->socket_dir, "/run/measured");
    assert_string_equal(c->state_dir, "/var/lib/measured");
    assert_false(c->http_enabled);
    assert_int_equal(c->http_threads, 2);
    assert_int_equal(c->uid_connections, 12000);
    assert_int_equal(c->uid_waiting, 1024);
    assert_int_equal(c->uid_watchers, 1024);
    assert_int_equal(c->uid_resolutions, 512);
    assert_int_equal(c->level, SPEC_LEVEL_L2);
    assert_int_equal(c->quorum, 2);
    assert_int_equal(c->poll_s, 60);
    assert_int_equal(c->head_poll_s, 12);
    assert_int_equal(c->max_evidence_age_s, 6 * 3600);
    assert_int_equal(c->eip55, CONFIG_EIP55_WARN);
    assert_int_equal(c->audit, CONFIG_AUDIT_REQUIRE);
    assert_null(c->ca_file);
    assert_int_equal(c->n_permits, 0);
    assert_int_equal(c->n_pins, 0);
    assert_memory_equal(&c->times, &source_times_default, sizeof(c->times)); /* one truth */
    assert_int_equal(c->nonfinality, CONFIG_NONFINALITY_KEEP);
    assert_int_equal(c->code_delay_s, CONFIG_CODE_HOLD);
    assert_int_equal(c->sie_max_s, 30 * 86400);
}

static void find_time(void *arg, const struct config_key *key)
{
    size_t *found = arg;
    if (strcmp(key->section, "times") != 0)
        return;
    for (size_t i = 0; i < SOURCE_TIMES_N; i++)
        *found += strcmp(source_time_rows[i].name, key->key) == 0;
}

/* Every number of the table is a key, sets its own field and reaches the policy. */
static void test_times(void **state)
{
    (void)state;
    size_t found = 0;

    config_each_key(find_time, &found);
    assert_int_equal(found, SOURCE_TIMES_N);
    for (size_t i = 0; i < SOURCE_TIMES_N; i++) {
        char text[100];
        struct config *c = NULL;
        struct source_policy policy;
        (void)snprintf(text, sizeof(text), "[times]\n%s = 77s\n", source_time_rows[i].name);
        assert_int_equal(config_parse(ms_span_str(text), &root, &c, NULL), MS_OK);
        config_policy(c, &policy);
        for (size_t k = 0; k < SOURCE_TIMES_N; k++)
            assert_int_equal(source_time_get(&policy.times, &source_time_rows[k]),
                             k == i ? 77 : source_time_rows[k].fallback_s);
        config_free(c);
    }
}

static void test_choices(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t delay_s;
    } rows[] = {
        {"hold", CONFIG_CODE_HOLD}, {"accept", 0}, {"delay:3600", 3600}, {"delay:2h", 7200}};
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        char text[100];
        struct config *c = NULL;
        (void)snprintf(text, sizeof(text), "[policy]\ncode-change = %s\nnonfinality = safe\nsie=0s",
                       rows[i].text);
        assert_int_equal(config_parse(ms_span_str(text), &root, &c, NULL), MS_OK);
        assert_int_equal(c->code_delay_s, rows[i].delay_s);
        assert_int_equal(c->nonfinality, CONFIG_NONFINALITY_SAFE);
        assert_int_equal(c->sie_max_s, 0);
        config_free(c);
    }
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = NULL;
    assert_int_equal(config_default(&root, &c), MS_OK);
    check_defaults(c);
    assert_int_equal(c->n_rpcs, 0);
    assert_int_equal(c->n_aliases, 0);
    config_free(c);
}

/* The example's placeholder "https://..." is no URL, so that one word is replaced; all else stands.
 */
static void test_example(void **state)
{
    (void)state;
    char text[sizeof(example) + 32];
    const char *dots = strstr(example, "https://...");
    assert_non_null(dots);
    (void)snprintf(text, sizeof(text), "%.*shttps://rpc.test%s", (int)(dots - example), example,
                   dots + strlen("https://..."));
    struct config *c = must_parse(text);
    check_defaults(c);
    assert_int_equal(c->n_rpcs, 1);
    assert_string_equal(c->rpcs[0].name, "NAME");
    assert_string_equal(c->rpcs[0].url, "https://rpc.test");
    assert_string_equal(c->rpcs[0].group, "NAME");
    assert_int_equal(c->rpcs[0].chain, 1);
    assert_int_equal(c->rpcs[0].proofs, SOURCE_PROOFS_FINALIZED);
    assert_false(c->rpcs[0].trusted);
    assert_int_equal(c->n_aliases, 1);
    assert_string_equal(c->aliases[0].specifier, "...");
    assert_string_equal(config_alias(c, ms_span_str("NAME")), "...");
    assert_null(config_alias(c, ms_span_str("NAM")));
    config_free(c);
}

static void test_all_set(void **state)
{
    (void)state;
    struct config *c = must_parse("# everything differs from its default\r\n"
                                  "[server]\r\n"
                                  "socket-dir=/tmp/a b\r\n"
                                  "\tstate-dir = /tmp/s#1 # the first '#' is part of the path\r\n"
                                  "http-listen = [::1]:7747\n"
                                  "http-threads = 64\n"
                                  "uid-connections = 1\nuid-waiting = 2\n"
                                  "uid-watchers = 3\nuid-resolutions = 1000000\n"
                                  "[policy]\n"
                                  "level = l0\n"
                                  "quorum = 3\n"
                                  "poll = 15m\n"
                                  "head-poll = 1s\n"
                                  "max-evidence-age = 1d\n"
                                  "eip55 = strict\n"
                                  "audit = best-effort\n"
                                  "[fetch]\n"
                                  "ca-file = /etc/ca.pem\n"
                                  "allow-private = 10.0.0.0/8, fd00::/8 ,Host.Test,192.168.1.1\n"
                                  "resolve = A.Test:443:127.0.0.1, b.test:8443:[::1]\n"
                                  "[rpc node]\n"
                                  "url = http://localhost:8545/key?a=b\n"
                                  "chain = 999999999999999999\n"
                                  "proofs = head\n"
                                  "trusted = yes\n"
                                  "[ rpc  other ]\n"
                                  "url = https://[2001:db8::1]:8443\n"
                                  "group = g.1\n"
                                  "proofs = no\n"
                                  "[policy]\n"
                                  "[alias shop]\n"
                                  "specifier = 2of3:a;x-note=#1");
    assert_string_equal(c->socket_dir, "/tmp/a b");
    assert_string_equal(c->state_dir, "/tmp/s#1");
    assert_true(c->http_enabled);
    assert_true(c->http_listen.v6);
    assert_int_equal(c->http_listen.port, 7747);
    assert_int_equal(c->http_threads, 64);
    assert_int_equal(c->uid_connections, 1);
    assert_int_equal(c->uid_waiting, 2);
    assert_int_equal(c->uid_watchers, 3);
    assert_int_equal(c->uid_resolutions, 1000000);
    assert_int_equal(c->level, SPEC_LEVEL_L0);
    assert_int_equal(c->quorum, 3);
    assert_int_equal(c->poll_s, 900);
    assert_int_equal(c->head_poll_s, 1);
    assert_int_equal(c->max_evidence_age_s, 86400);
    assert_int_equal(c->eip55, CONFIG_EIP55_STRICT);
    assert_int_equal(c->audit, CONFIG_AUDIT_BEST_EFFORT);
    assert_string_equal(c->ca_file, "/etc/ca.pem");
    assert_int_equal(c->n_permits, 4);
    assert_int_equal(c->permits[0].prefix, 8);
    assert_string_equal(c->permits[2].host, "host.test");
    assert_int_equal(c->permits[3].prefix, 32);
    assert_int_equal(c->n_pins, 2);
    assert_string_equal(c->pins[0].host, "a.test");
    assert_int_equal(c->pins[1].addr.port, 8443);
    assert_int_equal(c->n_rpcs, 2);
    assert_string_equal(c->rpcs[0].group, "node");
    assert_true(c->rpcs[0].trusted);
    assert_int_equal(c->rpcs[0].proofs, SOURCE_PROOFS_HEAD);
    assert_string_equal(c->rpcs[1].name, "other");
    assert_string_equal(c->rpcs[1].group, "g.1");
    assert_string_equal(c->aliases[0].specifier, "2of3:a;x-note=#1");

    struct source_policy policy;
    config_policy(c, &policy);
    assert_int_equal(policy.level, SPEC_LEVEL_L0);
    assert_int_equal(policy.quorum, 3);
    assert_int_equal(policy.poll_s, 900);
    assert_int_equal(policy.head_poll_s, 1);
    assert_int_equal(policy.max_evidence_age_s, 86400);
    assert_int_equal(policy.n_providers, 2);
    assert_string_equal(policy.providers[1].group, "g.1");
    assert_int_equal(policy.providers[0].chain, 999999999999999999);
    assert_true(policy.providers[0].trusted);
    assert_false(policy.providers[0].benched);
    config_free(c);
}

#define URL "url = https://r.test\n"
#define WITNESS_KEY "BCyEithmTuZR5IlsE6hKiaKWSspet3qLiB5g3tXIG06d"
#define WITNESS "w.example/1+9507d422+" WITNESS_KEY

static const struct {
    const char *name, *text, *want; /* want: LINE: text */
} bad[] = {
    {"unknown section", "\n[servers]\n",
     "2: unknown section [servers]; there are server, policy, fetch, times, dstack, log, "
     "rpc, alias, dstack-app and witness"},
    {"unknown key", "[server]\nport = 1\n", "2: unknown key 'port' in section [server]"},
    {"key of another section", "[fetch]\nlevel = l2\n",
     "2: unknown key 'level' in section [fetch]"},
    {"key before a section", "poll = 1s\n", "1: 'poll' stands before the first [section]"},
    {"key in capitals", "[policy]\nPoll = 1s\n", "2: unknown key 'Poll' in section [policy]"},
    {"duplicate key", "[policy]\npoll = 1s\n[policy]\npoll = 2s\n",
     "4: poll is already set in line 2"},
    {"duplicate key in rpc", "[rpc a]\n" URL URL, "3: url is already set in line 2"},
    {"duplicate rpc", "[rpc a]\n" URL "[rpc a]\n" URL, "3: [rpc a] is already in line 1"},
    {"duplicate alias", "[alias a]\nspecifier=x\n[alias a]\n", "3: [alias a] is already in line 1"},
    {"no equals sign", "[server]\nsocket-dir\n", "2: neither [section] nor key = value"},
    {"unclosed section", "[server\n", "1: a section's line must end in ']'"},
    {"text behind a section", "[server] x\n", "1: a section's line must end in ']'"},
    {"lone bracket", "[\n", "1: a section's line must end in ']'"},
    {"empty section", "[]\n",
     "1: unknown section []; there are server, policy, fetch, times, dstack, log, "
     "rpc, alias, dstack-app and witness"},
    {"name where none belongs", "[fetch x]\n", "1: section [fetch] takes no name"},
    {"rpc without name", "[rpc]\n",
     "1: [rpc NAME] needs a name of 1 to 64 letters, digits, '-', '_' and '.'"},
    {"rpc with a bad name", "[rpc a/b]\n",
     "1: [rpc NAME] needs a name of 1 to 64 letters, digits, '-', '_' and '.'"},
    {"alias with two names", "[alias a b]\n",
     "1: [alias NAME] needs a name of 1 to 64 letters, digits, '-', '_' and '.'"},
    {"rpc without url", "\n[rpc a]\nchain = 1\n[fetch]\n", "2: [rpc a] has no url"},
    {"last rpc without url", "[rpc a]\n", "1: [rpc a] has no url"},
    {"alias without specifier", "[alias a]", "1: [alias a] has no specifier"},
    {"empty specifier", "[alias a]\nspecifier = # x\n", "2: specifier of [alias a] is empty"},
    {"control byte", "[server]\n# \x01\n", "2: control byte 0x01"},
    {"delete byte", "[server]\x7f\n", "1: control byte 0x7f"},
    {"carriage return inside", "[server]\n#a\rb\n", "2: control byte 0x0d"},
    {"empty path", "[server]\nstate-dir =\n", "2: state-dir needs a path"},
    {"path too long for a socket",
     "[server]\nsocket-dir = "
     "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaa\n",
     "2: socket-dir is longer than 96 bytes, the most a Unix socket's path allows"},
    {"number missing", "[policy]\nquorum =\n", "2: quorum must be a number from 1 to 16, not ''"},
    {"number too small", "[policy]\nquorum = 0\n",
     "2: quorum must be a number from 1 to 16, not '0'"},
    {"number too large", "[server]\nhttp-threads = 65\n",
     "2: http-threads must be a number from 1 to 64, not '65'"},
    {"number negative", "[server]\nhttp-threads = -1\n",
     "2: http-threads must be a number from 1 to 64, not '-1'"},
    {"number with a leading zero", "[policy]\nquorum = 02\n",
     "2: quorum must be a number from 1 to 16, not '02'"},
    {"number beyond 64 bits", "[policy]\nquorum = 18446744073709551618\n",
     "2: quorum must be a number from 1 to 16, not '18446744073709551618'"},
    {"duration without unit", "[policy]\npoll = 60\n",
     "2: poll must be a duration such as 90s, 15m, 6h or 1d, not '60'"},
    {"duration of a unit only", "[policy]\npoll = s\n",
     "2: poll must be a duration such as 90s, 15m, 6h or 1d, not 's'"},
    {"duration with milliseconds", "[policy]\npoll = 60ms\n",
     "2: poll must be a duration such as 90s, 15m, 6h or 1d, not '60ms'"},
    {"duration zero", "[policy]\npoll = 0s\n", "2: poll must lie from 1s to 86400s, not '0s'"},
    {"duration too long", "[policy]\npoll = 2d\n", "2: poll must lie from 1s to 86400s, not '2d'"},
    {"duration that would overflow", "[policy]\npoll = 213503982334602d\n",
     "2: poll must lie from 1s to 86400s, not '213503982334602d'"},
    {"level", "[policy]\nlevel = l4\n", "2: level must be one of l0 | l1 | l2 | l3, not 'l4'"},
    {"level empty", "[policy]\nlevel =\n", "2: level must be one of l0 | l1 | l2 | l3, not ''"},
    {"level l0 without a trusted endpoint", "[policy]\n\nlevel = l0\n[rpc a]\n" URL,
     "3: level l0 needs an [rpc] section with trusted = yes"},
    {"eip55", "[policy]\neip55 = Strict\n", "2: eip55 must be one of warn | strict, not 'Strict'"},
    {"audit", "[policy]\naudit = no\n", "2: audit must be one of require | best-effort, not 'no'"},
    {"nonfinality", "[policy]\nnonfinality = latest\n",
     "2: nonfinality must be one of keep | safe, not 'latest'"},
    {"code-change", "[policy]\ncode-change = maybe\n",
     "2: code-change must be one of hold | accept | delay:SECS, not 'maybe'"},
    {"code-change without its delay", "[policy]\ncode-change = delay:\n",
     "2: code-change must be a duration such as 90s, 15m, 6h or 1d, not ''"},
    {"code-change too late", "[policy]\ncode-change = delay:2592001\n",
     "2: code-change waits at most 2592000s, not 'delay:2592001'"},
    {"a time of nothing", "[times]\ncontract-fresh = 0s\n",
     "2: contract-fresh must lie from 1s to 86400s, not '0s'"},
    {"proofs", "[rpc a]\nproofs = yes\n",
     "2: proofs must be one of no | head | finalized, not 'yes'"},
    {"trusted", "[rpc a]\ntrusted = true\n", "2: trusted must be yes or no, not 'true'"},
    {"chain 0", "[rpc a]\nchain = 0\n",
     "2: chain must be a number from 1 to 999999999999999999, not '0'"},
    {"chain in hex", "[rpc a]\nchain = 0x1\n",
     "2: chain must be a number from 1 to 999999999999999999, not '0x1'"},
    {"group", "[rpc a]\ngroup = a b\n",
     "2: group must be 1 to 64 letters, digits, '-', '_' and '.', not 'a b'"},
    {"listen on all addresses", "[server]\nhttp-listen = 0.0.0.0:80\n",
     "2: http-listen: '0.0.0.0:80': only loopback addresses (127.0.0.0/8 or [::1]) may be listened "
     "on"},
    {"listen on all IPv6 addresses", "[server]\nhttp-listen = [::]:80\n",
     "2: http-listen: '[::]:80': only loopback addresses (127.0.0.0/8 or [::1]) may be listened "
     "on"},
    {"listen on a name", "[server]\nhttp-listen = localhost:80\n",
     "2: http-listen: 'localhost:80': must be an IPv4 or [IPv6] literal and a port, such as "
     "127.0.0.1:7747"},
    {"listen without port", "[server]\nhttp-listen = 127.0.0.1\n",
     "2: http-listen: '127.0.0.1': must be ADDRESS:PORT, such as 127.0.0.1:7747"},
    {"listen on port 0", "[server]\nhttp-listen = 127.0.0.1:0\n",
     "2: http-listen: '127.0.0.1:0': the port must be a number from 1 to 65535"},
    {"listen, IPv6 without brackets", "[server]\nhttp-listen = ::1:80\n",
     "2: http-listen: '::1:80': must be an IPv4 or [IPv6] literal and a port, such as "
     "127.0.0.1:7747"},
    {"empty list item", "[fetch]\nallow-private = 10.0.0.0/8,,\n",
     "2: allow-private has an empty item"},
    {"prefix too long", "[fetch]\nallow-private = 10.0.0.0/33\n",
     "2: allow-private: '10.0.0.0/33': the prefix length must be 0 to 32"},
    {"prefix missing", "[fetch]\nallow-private = 10.0.0.0/\n",
     "2: allow-private: '10.0.0.0/': the prefix length must be 0 to 32"},
    {"bits behind the prefix", "[fetch]\nallow-private = 10.0.0.1/8\n",
     "2: allow-private: '10.0.0.1/8': has bits set behind its prefix length of 8"},
    {"neither block nor name", "[fetch]\nallow-private = a..b\n",
     "2: allow-private: 'a..b': is neither a CIDR block nor a host name"},
    {"resolve without address", "[fetch]\nresolve = a.test:443\n",
     "2: resolve: 'a.test:443': must be HOST:PORT:ADDRESS, such as example.org:443:10.0.0.7"},
    {"resolve to a name", "[fetch]\nresolve = a.test:443:b.test\n",
     "2: resolve: 'a.test:443:b.test': the address must be an IPv4 or IPv6 literal"},
    {"resolve with a bad port", "[fetch]\nresolve = a.test:70000:127.0.0.1\n",
     "2: resolve: 'a.test:70000:127.0.0.1': the port must be a number from 1 to 65535"},
    {"url http to the world", "[rpc a]\nurl = http://r.test/KEY\n",
     "2: url of [rpc a]: http:// is only for this machine (127.0.0.1, [::1], localhost); use "
     "https://"},
    {"url http to a look-alike", "[rpc a]\nurl = http://127.0.0.1.r.test/\n",
     "2: url of [rpc a]: http:// is only for this machine (127.0.0.1, [::1], localhost); use "
     "https://"},
    {"url of another scheme", "[rpc a]\nurl = wss://r.test/KEY\n",
     "2: url of [rpc a]: the URL must start with https://"},
    {"url empty", "[rpc a]\nurl =\n", "2: url of [rpc a]: the URL must start with https://"},
    {"url with userinfo", "[rpc a]\nurl = https://me:KEY@r.test\n",
     "2: url of [rpc a]: the URL must not carry a user name or password before the host"},
    {"url with a space", "[rpc a]\nurl = https://r.test/a b\n",
     "2: url of [rpc a]: the URL must be printable ASCII without spaces, '\\' and '#'"},
    {"url without host", "[rpc a]\nurl = https:///KEY\n",
     "2: url of [rpc a]: the URL has no valid host name"},
    {"url with dots for a host", "[rpc a]\nurl = https://...\n",
     "2: url of [rpc a]: the URL has no valid host name"},
    {"url with a bad port", "[rpc a]\nurl = https://r.test:0/KEY\n",
     "2: url of [rpc a]: the port of the URL must be a number from 1 to 65535"},
    {"url with an unclosed bracket", "[rpc a]\nurl = https://[::1/KEY\n",
     "2: url of [rpc a]: the URL has no valid [IPv6] address"},
    {"dstack with a name", "[dstack x]\n", "1: section [dstack] takes no name"},
    {"dstack-app without name", "[dstack]\n[dstack-app]\n",
     "2: [dstack-app NAME] needs a name of 1 to 64 letters, digits, '-', '_' and '.'"},
    {"no app id", "[dstack]\n[dstack-app shop]\n",
     "2: [dstack-app shop] needs an app id, 0x and 40 hex digits"},
    {"19 bytes", "[dstack]\n[dstack-app 0x" APP19 "]\n",
     "2: [dstack-app 0x" APP19 "] needs an app id, 0x and 40 hex digits"},
    {"an app twice",
     "[dstack]\n[dstack-app 0x" APP19 "aa]\nspecifier=x\n[dstack-app " APP19 "AA]\n",
     "4: [dstack-app " APP19 "AA] is already in line 2"},
    {"an app without specifier", "[dstack]\n[dstack-app " APP19 "aa]\n",
     "2: [dstack-app " APP19 "aa] has no specifier"},
    {"an app with an empty one", "[dstack]\n[dstack-app " APP19 "aa]\nspecifier =\n",
     "3: specifier of [dstack-app " APP19 "aa] is empty"},
    {"an app without dstack", "\n[dstack-app " APP19 "aa]\nspecifier=x\n",
     "2: [dstack-app " APP19 "aa] needs a section [dstack]"},
    {"a device of 31 bytes", "[dstack]\ndevices = 0x" HASH31 "\n",
     "2: devices: '0x" HASH29 "' is not 64 hex digits"},
    {"a device too many", "[dstack]\ndevices = 0x" HASH31 "00,\n", "2: devices has an empty item"},
    {"a measurement of nothing", "[dstack]\nkms-mr-aggregated = ,\n",
     "2: kms-mr-aggregated has an empty item"},
    {"a status of nothing", "[dstack]\nallowed-tcb-statuses = UpToDate,,x\n",
     "2: allowed-tcb-statuses has an empty item"},
    {"a long advisory", "[dstack]\nallowed-advisories = " HASH31 HASH31 "\n",
     "2: allowed-advisories: '" HASH31_SHOWN "' is longer than 64 bytes"},
    {"any device", "[dstack]\nallow-any-device = true\n",
     "2: allow-any-device must be yes or no, not 'true'"},
    {"a deadline too late", "[dstack]\ndeadline = 6s\n",
     "2: deadline must lie from 1s to 5s, not '6s'"},
    {"no deadline", "[dstack]\ndeadline = 0s\n", "2: deadline must lie from 1s to 5s, not '0s'"},
    {"gateway of two words", "[dstack]\ngateway-app-id = a b\n",
     "2: gateway-app-id must be 1 to 64 letters, digits, '-', '_' and '.', not 'a b'"},
    {"origin with a space", "[log]\norigin = a b\n",
     "2: origin must be a name without spaces and '+', of at most 255 bytes"},
    {"origin with a plus", "[log]\norigin = a+b\n",
     "2: origin must be a name without spaces and '+', of at most 255 bytes"},
    {"witness without key", "[witness a]\n" URL, "1: [witness a] has no key"},
    {"witness without url", "[witness a]\nkey = " WITNESS "\n", "1: [witness a] has no url"},
    {"witness by http", "[witness a]\nurl = http://r.test\n",
     "2: url of [witness a]: http:// is only for this machine (127.0.0.1, [::1], localhost); use "
     "https://"},
    {"two witnesses of one name", "[witness a]\n" URL "key = " WITNESS "\n[witness a]\n",
     "4: [witness a] is already in line 1"},
    {"witness with another id", "[witness a]\nkey = w.example/1+00000000+" WITNESS_KEY "\n",
     "2: key of [witness a]: not a key of the form NAME+ID+BASE64: its id is not that of its name "
     "and key"},
    {"witness with a log's key",
     "[witness a]\nkey = PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
     "2: key of [witness a]: it is the key of a log, not of a witness"},
    {"untrusted bytes are escaped", "[server]\n\xc3\xa9 = 1\n",
     "2: unknown key '\\xc3\\xa9' in section [server]"},
};

static void check_bad(const char *name, const char *text, size_t len,
                      const struct config_context *context, const char *want)
{
    struct config *config = NULL;
    struct ms_diag diag = {0};
    struct ms_buf got = MS_BUF_INIT(1024);
    char line[400];

    enum ms_err err = parse(text, len, context, &config, &diag);
    (void)config_error_text("F", err, &diag, &got);
    (void)snprintf(line, sizeof(line), "F:%s", want);
    if (err != MS_ERR_CONFIG || config != NULL || !ms_span_eq_str(ms_buf_span(&got), line))
        fail_msg("%s: got %s: %s", name, ms_err_name(err), ms_buf_str(&got));
    if (strstr(text, "KEY") != NULL)
        assert_null(strstr(ms_buf_str(&got), "KEY")); /* no part of an RPC URL is printed */
    ms_buf_done(&got);
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(bad); i++)
        check_bad(bad[i].name, bad[i].text, strlen(bad[i].text), &root, bad[i].want);
    check_bad("NUL", "[server]\n\0", 10, &root, "2: control byte 0x00");
}

static void test_limits(void **state)
{
    (void)state;
    struct ms_buf text = MS_BUF_INIT(CONFIG_FILE_MAX_BYTES + 100);

    /* A specifier of the greatest length fits; one more does not, nor does a line that is too long.
     */
    for (size_t extra = 0; extra < 2; extra++) {
        ms_buf_reset(&text);
        ms_buf_add_str(&text, "[alias a]\nspecifier = ");
        for (size_t i = 0; i < SPEC_TEXT_MAX + extra; i++)
            ms_buf_add_byte(&text, 'x');
        if (extra == 0)
            config_free(must_parse(ms_buf_str(&text)));
        else
            check_bad("specifier", ms_buf_str(&text), text.len, &root,
                      "2: specifier of [alias a] is longer than 16384 characters");
    }
    ms_buf_reset(&text);
    for (size_t i = 0; i < CONFIG_LINE_MAX; i++)
        ms_buf_add_byte(&text, '#');
    ms_buf_add_byte(&text, '\r');
    config_free(must_parse(ms_buf_str(&text)));
    text.len--;
    ms_buf_add_byte(&text, '#');
    check_bad("line", ms_buf_str(&text), text.len, &root, "1: line is longer than 20000 bytes");

    ms_buf_reset(&text);
    for (size_t i = 0; i < CONFIG_FILE_MAX_BYTES; i++)
        ms_buf_add_byte(&text, '\n');
    config_free(must_parse(ms_buf_str(&text)));
    ms_buf_add_byte(&text, '\n');
    struct config *config = NULL;
    struct ms_diag diag = {0};
    assert_int_equal(parse(ms_buf_str(&text), text.len, &root, &config, &diag), MS_ERR_CONFIG);
    assert_int_equal(diag.line, 0);
    assert_string_equal(diag.text, "file is larger than 1048576 bytes");

    ms_buf_reset(&text);
    for (unsigned i = 0; i <= SOURCE_PROVIDERS_MAX; i++)
        ms_buf_addf(&text, "[rpc r%u]\n" URL, i);
    check_bad("rpcs", ms_buf_str(&text), text.len, &root, "33: more than 16 [rpc] sections");
    ms_buf_reset(&text);
    for (unsigned i = 0; i < CONFIG_ALIASES_MAX; i++)
        ms_buf_addf(&text, "[alias a%u]\nspecifier = s%u\n", i, i);
    config = must_parse(ms_buf_str(&text));
    assert_int_equal(config->n_aliases, CONFIG_ALIASES_MAX);
    assert_string_equal(config_alias(config, ms_span_str("a1023")), "s1023");
    assert_string_equal(config_alias(config, ms_span_str("a0")), "s0");
    config_free(config);
    ms_buf_add_str(&text, "[alias b]\nspecifier = x\n");
    check_bad("aliases", ms_buf_str(&text), text.len, &root,
              "2049: more than 1024 [alias] sections");
    ms_buf_done(&text);
}

static enum ms_err judge(void *arg, struct ms_span text, struct ms_diag *diag)
{
    ++*(size_t *)arg;
    if (ms_span_eq_str(text, "good"))
        return MS_OK;
    return ms_diag_set(diag, MS_ERR_SPEC, "not a measurement specifier");
}

static void test_specifier_callback(void **state)
{
    (void)state;
    size_t calls = 0;
    struct config_context context = {.check_specifier = judge, .check_arg = &calls};
    struct config *config = NULL;
    const char good[] = "[alias a]\nspecifier = good\n";
    const char wrong[] = "[alias a]\nspecifier = good\n[alias b]\nspecifier = wrong\n";
    assert_int_equal(parse(good, strlen(good), &context, &config, NULL), MS_OK);
    assert_int_equal(calls, 1);
    config_free(config);
    check_bad("callback", wrong, strlen(wrong), &context,
              "4: specifier of [alias b]: not a measurement specifier");
}

static const char *fake_env(void *arg, const char *name)
{
    for (const char *const *pair = arg; pair[0] != NULL; pair += 2)
        if (strcmp(pair[0], name) == 0)
            return pair[1];
    return NULL;
}

static const struct {
    const char *name;
    uint32_t uid;
    const char *env[7];
    const char *socket_dir, *state_dir;
} directories[] = {
    {"root ignores the environment",
     0,
     {"XDG_RUNTIME_DIR", "/x", "XDG_STATE_HOME", "/y", "HOME", "/root", NULL},
     "/run/measured",
     "/var/lib/measured"},
    {"user",
     1000,
     {"XDG_RUNTIME_DIR", "/run/user/1000", "XDG_STATE_HOME", "/y", "HOME", "/home/u", NULL},
     "/run/user/1000/measured",
     "/y/measured"},
    {"user without XDG_STATE_HOME",
     1000,
     {"XDG_RUNTIME_DIR", "/r", "HOME", "/home/u", NULL},
     "/r/measured",
     "/home/u/.local/state/measured"},
    {"empty and relative values do not count",
     1000,
     {"XDG_RUNTIME_DIR", "r", "XDG_STATE_HOME", "", "HOME", "/home/u", NULL},
     "/run/user/1000/measured",
     "/home/u/.local/state/measured"},
    {"user without anything", 7, {NULL}, "/run/user/7/measured", "/var/lib/measured"},
};

static void test_directories(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(directories); i++) {
        const char *env[7];
        memcpy(env, directories[i].env, sizeof(env));
        struct config_context context = {
            .env = fake_env, .env_arg = env, .uid = directories[i].uid};
        struct config *c = NULL;
        assert_int_equal(config_default(&context, &c), MS_OK);
        if (strcmp(c->socket_dir, directories[i].socket_dir) != 0 ||
            strcmp(c->state_dir, directories[i].state_dir) != 0)
            fail_msg("%s: got %s and %s", directories[i].name, c->socket_dir, c->state_dir);
        config_free(c);
    }
}

static void test_long_runtime_dir(void **state)
{
    (void)state;
    char dir[120];
    memset(dir, 'a', sizeof(dir) - 1);
    dir[0] = '/';
    dir[sizeof(dir) - 1] = '\0';
    const char *env[] = {"XDG_RUNTIME_DIR", dir, NULL};
    struct config_context context = {.env = fake_env, .env_arg = env, .uid = 1};
    struct config *config = NULL;
    const char text[] = "[server]\nsocket-dir = /short\n";
    check_bad("default too long", "", 0, &context,
              " the default socket-dir is longer than 96 bytes; set socket-dir in [server]");
    assert_int_equal(parse(text, strlen(text), &context, &config, NULL), MS_OK);
    config_free(config);
}

static void test_load_file(void **state)
{
    (void)state;
    char path[] = "/tmp/measured-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "[policy]\nquorum = 3\n", 20), 20);
    struct config *c = NULL;
    struct ms_diag diag = {0};
    assert_int_equal(config_load_file(path, &root, &c, &diag), MS_OK);
    assert_int_equal(c->quorum, 3);
    config_free(c);
    c = NULL;
    assert_int_equal(write(fd, "quorum = 4\n", 11), 11);
    assert_int_equal(config_load_file(path, &root, &c, &diag), MS_ERR_CONFIG);
    assert_int_equal(diag.line, 3);
    assert_int_equal(ftruncate(fd, CONFIG_FILE_MAX_BYTES + 1), 0);
    diag = (struct ms_diag){0};
    assert_int_equal(config_load_file(path, &root, &c, &diag), MS_ERR_CONFIG);
    assert_string_equal(diag.text, "file is larger than 1048576 bytes");
    assert_int_equal(ftruncate(fd, CONFIG_FILE_MAX_BYTES + 100000), 0);
    diag = (struct ms_diag){0};
    assert_int_equal(config_load_file(path, &root, &c, &diag), MS_ERR_CONFIG);
    assert_string_equal(diag.text, "file is larger than 1048576 bytes");
    (void)close(fd);
    (void)unlink(path);
    diag = (struct ms_diag){0};
    assert_int_equal(config_load_file(path, &root, &c, &diag), MS_ERR_IO);
    assert_string_equal(diag.text, "cannot be read: No such file or directory");
    diag = (struct ms_diag){0};
    assert_int_equal(config_load_file("/", &root, &c, &diag), MS_ERR_IO);
    assert_string_equal(diag.text, "cannot be read: Is a directory");
    assert_null(c);
}

static void collect(void *arg, const char *text)
{
    struct ms_buf *buf = arg;
    ms_buf_addf(buf, "%s\n", text);
}

static void test_warnings(void **state)
{
    (void)state;
    struct ms_buf text = MS_BUF_INIT(1000);
    struct config *c = must_parse("[rpc a]\n" URL "[rpc b]\n" URL "group = a\n"
                                  "[rpc c]\nchain = 10\n" URL "[rpc d]\nchain = 10\n" URL);
    config_each_warning(c, collect, &text);
    assert_string_equal(
        ms_buf_str(&text),
        "chain 1 has 1 RPC group but quorum is 2: its contracts cannot be resolved\n");
    config_free(c);
    ms_buf_reset(&text);
    c = must_parse("[policy]\nlevel = l1\n[rpc a]\n" URL);
    config_each_warning(c, collect, &text);
    assert_int_equal(text.len, 0);
    config_free(c);
    ms_buf_done(&text);
}

/* Whatever is not written allows nothing. */
static void test_dstack(void **state)
{
    (void)state;
    struct ms_buf text = MS_BUF_INIT(1000);
    uint8_t id[BOOT_APP_ID_BYTES] = {0};
    struct config *c = must_parse("");
    assert_false(c->dstack.enabled);
    config_free(c);

    c = must_parse("[dstack]\n");
    const struct config_dstack *d = &c->dstack;
    assert_true(d->enabled);
    assert_true(d->kms_specifier == NULL && d->gateway_app_id == NULL && d->n_apps == 0);
    assert_int_equal(d->deadline_s, 5);
    assert_false(d->sign || d->policy.any_device);
    assert_int_equal(d->policy.tcb_statuses.n, 1);
    assert_string_equal(d->policy.tcb_statuses.items[0], "UpToDate");
    assert_int_equal(d->policy.advisories.n + d->policy.devices.n + d->policy.aggregated_mrs.n, 0);
    assert_null(config_dstack_app(c, id));
    config_each_warning(c, collect, &text);
    assert_non_null(strstr(ms_buf_str(&text), "every boot is refused"));
    config_free(c);

    c = must_parse("[dstack]\nkms-specifier = some;thing\ngateway-app-id = 0xab\ndeadline = 2s\n"
                   "sign = yes\nallowed-tcb-statuses =\nallowed-advisories = A-1 , A-2\n"
                   "devices = " HASH31 "0F, 0x" HASH31 "f0\nallow-any-device = yes\n"
                   "kms-mr-aggregated = " HASH31 "01\n"
                   "[dstack-app 0x" APP19 "aa]\nspecifier = one\n"
                   "[alias a]\nspecifier = x\n"
                   "[dstack-app " APP19 "BB]\nspecifier = two\n");
    d = &c->dstack;
    assert_string_equal(d->kms_specifier, "some;thing");
    assert_string_equal(d->gateway_app_id, "0xab");
    assert_true(d->deadline_s == 2 && d->sign && d->policy.any_device);
    assert_int_equal(d->policy.tcb_statuses.n, 0); /* nothing is up to date enough */
    assert_int_equal(d->policy.advisories.n, 2);
    assert_string_equal(d->policy.advisories.items[1], "A-2");
    assert_int_equal(d->policy.devices.n, 2);
    assert_int_equal(d->policy.devices.items[0].b[31], 0x0f);
    assert_int_equal(d->policy.devices.items[1].b[31], 0xf0);
    assert_int_equal(d->policy.aggregated_mrs.items[0].b[31], 1);
    assert_int_equal(d->n_apps, 2);
    assert_null(config_dstack_app(c, id));
    memcpy(id, d->apps[1].id, sizeof(id));
    assert_int_equal(id[19], 0xbb);
    assert_string_equal(config_dstack_app(c, id)->specifier, "two");
    ms_buf_reset(&text);
    config_each_warning(c, collect, &text);
    assert_non_null(strstr(ms_buf_str(&text), "of no use"));
    config_free(c);
    ms_buf_done(&text);
}

static void test_fixed_difference(void **state)
{
    (void)state;
    struct config *a = must_parse(""), *b = must_parse("[policy]\npoll = 5s\n"),
                  *c = must_parse("[server]\nhttp-listen = 127.0.0.1:1\n"),
                  *d = must_parse("[dstack]\nsign = yes\n");
    assert_string_equal(config_fixed_difference(a, d), "dstack.sign");
    config_free(d);
    assert_null(config_fixed_difference(a, b));
    assert_string_equal(config_fixed_difference(a, c), "server.http-listen");
    config_free(a);
    config_free(b);
    config_free(c);
}

static void test_log(void **state)
{
    (void)state;
    static const char text[] = "[log]\norigin = log.example/1\n[witness a]\n" URL "key = " WITNESS
                               "\n[witness b]\nurl = http://127.0.0.1:1/w\n"
                               "key = " WITNESS "\n";
    struct config *config = NULL, *plain = NULL;

    assert_int_equal(parse(text, strlen(text), &root, &config, NULL), MS_OK);
    assert_string_equal(config->log_origin, "log.example/1");
    assert_int_equal(config->n_witnesses, 2);
    assert_string_equal(config->witnesses[0].vkey.name, "w.example/1");
    assert_int_equal(config->witnesses[0].vkey.type, MSIG_NOTE_COSIGNATURE);
    assert_string_equal(config->witnesses[1].url, "http://127.0.0.1:1/w");
    assert_int_equal(parse("", 0, &root, &plain, NULL), MS_OK);
    assert_null(plain->log_origin);
    assert_string_equal(config_fixed_difference(plain, config), "log.origin");
    config_free(config);
    config_free(plain);
}

/* Cutting the example anywhere never reads beyond the end, and what parses is whole. */
static void test_prefixes(void **state)
{
    (void)state;
    for (size_t len = 0; len < strlen(example); len++) {
        struct config *config = NULL;
        struct ms_diag diag = {0};
        enum ms_err err = parse(example, len, &root, &config, &diag);
        assert_true(err == MS_OK || (err == MS_ERR_CONFIG && diag.text[0] != '\0'));
        config_free(config);
    }
}

struct page {
    struct ms_buf text;
    size_t keys;
};

static void find_key(void *arg, const struct config_key *key)
{
    struct page *page = arg;
    struct ms_buf row = MS_BUF_INIT(512);
    bool named = strcmp(key->section, "rpc") == 0 || strcmp(key->section, "alias") == 0 ||
                 strcmp(key->section, "dstack-app") == 0 || strcmp(key->section, "witness") == 0;
    const char *fallback = key->required              ? "required"
                           : key->fallback[0] == '\0' ? "empty"
                                                      : key->fallback;

    ms_buf_addf(&row, "\n### `%s` in `[%s%s]`\n\nType: %s. Default: %s. Reload: %s.\n", key->key,
                key->section, named ? " NAME" : "", key->type, fallback,
                key->reloadable ? "yes" : "no");
    if (strstr(ms_buf_str(&page->text), ms_buf_str(&row)) == NULL)
        fail_msg("docs/configuration.md lacks%s", ms_buf_str(&row));
    page->keys++;
    ms_buf_done(&row);
}

/* Each key of the table stands in the page with its type, default and whether a reload applies it,
 * and the page describes no other. */
static void test_docs(void **state)
{
    (void)state;
    struct page page = {.text = MS_BUF_INIT(200000)};
    FILE *f = fopen("docs/configuration.md", "r");
    if (f == NULL)
        fail_msg("docs/configuration.md: run from the source tree");
    for (int c = fgetc(f); c != EOF; c = fgetc(f))
        ms_buf_add_byte(&page.text, (uint8_t)c);
    (void)fclose(f);
    config_each_key(find_key, &page);
    size_t headings = 0;
    for (const char *at = ms_buf_str(&page.text); (at = strstr(at, "\n### `")) != NULL; at++)
        headings++;
    assert_int_equal(headings, page.keys);
    ms_buf_done(&page.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_all_set),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_specifier_callback),
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_long_runtime_dir),
        cmocka_unit_test(test_load_file),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_dstack),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_fixed_difference),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_docs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
