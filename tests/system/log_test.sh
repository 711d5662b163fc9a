#!/bin/bash
# The transparency log of the real daemon: it grows with what is accepted, its proofs verify without the daemon, whoever
# changes it is found, a witness cosigns it, and an older database put back is not signed over.
set -euo pipefail
build=${1:?usage: log_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
WITNESS_PID=
witness_stop() {
    [ -n "$WITNESS_PID" ] || return 0
    kill "$WITNESS_PID" 2>/dev/null || true
    wait "$WITNESS_PID" 2>/dev/null || true
    WITNESS_PID=
}
trap 'daemon_stop || true; tls_stop; witness_stop; rm -rf "$work"' EXIT

doc() { # N
    printf '[{"measurement_id":"n%05d","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]\n' "$1" "$1"
}
inline() { doc "$1" | base64 -w0 | tr -d '=\n' | tr '+/' '-_'; } # base64url: nothing to escape
publish() { # N
    doc "$1" >"$work/new"
    mv "$work/new" "$work/tls/www/doc.json"
}
tls_start "$work/tls" --host docs.example.test
printf 'Cache-Control: max-age=60\n' >"$work/tls/www/doc.json.http"
configure() { # FOLDER, then more on stdin
    daemon_config "$1" <<END
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
$(cat)
END
}
url=$(measuredctl url --host h --location "https://docs.example.test:$TLS_PORT/doc.json")
spec=${url#https://}
spec=${spec%%@*}
refresh() { SOCKET=$MEASURED_SOCKET_DIR/admin.sock get "/v1/refresh?specifier=$spec" -X POST; }
size() { daemon_get /v1/log/checkpoint | sed -n 2p; }
size_is() { [ "$(size)" = "$1" ]; }
verify() { measuredctl log verify "$@" >"$work/out" 2>"$work/err"; }
refused() { # WORDS, then arguments of verify
    local words=$1 status=0
    shift
    verify "$@" || status=$?
    [ "$status" = 1 ] || fail "verify $*: exit $status: $(cat "$work/err")"
    grep -q -- "$words" "$work/err" || fail "verify $*: not '$words': $(cat "$work/err")"
}

# ---- it grows ----
configure "$work/a" <<END
[log]
origin = measured.one.example/log
END
daemon_start "$work/a"
get /v1/log/checkpoint
want 200 'the first checkpoint'
head_has '^content-type: text/plain; charset=utf-8'
head_has '^cache-control: no-store'
[ "$(size)" = 0 ] || fail "an empty log has size $(size)"
key=$(measuredctl log key)
[[ $key == measured.one.example/log+* ]] || fail "the key is $key"
[ "$(stat -c %a "$work/a/state/log.key")" = 600 ] || fail 'others may read the key'
for n in $(seq 3); do
    publish "$n"
    refresh
    want 200 "change $n"
done
eventually 5 size_is 3 || fail "three changes, and the log has $(size)"
daemon_get /v1/log/checkpoint >"$work/cp3"
for n in $(seq 270); do # inline documents: a change each
    printf 'url = "http://localhost/v1/measurements?specifier=%s"\noutput = /dev/null\n' "$(inline "$n")"
done >"$work/many"
curl -sS --unix-socket "$MEASURED_SOCKET_DIR/api.sock" -K "$work/many"
eventually 10 size_is 273 || fail "273 changes, and the log has $(size)"
daemon_get /v1/log/checkpoint >"$work/cp273"
[ "$(daemon_get /metrics | sed -n 's/^measured_log_size //p')" = 273 ] || fail 'the metrics know another size'
measuredctl --json status | grep -q '"size": *273' || fail 'the status knows another size'

# ---- tiles ----
get /v1/log/tile/0/000
want 200 'a full tile'
head_has '^content-type: application/octet-stream'
head_has '^cache-control: .*immutable'
[ "$(stat -c %s "$work/body")" = 8192 ] || fail 'a full tile is not 8192 bytes'
cp "$work/body" "$work/tile"
get /v1/log/tile/0/000.p/100
cmp -s "$work/body" <(head -c 3200 "$work/tile") || fail 'a part of a tile is not its beginning'
get /v1/log/tile/0/001.p/17
want 200 'the last tile'
get /v1/log/tile/1/000.p/1
want 200 'the tile above'
for path in tile/0/001 tile/0/001.p/18 tile/1/000 tile/0/002.p/1 tile/0/1 tile/entries/002 tile/x nothing; do
    get "/v1/log/$path"
    want 404 "$path"
done
get /v1/log/proof
want 400 'a proof of nothing'
get '/v1/log/proof?leaf=273'
want 404 'a leaf that is not there'
get '/v1/log/growth?old=274'
want 404 'growth from what is not there'
get /v1/log/checkpoint -X POST
want 405 'POST'

# ---- proofs, without the daemon ----
measuredctl log prove "$spec" 2 -o "$work/two.tlog-proof"
measuredctl log prove --leaf 270 >"$work/l270.tlog-proof"
daemon_get '/v1/log/proof?leaf=270' | cmp -s - "$work/l270.tlog-proof" || fail 'the daemon makes another proof'
daemon_get '/v1/log/growth?old=3' >"$work/growth"
measuredctl log export "$work/files" --db "$work/a/state/measured.db" --evidence
daemon_stop || fail 'the daemon did not end well'
export MEASURED_SOCKET_DIR=$work/none
verify "$work/two.tlog-proof" --key "$key" || fail "proof: $(cat "$work/err")"
grep -q '"n":2,' "$work/out" || fail "not the second change: $(cat "$work/out")"
evidence=$(sed 's/.*"evidence":"\([0-9a-f]*\)".*/\1/' "$work/out")
verify "$work/two.tlog-proof" --key "$key" --evidence "$work/files/v1/evidence/$evidence" || fail "evidence: $(cat "$work/err")"
verify "$work/l270.tlog-proof" --key "$key" || fail "proof of leaf 270: $(cat "$work/err")"
verify "$work/growth" --key "$key" --old "$work/cp3" || fail "growth: $(cat "$work/err")"
verify "$work/cp273" --key "$key" --old "$work/cp3" --from "$work/files" || fail "growth by tiles: $(cat "$work/err")"
verify "$work/cp273" --key "$key" --old "$work/cp3" --db "$work/a/state/measured.db" || fail "growth by rows: $(cat "$work/err")"
measuredctl --json log verify "$work/cp273" --key "$key" | grep -q '"size": *273' || fail 'no JSON'
measuredctl log checkpoint --from "$work/files" --key "$key" | cmp -s - "$work/cp273" || fail 'the folder has another checkpoint'
measuredctl log checkpoint --db "$work/a/state/measured.db" | cmp -s - "$work/cp273" || fail 'the database has another checkpoint'
measuredctl log prove --leaf 270 --from "$work/files" --key "$key" | cmp -s - "$work/l270.tlog-proof" || fail 'another proof by tiles'

# ---- nothing else verifies ----
other='measured.one.example/log+00000000+AbgmZ3LPjgK6Ytd42+DiKLKqi/zTKaZOV7e5v6d3p44u'
status=0
verify "$work/cp273" --key "$other" || status=$?
[ "$status" = 2 ] || fail 'a key whose id is not its own was taken'
status=0
verify "$work/cp273" || status=$?
[ "$status" = 2 ] || fail 'no key, and no complaint'
refused 'is not the evidence' "$work/two.tlog-proof" --key "$key" --evidence "$work/cp3"
refused 'is wrong' <(sed 's/^273$/274/' "$work/cp273") --key "$key"
refused 'is not leaf' <(sed 's/^index 270/index 271/' "$work/l270.tlog-proof") --key "$key"
refused 'is not leaf' "$work/l270.tlog-proof" --key "$key" --entry "$work/cp3"
refused 'does not continue' <(sed '2{h;d};3G' "$work/growth") --key "$key" --old "$work/cp3"
refused 'the proof is from 3 entries' "$work/growth" --key "$key" --old "$work/cp273"
refused 'the wrong way round' "$work/cp3" --key "$key" --old "$work/cp273" --from "$work/files"
flip() { # FILE BYTE: its lowest bit
    local byte
    byte=$(od -An -tu1 -j "$2" -N1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059 # the byte is the format
    printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
damaged() { # FILE BYTE COMMAND...: with that byte changed the command says no
    local file=$1 at=$2 status=0
    shift 2
    cp "$file" "$work/whole"
    flip "$file" "$at"
    "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" = 1 ] || fail "byte $at of $file changed, and $* exits $status: $(cat "$work/err")"
    cp "$work/whole" "$file"
}
prove_by_files() { measuredctl log prove --leaf 5 --from "$work/files" --key "$key"; }
find_by_files() { measuredctl log prove "$spec" 2 --from "$work/files" --key "$key"; }
prove_by_files >"$work/out"
tiles=$work/files/v1/log/tile
for at in 0 130 8000; do # what the proof of leaf 5 goes by
    damaged "$tiles/0/000" "$at" prove_by_files; done
damaged "$tiles/0/001.p/17" 3 prove_by_files
damaged "$tiles/entries/000" 2600 prove_by_files
damaged "$tiles/entries/001.p/17" 100 find_by_files
damaged "$work/files/v1/log/checkpoint" 30 prove_by_files
for at in 0 30 40 100 150; do damaged "$work/cp3" "$at" measuredctl log verify "$work/cp3" --key "$key"; done
size_of=$(stat -c %s "$work/l270.tlog-proof")
for at in $(seq 7 41 "$((size_of - 1))"); do
    damaged "$work/l270.tlog-proof" "$at" measuredctl log verify "$work/l270.tlog-proof" --key "$key"
done

# ---- a log of another program may hold any bytes: none of them reaches a terminal ----
openssl genpkey -algorithm ed25519 -out "$work/evil.pem" 2>/dev/null
b64() { base64 -w0; }
public() { openssl pkey -in "$work/evil.pem" -pubout -outform DER | tail -c 32; }
printf '\033]0;title\a\302\233' >"$work/entry"
{
    printf 'evil\n1\n'
    { printf '\0' && cat "$work/entry"; } | openssl dgst -sha256 -binary | b64
    echo
} >"$work/evil.body"
openssl pkeyutl -sign -rawin -inkey "$work/evil.pem" -in "$work/evil.body" -out "$work/evil.sig"
{ printf 'evil\n\001' && public; } | openssl dgst -sha256 -binary | head -c 4 >"$work/evil.id"
{
    printf 'c2sp.org/tlog-proof@v1\nextra %s\nindex 0\n\n' "$(b64 <"$work/entry")"
    cat "$work/evil.body"
    printf '\n— evil %s\n' "$(cat "$work/evil.id" "$work/evil.sig" | b64)"
} >"$work/evil.tlog-proof"
evil=evil+$(od -An -tx1 <"$work/evil.id" | tr -d ' \n')+$({ printf '\001' && public; } | b64)
verify "$work/evil.tlog-proof" --key "$evil" || fail "a proof of another log: $(cat "$work/err")"
[ "$(cat "$work/out")" = '?]0;title???' ] || fail "an entry is printed as it is: $(od -c "$work/out")"

# ---- an older database put back, and a rewritten one ----
cp -r "$work/a/state" "$work/older"
daemon_start "$work/a"
publish 4
refresh
want 200 'a change after a restart'
eventually 5 size_is 274 || fail "after a restart the log has $(size)"
daemon_get /v1/log/checkpoint >"$work/cp274"
verify "$work/cp274" --key "$key" --old "$work/cp273" || fail "it does not continue after a restart: $(cat "$work/err")"
daemon_stop || fail 'the daemon did not end well'
cp "$work/older/measured.db" "$work/a/state/measured.db"
rm -f "$work/a/state/measured.db-wal" "$work/a/state/measured.db-shm"
daemon_start "$work/a"
grep -q 'error log: frozen .*one of 274 was signed' "$DAEMON_LOG" || fail "an older database went unnoticed: $(cat "$DAEMON_LOG")"
publish 5
refresh
want 200 'a change while the log is frozen'
sleep 1.5
[ "$(size)" = 273 ] || fail 'it was signed over an older database'
[ "$(daemon_get /metrics | sed -n 's/^measured_log_frozen //p')" = 1 ] || fail 'the metrics do not tell'
daemon_stop || fail 'the daemon did not end well'
# nor does it forget what it signed because that cannot be read any more
cp "$work/a/state/log.checkpoint" "$work/signed274"
for spoilt in 's/^274$/275/' 's/^\(— .*\)./\1/' d; do
    sed "$spoilt" "$work/signed274" >"$work/a/state/log.checkpoint"
    daemon_start "$work/a"
    grep -q 'error log: frozen .*damaged' "$DAEMON_LOG" || fail "$spoilt: it signs on: $(cat "$DAEMON_LOG")"
    daemon_stop || fail 'the daemon did not end well'
done
# under a new key it goes on
rm "$work/a/state/log.key" "$work/a/state/log.checkpoint"
daemon_start "$work/a"
eventually 5 size_is 274 || fail "under a new key the log has $(size)"
[ "$(measuredctl log key)" != "$key" ] || fail 'the key is the old one'
refused 'not signed by' <(daemon_get /v1/log/checkpoint) --key "$key"
newkey=$(measuredctl log key)
daemon_get /v1/log/checkpoint >"$work/new274"
daemon_stop || fail 'the daemon did not end well'

# ---- a witness ----
start_witness() {
    : >"$work/wlog"
    "$RIG_TOOLS/witness" --name w.example/1 --seed 7 --state "$work/wstate" --mode "$work/wmode" --log "$work/wlog" \
        <<<"$newkey" >"$work/witness.out" 2>&1 &
    WITNESS_PID=$!
    port=$(rig_port_of "$work/witness.out" "$WITNESS_PID")
    wkey=$(sed -n 's/^Key //p' "$work/witness.out")
}
cosigned_size() { daemon_get /metrics | sed -n 's/^measured_log_cosigned_size //p'; }
cosigned_is() { [ "$(cosigned_size)" = "$1" ]; }
# it has seen the first 3 entries of this log already: 409 tells so
start_witness
root3=$(sed -n 3p "$work/cp3" | base64 -d | od -An -tx1 | tr -d ' \n')
witness_stop
echo "3 $root3" >"$work/wstate"
echo normal >"$work/wmode"
start_witness
configure "$work/a" <<END
[witness one]
url = http://127.0.0.1:$port/w
key = $wkey
END
daemon_start "$work/a"
eventually 10 cosigned_is 274 || fail "not cosigned: $(cat "$work/wlog" "$DAEMON_LOG")"
[ "$(cat "$work/wlog")" = "409 old 0 size 274
200 old 3 size 274" ] || fail "the witness was asked otherwise: $(cat "$work/wlog")"
daemon_get '/v1/log/checkpoint' >"$work/cosigned"
verify "$work/cosigned" --key "$newkey" --witness "$wkey" || fail "cosigned: $(cat "$work/err")"
daemon_get '/v1/log/checkpoint?cosigned=1' | cmp -s - "$work/cosigned" || fail 'another checkpoint is the cosigned one'
refused 'of 1 witnesses' "$work/new274" --key "$newkey" --witness "$wkey"
refused 'is wrong' <(sed '$s/.....$/AAAA=/' "$work/cosigned") --key "$newkey" --witness "$wkey"
measuredctl log prove "$spec" 1 --cosigned -o "$work/cosigned.tlog-proof"
verify "$work/cosigned.tlog-proof" --key "$newkey" --witness "$wkey" --quorum 1 || fail "proof with witness: $(cat "$work/err")"
daemon_stop || fail 'the daemon did not end well'

try_mode() { # MODE WORDS
    echo "$1" >"$work/wmode"
    publish "$((100 + ++tries))"
    daemon_start "$work/a"
    refresh
    want 200 "a change while the witness is $1"
    eventually 10 grep -q "warning witness: failed name=one cause=.*$2" "$DAEMON_LOG" || fail "$1: $(cat "$DAEMON_LOG")"
    measuredctl --json status | grep -q '"failures": *1' || fail "$1: the status does not tell"
    [ "$(cosigned_size)" != "$(size)" ] || fail "$1: it counts as cosigned"
    daemon_stop || fail 'the daemon did not end well'
}
tries=0
try_mode broken 'status 500'
try_mode forged 'signature of w.example/1 is wrong'
try_mode silent 'no signature line'
try_mode ahead 'another log under our key'
grep -q 'error witness: contradicts name=one its_size=28[0-9]' "$DAEMON_LOG" || fail "no alarm: $(cat "$DAEMON_LOG")"
witness_stop
publish 200
daemon_start "$work/a" # nobody there: what is asked is answered all the same
refresh
want 200 'a change without the witness'
eventually 10 grep -q 'warning witness: failed name=one' "$DAEMON_LOG" || fail 'a witness that is not there goes unnoticed'
daemon_stop || fail 'the daemon did not end well'

check_log "$work/a"
check_end
