#!/bin/bash
# Sets of signers through the daemon: what a URL https://2of3:0x..,0x..,0x..@HOST resolves to, and that nothing which
# its server can do - other signers, older sets, other sets - takes the good set away or puts another in its place.
set -euo pipefail
build=${1:?usage: signed_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; tls_stop; rm -rf "$work"' EXIT

signers=()
for fill in a1 b2 c3 d4; do
    install -m 600 <(printf "$fill%.0s" {1..32}) "$work/$fill.key"
    signers+=("$("$RIG_TOOLS/release_tool" owner $fill)")
done
tls_start "$work/tls" --host docs.example.test
www=$work/tls/www/.well-known/measured
mkdir -p "$www"
spec=2of3:${signers[0]},${signers[1]},${signers[2]}
url=https://$spec@docs.example.test:$TLS_PORT/

measurements() { # FILL: a document whose record is named rFILL
    printf '[{"measurement_id":"r%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
        "$1" "$(printf "$1%.0s" {1..48})" >"$work/m$1.json"
}
release() { measuredctl release "$@" 2>"$work/words" || fail "release $*: $(cat "$work/words")"; }
sign() { # FILE KEY...
    local file=$1 key
    shift
    for key in "$@"; do release sign --key-file "$work/$key.key" --replace -o "$file" "$file"; done
}
# set NAME FILL [--option ...]: an unsigned set of one release
set_of() {
    local name=$1 fill=$2
    shift 2
    measurements "$fill"
    release new --version "$((16#$fill))" --replace -o "$work/$name.json" "$@" "$work/m$fill.json"
}
publish() { cp "$work/$1.json" "$www/${2:-set.json}"; }
listed() {
    get "/v1/measurements?url=$url"
    grep -o '"measurement_id":"[a-z0-9]*"' "$work/body" | cut -d'"' -f4 | xargs
}
# Fetched now and refused for this cause, while the good set is served on.
refused() { # WHAT CODE
    if measuredctl --json refresh "$url" >"$work/refresh" 2>&1; then fail "$1: accepted"; fi
    grep -q "\"code\":\"$2\"" "$work/refresh" || fail "$1: not $2: $(cat "$work/refresh")"
    [ "$(listed)" = r11 ] || fail "$1: the good set is gone: $(head -c 300 "$work/body")"
}
accepted() { # WHAT RECORDS
    measuredctl refresh "$url" >"$work/refresh" 2>&1 || fail "$1: $(cat "$work/refresh")"
    [ "$(listed)" = "$2" ] || fail "$1: $(head -c 300 "$work/body") instead of $2"
}
configure() {
    daemon_config "$work" <<CONF
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
CONF
}

configure
daemon_start "$work"

# nobody said where
get "/v1/resolve?specifier=$spec"
want 503 'a bare specifier'
body_has 'ask with the whole URL'

set_of first 11
sign "$work/first.json" a1 b2
publish first
get "/v1/resolve?url=$url"
want 200 'the first set'
body_has '"state":"fresh"'
body_has '"trust":"signers 2/3"'
body_has '"sequence":1'
body_has '"threshold":2'
[ "$(listed)" = r11 ] || fail "the first set: $(head -c 300 "$work/body")"
# ... and now the bare one is known, too: it is the same entry
get "/v1/measurements?specifier=$spec"
want 200 'the bare specifier afterwards'

set_of one 22 --sequence 2 && sign "$work/one.json" a1 && publish one
refused 'one of two signatures' signature
set_of stranger 22 --sequence 2 && sign "$work/stranger.json" a1 d4 && publish stranger
refused 'a stranger' signature
set_of app 22 --sequence 2 --app other && sign "$work/app.json" a1 b2 && publish app
refused 'another application' signers
set_of old 22 --sequence 2 --issued-at 2026-01-01T00:00:00Z --days 30 && sign "$work/old.json" a1 b2 && publish old
refused 'an expired set' stale
set_of future 22 --sequence 2 --issued-at "$(date -u -d '+2 hours' +%Y-%m-%dT%H:%M:%SZ)" &&
    sign "$work/future.json" a1 b2 && publish future
refused 'a future-dated set' clock-suspect
set_of fork 22 --sequence 2 && sign "$work/fork.json" a1 b2 && publish fork
refused 'a set that does not name the one before it' rollback
echo '{"type":"measured-release-set/1"}' >"$www/set.json"
refused 'half a document' syntax
rm "$www/set.json"
refused 'no document' not-found

# the next one
measurements 22
release new --previous "$work/first.json" --version 2.0.0 -o "$work/second.json" "$work/m22.json"
sign "$work/second.json" b2 c3
publish second
accepted 'the second set' 'r11 r22'
publish first
if measuredctl --json refresh "$url" >"$work/refresh" 2>&1; then fail 'a lower sequence: accepted'; fi
grep -q '"code":"rollback"' "$work/refresh" || fail "a lower sequence: $(cat "$work/refresh")"
[ "$(listed)" = 'r11 r22' ] || fail 'a lower sequence'

# what was verified is on disk: after a restart the server's older set is still refused
daemon_stop || fail "the daemon ended with $?"
daemon_start "$work"
# ... and so is where that is, for who does not name a host
if measuredctl --json refresh "$spec" >"$work/refresh" 2>&1; then fail 'a lower sequence after a restart: accepted'; fi
grep -q '"code":"rollback"' "$work/refresh" || fail "after a restart: $(cat "$work/refresh")"
[ "$(listed)" = 'r11 r22' ] || fail "after a restart: $(head -c 300 "$work/body")"

# one sequence, two sets: nothing is served until the signers say more
release new --previous "$work/first.json" --version 3.0.0 -o "$work/twin.json" "$work/m22.json"
sign "$work/twin.json" a1 b2
publish twin
measuredctl refresh "$url" >/dev/null 2>&1 && fail 'two sets of one sequence: accepted'
get "/v1/measurements?url=$url"
want 409 'two sets of one sequence'
publish second
measuredctl refresh "$url" >/dev/null 2>&1 && fail 'back to the first of two'
get "/v1/measurements?url=$url"
want 409 'a conflict does not clear by itself'
release new --previous "$work/second.json" --drop 1 -o "$work/third.json"
sign "$work/third.json" a1 c3
publish third
accepted 'a higher sequence ends the conflict' r22

# another root: its epoch begins a new count, and who revokes needs no threshold
refuses() { # WHAT CODE RECORDS
    measuredctl --json refresh "$url" >"$work/refresh" 2>&1 && fail "$1: accepted"
    grep -q "\"code\":\"$2\"" "$work/refresh" || fail "$1: not $2: $(cat "$work/refresh")"
    [ "$(listed)" = "$3" ] || fail "$1: $(head -c 300 "$work/body") instead of $3"
}
release root new --signers "2of3:${signers[1]},${signers[2]},${signers[3]}" --revokers "${signers[3]}" \
    -o "$work/1.root.json"
sign "$work/1.root.json" b2 c3
cp "$work/1.root.json" "$www/1.root.json"
refuses 'the old set has too few of the new signers' signature r22
# ... and it is not forgotten, though nothing was accepted with it and the server takes it back
rm "$www/1.root.json"
release new --previous "$work/third.json" -o "$work/fourth.json"
sign "$work/fourth.json" a1 b2
publish fourth
refuses 'signers of before the root' signature r22
cp "$work/1.root.json" "$www/1.root.json"
set_of renewed 33 --sequence 1 && sign "$work/renewed.json" c3 d4 && publish renewed
accepted 'a lower sequence of a higher epoch' r33
release revoke --set "$work/renewed.json" --id 1 --reason 1 -o "$work/revocations.json"
sign "$work/revocations.json" d4
cp "$work/revocations.json" "$www/"
measuredctl refresh "$url" >/dev/null 2>&1 || fail "a revocation: exit $?"
get "/v1/resolve?url=$url"
body_has '"state":"revoked"'
[ -z "$(listed)" ] || fail 'revoked, and listed'

# a server that forgets roots and revocations brings nothing back, nor does a restart
rm "$www/1.root.json" "$www/revocations.json"
daemon_stop || fail "the daemon ended with $?"
daemon_start "$work"
measuredctl refresh "$url" >/dev/null 2>&1 || fail "a server that forgets: exit $?"
[ -z "$(listed)" ] || fail "a server that forgets: $(head -c 300 "$work/body")"
publish third
measuredctl --json refresh "$url" >"$work/refresh" 2>&1 && fail 'signers of the first epoch: accepted'
grep -q '"code":"signature"' "$work/refresh" || fail "signers of the first epoch: $(cat "$work/refresh")"
[ -z "$(listed)" ] || fail 'signers of the first epoch'

daemon_stop || fail "the daemon ended with $?"
check_log "$work"
check_end
