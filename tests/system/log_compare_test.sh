#!/bin/bash
# Two daemons that were told different things find out by their logs, and keep what each of them saw: an https list, a
# set of signers with two contents of one sequence, and one log that was shown in two versions.
set -euo pipefail
build=${1:?usage: log_compare_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; tls_stop; rm -rf "$work"' EXIT

document() { # NAME
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]\n' "$1" 7
}
tls_start "$work/tls" --host docs.example.test
www=$work/tls/www
docs=docs.example.test:$TLS_PORT
list=$(measuredctl url --host h --location "https://$docs/list.json" 2>/dev/null)

# One set of sequence 1 for each daemon, both signed by all who have to.
signers=()
for fill in a1 b2; do
    install -m 600 <(printf "$fill%.0s" {1..32}) "$work/$fill.key"
    signers+=("$("$RIG_TOOLS/release_tool" owner $fill)")
done
signed=https://2of2:${signers[0]},${signers[1]}@$docs/
for name in first second; do
    document "signed-$name" >"$work/m.json"
    measuredctl release new --version 1.0.0 -o "$work/$name.json" "$work/m.json" 2>/dev/null
    for fill in a1 b2; do
        measuredctl release sign --key-file "$work/$fill.key" --replace -o "$work/$name.json" "$work/$name.json" 2>/dev/null
    done
done
mkdir -p "$www/.well-known/measured"

serve() { # LIST SET: what the host tells whom it is asked by now
    document "$1" >"$www/list.json"
    cp "$work/$2.json" "$www/.well-known/measured/set.json"
}
start() { # FOLDER
    [ -e "$1/measured.conf" ] || daemon_config "$1" <<END
[fetch]
ca-file = $TLS_CA
resolve = $docs:127.0.0.1
END
    daemon_start "$1"
}
refresh() { measuredctl refresh "$1" >"$work/words" 2>&1 || fail "refresh $1: $(cat "$work/words")"; }
size_is() { [ "$(daemon_get /v1/log/checkpoint | sed -n 2p)" = "$1" ]; }
export_log() { # FOLDER SIZE TO: once it has that many entries
    eventually 5 size_is "$2" || fail "the log of $1 has not $2 entries"
    measuredctl log export "$3" --db "$1/state/measured.db" --evidence 2>/dev/null || fail "no export of $1"
}
# compare EXIT FLAGS...: words in $work/err, findings in $work/out, a fresh $work/kept
compare() {
    local want=$1 status=0
    shift
    rm -rf "$work/kept"
    measuredctl log compare --db "$work/a/state/measured.db" --keep "$work/kept" "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" = "$want" ] || fail "compare $*: exit $status: $(cat "$work/out" "$work/err")"
}
says() { grep -q -- "$1" "$work/err" || fail "not '$1': $(cat "$work/err")"; }
findings() { # KIND...: these, in any order
    local got
    got=$(cut -f1 "$work/out" | sort | xargs)
    [ "$got" = "$*" ] || fail "findings '$got' instead of '$*'"
}
# a_bundle FILE NAME NOT: it verifies, has the first name and not the other, and is named by specifier and hash
a_bundle() {
    measuredctl audit --bundle "$1" --json >"$work/audit" 2>&1 || fail "$1 does not verify: $(cat "$work/audit")"
    grep -q "\"measurement_id\": *\"$2\"" "$work/audit" || fail "$1 does not have $2"
    ! grep -q "\"$3\"" "$work/audit" || fail "$1 has $3"
    [[ $1 == */${spec:0:16}-*-$(sha256sum <"$1" | cut -c1-16).json ]] || fail "$1 is not named by its specifier and hash"
}
# kept KIND NAME NAME: of that finding, ours is the first and theirs the other
kept() {
    local kind spec n m ours theirs
    IFS=$'\t' read -r kind spec n m ours theirs < <(grep "^$1"$'\t' "$work/out") || { fail "no $1"; return; }
    [ "$n" -ge 1 ] && [ "$m" -ge 1 ] || fail "$kind: entries $n and $m"
    a_bundle "$ours" "$2" "$3"
    a_bundle "$theirs" "$3" "$2"
}

