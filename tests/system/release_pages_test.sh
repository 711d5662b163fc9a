#!/bin/bash
# docs/publish-signed-file.md and docs/key-rotation.md, followed to the letter: their shell blocks are run as they
# stand, the wallets are keys of this test, and releases.example.org is a server on loopback.
set -euo pipefail
build=$(realpath "${1:?usage: release_pages_test.sh BUILD_DIR}")
RIG_TOOLS=$build/tests
tree=$PWD
. tests/support/anvil.sh
. tests/support/tls.sh
MEASURED_BIN=$build/bin
. tests/support/daemon.sh
. tests/support/page.sh
for program in "$build/bin/measuredctl" "$RIG_TOOLS/tlsserver"; do
    [ -x "$program" ] || { echo "skipped: no $program"; exit 77; }
done

work=$(mktemp -d /tmp/pages.XXXXXX)
trap 'tls_stop; rm -rf "$work"' EXIT
export PATH=$build/bin:$PATH WEB=$work/web/www HOME=$work CURL_HOME=$work
unset http_proxy https_proxy HTTPS_PROXY ALL_PROXY
tls_start "$work/web" --host releases.example.org
printf 'connect-to = "releases.example.org:443:127.0.0.1:%s"\ncacert = "%s"\n' "$TLS_PORT" "$TLS_CA" >"$work/.curlrc"

# The signers of the pages have the keys of one byte each.
declare -A byte=([ALICE]=a1 [BOB]=b2 [CAROL]=c5 [DAVE]=d4)
test_key() { # PERSON FILE
    printf "${byte[$1]}%.0s" $(seq 32) >"$2"
    chmod 600 "$2"
}
# PERSON DOCUMENT FILE: the signature of a wallet, which must be of the address that the page says
test_wallet() {
    test_key "$1" "$work/wallet.key"
    measuredctl release sign --key-file "$work/wallet.key" "$2" 2>/dev/null |
        sed -n 's/.*"signature": "\(.*\)".*/\1/p' | tail -n 1 >"$3"
}
measurements() { # VERSION BYTE
    printf '[{"measurement_id":"demo-%s","attestation_type":"dcap-tdx","measurements":{"0":"%s","3":"%s"}}]\n' "$1" \
        "$(printf 'ab%.0s' $(seq 48))" "$(printf "$2%.0s" $(seq 48))" >"measurements-$1.json"
}

# The daemon that a page takes to be running; its URL gets the port that the server has here.
test_daemon() {
    [ -f url.txt ] || cp "$work/publish-signed-file/url.txt" url.txt
    local at
    at=$(printf 'https://releases.example.org:%s/.well-known/measured/' "$TLS_PORT" | base64 -w0 | tr '+/' '-_' | tr -d =)
    sed -i "s|at=[A-Za-z0-9_-]*|at=$at|" url.txt
    daemon_config "$PWD/d" <<CONF
[fetch]
ca-file = $TLS_CA
resolve = releases.example.org:$TLS_PORT:127.0.0.1
CONF
    daemon_start "$PWD/d"
}

bad=0
# follow PAGE: in a folder of its own. A failing command ends it.
follow() {
    local page=$1 folder=$work/$1 script
    mkdir -p "$folder"
    script=$(page_script "$tree/docs/$page.md")
    [ "$(grep -c '^echo "-- ' <<<"$script")" -ge 8 ] || { echo "FAILED: $page has no blocks"; bad=1; }
    # not under a condition, where errors would not end it
    (
        set -euo pipefail
        cd "$folder"
        trap 'daemon_stop || true' EXIT
        eval "$script"
        touch "$folder/followed"
    ) >"$folder/out" 2>"$folder/err" &
    wait $! || true
    if [ ! -f "$folder/followed" ]; then
        echo "FAILED: $page"
        tail -n 20 "$folder/out" "$folder/err"
        bad=1
    fi
}

test_setup() {
    measurements 1.0.0 01
    measurements 1.1.0 02
}
follow publish-signed-file
grep -q '"measurement_id":"demo-1.1.0"' "$work/publish-signed-file/out" || { echo 'FAILED: the daemon has no release'; bad=1; }
grep -q '"sequence": 3' "$WEB/.well-known/measured/set.json" || { echo 'FAILED: the third set is not published'; bad=1; }
grep -q '^kind  *signers' "$work/publish-signed-file/out" || { echo 'FAILED: the URL is of no signers'; bad=1; }

# The second page goes on where 1.set.json of the first was published.
test_setup() { cp "$work/publish-signed-file/1.set.json" .; }
follow key-rotation
grep -q 'release 1: signed by a revoker' "$work/key-rotation/out" || { echo 'FAILED: nothing is revoked'; bad=1; }
exit $bad
