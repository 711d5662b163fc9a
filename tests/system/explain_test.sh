#!/bin/bash
# measuredctl explain, url and lint as a person or a script uses them; no daemon, no network.
set -euo pipefail
build=${1:?usage: explain_test.sh BUILD_DIR}
ctl=$build/bin/measuredctl
[ -x "$ctl" ] || { echo "skipped: no $ctl"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bad=0
fail() {
    echo "FAILED: $*"
    bad=1
}
# run WANTED_EXIT_CODE ARGUMENT...: stdin is passed on; output in $work/out and $work/err.
run() {
    local want=$1 got=0
    shift
    "$ctl" "$@" >"$work/out" 2>"$work/err" || got=$?
    if [ "$got" -ne "$want" ]; then
        fail "measuredctl $(printf '%.60q ' "$@"): exit code $got instead of $want"
        cat "$work/out" "$work/err"
    fi
}
out_has() { grep -qF -- "$1" "$work/out" || { fail "stdout lacks $1:"; cat "$work/out"; }; }
err_has() { grep -qF -- "$1" "$work/err" || { fail "stderr lacks $1:"; cat "$work/err"; }; }
out_lacks() { ! grep -qF -- "$1" "$work/out" || { fail "stdout has $1:"; cat "$work/out"; }; }
quiet() { [ ! -s "$work/$1" ] || { fail "$1 is not empty:"; cat "$work/$1"; }; }

# The three URLs of the document this project grew from, verbatim.
inline='https://H4sIAAAAAAAAA82QTWoDMQyF9zlFmHUCsmxZnl6llCBZMhSaNjRTSCm5e53ZJKGQdFOoFsbo93vvcbHs8TW/pxi2LvuPd9/667R5tuFhOViV3Xqyw9oPst29+BpwWJ0HZJp8P8n0/Pa6mT53fjly2XexeN97zifnKvxIzWk/7LxOPnOQUYYCrqO3Uh1UpWW1amLuCtm5koIkC15DVi+5SCEZKaqoQyWnZBBqcSAQSs1DFeASGSmC4XB1/ri6Bgz3AROG7CNS4zG35FiwNulYaKkyS4HOPxaWJjgGIsmhWY1RTLsqUbAUAooaYSzs5NhboGtrWoSw8G1A/A0gd9VNeYQRu0cJAJQ4aE5eNUXsZJG4A3UpzcJMnTnkYmzcuHnBrq0brHLawN3YSLWl2Mgr0W3AeB8Q/jhuA6Z/B7i4/h0XT4tv+8/CCrEDAAA=@host.domain'
location='https://aHR0cHM6Ly9idWlsZGVybmV0LmZsYXNoYm90cy5uZXQvbWVhc3VyZW1lbnRzCg==@host.domain'
contract='https://0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD@host.domain'

run 0 explain --json "$inline"
quiet err
out_has '"kind":"inline","canonical":"sha256:f28a0698c27cf001c16eecdc12cee920ccc1143cc270cb37be112179f6a7add0"'
out_has '"host":"host.domain","port":null,"path":null'
out_has '{"code":"raw-slash",'
run 0 explain --json "$location"
out_has '"canonical":"url:https://buildernet.flashbots.net/measurements"'
out_has '"warnings":[]'
run 0 explain --json "$contract"
out_has '"canonical":"eip155:1:0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD"'
out_has '"key":"3144b952cfea5e6c49d5cea357d1b83d8ef25de6978eeaa5542b5fd9a2eaa495"'
out_has '"specifier":"0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD"'
out_has '{"code":"eip55",'

# For a person: host and specifier apart, no link.
run 0 explain "$inline"
quiet err
out_has 'host       host.domain'
out_has 'kind       inline'
out_has 'warning    raw-slash:'
out_lacks 'https://'

# What it was written as and what it becomes are one: the safe URL explains to the same key.
for url in "$inline" "$location" "$contract"; do
    run 0 --json explain "$url"
    key=$(grep -oE '"key":"[0-9a-f]{64}"' "$work/out")
    safe=$(sed -E 's/.*"url":"([^"]*)".*/\1/' "$work/out")
    case ${safe#https://} in */* | *+* | *=*) fail "not safe: $safe" ;; esac
    run 0 explain --json "$safe"
    out_has "$key"
    out_lacks '"code":"eip55"'
    out_lacks '"code":"raw-slash"'
done

# (Not through a pipe: a failure counted in its subshell would be lost.)
# stdin is read exactly: any byte, and a newline that echo adds is part of the text.
run 0 explain --json - < <(printf '%s' "$contract")
out_has '"kind":"contract"'
run 1 explain --json - < <(printf '%s\n' "$contract")
out_has '{"error":{"code":"url",'
run 1 explain --json - < <(printf '%s\0' "$contract")
out_has '{"error":{"code":"url",'
run 1 explain --json - < <(printf '0xde374479\0cEE0792f9c3fd389E5C28b8574b0a7dD')
out_has '{"error":{"code":"pct",'
run 1 explain --json - < <(printf '')
out_has '{"error":{"code":"spec",'
run 1 explain --json - < <(head -c 5000000 /dev/zero | tr '\0' 'A')
out_has '{"error":{"code":"limit",'
run 1 explain --json - < <(printf 'https://%s@host.domain/' "$(head -c 65536 /dev/zero | tr '\0' 'A')")
out_has '{"error":{"code":"limit",'

# Refusals say why: data with --json, words without.
run 1 explain 'https://a@b@host.domain/'
quiet out
err_has "two '@'"
run 1 explain --json 'https://0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD\@host.domain/'
quiet err
out_has '"code":"url"'
run 1 explain --json 'https://host.domain/x@y'
out_has '"code":"no-specifier"'
run 1 explain 'https://admin@host.domain/'
err_has 'not a specifier'
run 1 explain 02bf0241b30b9cb7db5f7fc41f9fb16dc220d0663c40de0924178ea4c25a8dea04
err_has '1of1:KEY'
run 1 explain $'\033[31m@host'
! grep -q $'\033' "$work/err" || fail 'an escape sequence reached the terminal'

# Usage errors name the argument and do not print the whole help.
run 2
err_has 'no command'
run 2 explian x
err_has "'explian'"
run 2 --frob explain x
err_has '--frob'
run 2 explain
err_has 'SPEC|URL|-'
run 2 explain a b
err_has "'b'"
run 2 explain --frob x
err_has '--frob'
run 2 explain --json=1 x
err_has '--json'
run 2 --socket
err_has '--socket'
run 2 url --contract 0x1
err_has '--host'
run 2 url --host h
err_has '--inline'
run 2 url --host h --location https://x.example/ --chain 1
err_has '--chain'
run 2 url --host h --host i --contract 0x1
err_has '--host'
[ "$(wc -l <"$work/err")" -eq 1 ] || fail 'more than one line for a usage error'
run 0 --help
out_has 'explain'
run 0 --version
out_has 'measuredctl '
run 0 explain --help
out_has 'usage: measuredctl explain SPEC|URL|-'

# The one safe URL.
run 0 url --host Host.Domain:8443 --contract 0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD --chain 10
[ "$(cat "$work/out")" = 'https://eip155:10:0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD@host.domain:8443' ] ||
    fail "$(cat "$work/out")"
err_has 'eip55'
run 1 url --host h --strict --contract 0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD
err_has '0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD'
run 1 url --host h --contract 0xde374479cEE0792f9c3fd389E5C28b8574b0a7d
run 1 url --host h --contract releases.eth
run 1 url --host h/x --contract 0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD
run 1 url --host u@h --contract 0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD
run 0 url --host h --location HTTPS://X.Example/a/../b
[ "$(cat "$work/out")" = https://aHR0cHM6Ly94LmV4YW1wbGUvYg@h ] || fail "$(cat "$work/out")"
run 1 url --host h --location http://x.example/
run 0 url --host h --signers 1:0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD,0x3f661c4CFdb8bc14D5C7A8B9A6f21B2c726BA2b7
[ "$(cat "$work/out")" = https://1of2:0x3f661c4CFdb8bc14D5C7A8B9A6f21B2c726BA2b7,0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD@h ] ||
    fail "$(cat "$work/out")"
run 1 url --host h --signers 3:0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD
register=$(printf '0123456789abcdef%.0s' 1 2 3 4 5 6)
printf '[{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"},"3":{"expected":"%s"}}}]\n' \
    "$register" "$register" >"$work/list.json"
run 0 url --host h --inline "$work/list.json"
url=$(cat "$work/out")
run 0 explain --json "$url"
out_has "\"canonical\":\"sha256:$(sha256sum <"$work/list.json" | cut -d' ' -f1)\""
run 0 url --host h --inline - --json <"$work/list.json"
out_has "{\"url\":\"$url\"}"
run 1 url --host h --inline /dev/null
head -c 40000 /dev/urandom | base64 -w0 | sed 's/.*/[{"measurement_id":"&"}]/' >"$work/large.json"
run 1 url --host h --inline "$work/large.json"
err_has '--location'
run 0 url --host h --contract 0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD --option 'level=l2;kind=safe'
[ "$(cat "$work/out")" = 'https://eip155:1:0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD;kind=safe;level=l2@h' ] ||
    fail "$(cat "$work/out")"
run 3 url --host h --inline "$work/missing"
err_has "$work/missing"

# lint: a file, a specifier, stdin.
run 0 lint "$work/list.json"
run 0 lint --json "$url"
out_has '"errors":0'
printf '[{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":{}}]' >"$work/bad.json"
run 1 lint "$work/bad.json"
out_has 'L001 error'
run 1 lint - <"$work/bad.json"
run 1 lint --json "$(base64 -w0 "$work/bad.json")"
out_has '"rule":"L001","grade":"error"'
run 3 lint "$contract"
run 1 lint "$work/missing.json"

# A compressed bomb costs no memory. The address sanitizer maps terabytes, so it cannot be limited.
bomb=$(head -c 8388608 /dev/zero | gzip -9n | base64 -w0)
run 1 explain --json "$bomb"
out_has '"code":"limit"'
if grep -q __asan_init "$ctl"; then
    echo 'note: built with the address sanitizer, no test under ulimit -v'
else
    (
        ulimit -v 65536
        run 1 explain --json "$bomb"
        out_has '"code":"limit"'
        run 0 explain --json "$inline"
        exit $bad
    ) || bad=1
fi
exit $bad