# ---- the same told to both ----
serve list-first first
start "$work/a"
refresh "$list"
refresh "$signed"
export_log "$work/a" 2 "$work/afiles"
akey=$(measuredctl log key)
daemon_stop || fail "a ended with $?"
start "$work/b"
refresh "$list"
refresh "$signed"
export_log "$work/b" 2 "$work/bfiles"
daemon_stop || fail "b ended with $?"
compare 0 --against "$work/bfiles"
says '2 specifiers are in both logs; 0 findings'
[ ! -s "$work/out" ] || fail "findings: $(cat "$work/out")"
[ ! -e "$work/kept" ] || fail 'a folder for nothing'

# ---- each told something else ----
rm -rf "$work/b" "$work/bfiles"
serve list-second second
start "$work/b"
refresh "$list"
refresh "$signed"
bkey=$(measuredctl log key)
export_log "$work/b" 2 "$work/bfiles"
daemon_stop || fail "b ended with $?"
compare 1 --against "$work/bfiles" --against-key "$bkey" --key "$akey"
says '2 specifiers are in both logs; 2 findings'
findings contradiction difference
kept difference list-first list-second
kept contradiction signed-first signed-second
# a list has no sequence: what is long ago is no difference. Two sets of one sequence are one for ever.
compare 1 --against "$work/bfiles" --window 0
findings contradiction
compare 1 --against "$work/bfiles" --json
grep -q '"conflict": *true' "$work/out" || fail 'no JSON of a conflict'
grep -q '"sequence": *1' "$work/out" || fail 'no sequence of the contradiction'
grep -q '"evidence_missing": *0' "$work/out" || fail "what is kept: $(cat "$work/out")"
# a bundle that its log does not have any more, or not as it was: told, and still a finding
for file in "$work/bfiles/v1/evidence/"*; do : >"$file"; done
compare 1 --against "$work/bfiles"
findings contradiction difference
says 'the evidence of theirs entry [12] could not be kept'
rm "$work/bfiles/v1/evidence/"*
compare 1 --against "$work/bfiles" --json
grep -q '"evidence_missing": *2' "$work/out" || fail "lost evidence is not counted: $(cat "$work/out")"

# ---- one log in two versions ----
grow() { # LIST: the log of a goes on from where it is; its checkpoint and files under that name
    document "$1" >"$www/list.json"
    start "$work/a"
    refresh "$list"
    eventually 5 size_is 3 || fail "$1: not a third entry"
    daemon_get /v1/log/checkpoint >"$work/cp-$1"
    export_log "$work/a" 3 "$work/files-$1"
    daemon_stop || fail "a ended with $?"
}
cp -r "$work/a/state" "$work/before"
grow list-third
compare 0 --against "$work/afiles"
says 'one continues the other'
rm -rf "$work/a/state"
mv "$work/before" "$work/a/state" # with all it knew of what it had signed
grow list-fourth
compare 1 --against "$work/files-list-third" --against-key "$akey"
says 'it was shown in two versions'
findings split
kept split list-fourth list-third
[ "$(cut -f3,4 "$work/out")" = "3"$'\t'"3" ] || fail "the split is at $(cut -f3,4 "$work/out")"
compare 0 --against "$work/afiles" # what both versions have
says 'one continues the other'
growth() { # EXIT NEW OLD FILES
    local status=0
    measuredctl log verify "$work/cp-$2" --old "$work/cp-$3" --key "$akey" --from "$work/files-$4" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" = "$1" ] || fail "cp-$2 from cp-$3: exit $status: $(cat "$work/err")"
}
growth 0 list-third list-third list-third
growth 1 list-third list-fourth list-third
says 'does not continue .*keep both'
growth 1 list-fourth list-third list-fourth
says 'does not continue .*keep both'

# ---- the other log on a web server ----
tls_stop
tls_start "$work/web" --plain
cp -r "$work/bfiles/." "$work/web/www"
compare 1 --against "http://127.0.0.1:$TLS_PORT"
findings contradiction difference difference # the fourth list came within ten minutes, too
compare 1 --against "http://127.0.0.1:$TLS_PORT" --against-key "$akey"
says 'not signed by'
printf '!status 500\n' >"$work/web/www/v1/log/checkpoint.http"
compare 3 --against "http://127.0.0.1:$TLS_PORT"
says 'status 500'
compare 3 --against "$work/nothing"
says 'nothing/v1/log/key: No such file'

check_log "$work/a"
check_log "$work/b"
check_end
