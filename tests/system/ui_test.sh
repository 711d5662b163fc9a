#!/bin/bash
# The page for auditors as files: what is served under /ui/, with which headers, to whom; and the list it begins with.
# What it shows in a browser is system.ui_page.
set -euo pipefail
build=${1:?usage: ui_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; tls_stop; rm -rf "$work"' EXIT
tls_start "$work/tls" --host docs.example.test
port=$((20000 + RANDOM % 12000))
daemon_config "$work" <<EOF
http-listen = 127.0.0.1:$port
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
EOF
daemon_start "$work"

tcp() { # TARGET [curl...]: as get, over TCP
    local target=$1
    shift
    : >"$work/body"
    read -r STATUS TYPE < <(curl -sS -g --path-as-is --max-time 40 --noproxy '*' -D "$work/head" -o "$work/body" \
        -w '%{http_code} %{content_type}\n' "$@" "http://127.0.0.1:$port$target" 2>"$work/curl") || true
}

# ---- the page ----

page() {
    want 200 'the page'
    [ "$TYPE" = 'text/html; charset=utf-8' ] || fail "type of the page: $TYPE"
    head_has "^Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'.?$"
    head_has '^X-Content-Type-Options: nosniff'
    head_has '^Referrer-Policy: no-referrer'
    head_has '^Cross-Origin-Opener-Policy: same-origin'
    head_has '^Cross-Origin-Resource-Policy: same-origin'
    head_has '^Cache-Control: no-cache'
    head_has "^ETag: \"$(sha256sum <"$work/body" | cut -d' ' -f1)\""
}
get /ui/; page
tcp /ui/; page
cp "$work/body" "$work/page.html"
tcp '/ui/?x=1'; page # a query says nothing here
etag=$(tr -d '\r' <"$work/head" | sed -n 's/^ETag: //p')
tcp /ui/ -H "If-None-Match: $etag"; want 304 'the page again'
[ ! -s "$work/body" ] || fail '304 with a body'
head_has '^Content-Security-Policy: '
tcp /ui/ -I; want 200 HEAD
tcp /ui; want 308 'without its slash'
head_has '^Location: /ui/'
tcp /ui/ -X POST -d x; want 405 POST
head_has '^Allow: GET, HEAD'
tcp /ui/nothing; want 404 'no such file'
body_has '"code":"not-found"'
tcp '/ui/../v1/status'; want 404 'dots'
tcp '/ui/%2e%2e/v1/status'; want 404 'escaped dots'
tcp /uix; want 404 'another path'
tcp /; want 404 'the root is the webhook of dstack, or nothing'

# nothing inline, nothing from elsewhere: the policy would refuse it
if grep -nE '<script[^>]*>[^<]|<style|style=| on[a-z]+=|javascript:' "$work/page.html"; then fail 'inline code'; fi
! grep -q '@ASSETS@' "$work/page.html" || fail 'a name was not filled in'

# ---- its files ----

mapfile -t files < <(grep -oE '(src|href)="[^#"][^"]*"' "$work/page.html" | sed 's/.*="//; s/"$//' | sort -u)
[ ${#files[@]} -ge 8 ] || fail "only ${#files[@]} files"
total=$(wc -c <"$work/page.html")
for file in "${files[@]}"; do
    [[ $file =~ ^[0-9a-f]{16}/[a-z]+\.(js|css|svg)$ ]] || fail "a file that is not ours: $file"
    tcp "/ui/$file"; want 200 "$file"
    case $file in
    *.js) [ "$TYPE" = 'text/javascript; charset=utf-8' ] || fail "type of $file: $TYPE" ;;
    *.css) [ "$TYPE" = 'text/css; charset=utf-8' ] || fail "type of $file: $TYPE" ;;
    *.svg) [ "$TYPE" = 'image/svg+xml' ] || fail "type of $file: $TYPE" ;;
    esac
    head_has '^Cache-Control: max-age=31536000, immutable'
    head_has '^X-Content-Type-Options: nosniff'
    head_has "^Content-Security-Policy: default-src 'none'"
    head_has "^ETag: \"$(sha256sum <"$work/body" | cut -d' ' -f1)\""
    cmp -s "$work/body" "resolver/daemon/ui/${file#*/}" || fail "$file is not the file of the tree"
    ! grep -E 'https?://|//[a-z]+\.[a-z]' "$work/body" | grep -vE 'http://www\.w3\.org/2000/svg|https://…@host|url:https://' || fail "$file names another place"
    # data becomes text only
    ! grep -nE 'innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|new Function' "$work/body" || fail "$file makes markup or code"
    total=$((total + $(wc -c <"$work/body")))
done
for file in resolver/daemon/ui/*; do
    [ "${file##*/}" = index.html ] || grep -q "/${file##*/}\"" "$work/page.html" || fail "$file is not in the page"
done
[ "$total" -lt 65536 ] || fail "the page has $total bytes"
echo "the page: $total bytes in $((${#files[@]} + 1)) files"
tcp "/ui/0000000000000000/app.js"; want 404 'a file of another version'

# ---- to whom ----

for host in "127.0.0.1:$port" 127.0.0.1 localhost "localhost:$port" x.localhost '[::1]:7747'; do
    tcp /ui/ -H "Host: $host"; want 200 "Host: $host"
    tcp /v1/entries -H "Host: $host"; want 200 "entries, Host: $host"
done
for host in evil.example "evil.example:$port" 127.0.0.1.evil.example localhost.evil.example 127.0.0 1.2.3.4.5 0x7f.0.0.1 evillocalhost; do
    for path in /ui/ /ui /v1/entries; do
        tcp $path -H "Host: $host"; want 403 "$path, Host: $host"
        body_has 'open it by 127.0.0.1'
    done
done
get /ui/ -H 'Host: evil.example'; want 200 'a name on a socket that no browser reaches'

# ---- the list ----

tcp /v1/entries; want 200 'no entries'
[ "$TYPE" = application/json ] || fail "type of entries: $TYPE"
head_has '^Cache-Control: no-store'
[ "$(cat "$work/body")" = '{"v":1,"entries":[]}' ] || fail "no entries: $(cat "$work/body")"

record() { printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' "$1" "$(printf "$2%.0s" {1..48})"; }
change() { # NAME FILL: the list of that name is another one now
    local url
    record "$1" "$2" >"$work/tls/www/$1.json"
    url=$(measuredctl url --host h.example --location "https://docs.example.test:$TLS_PORT/$1.json" 2>/dev/null)
    measuredctl refresh "$url" >/dev/null 2>"$work/words" || fail "refresh $1: $(cat "$work/words")"
}
listed() { grep -o '"specifier":"[^"]*"' "$work/body" | sed 's/.*\/\([a-z]*\)\.json"/\1/' | xargs; }
for name in a b c d; do change $name 11; done
change b 22
tcp /v1/entries; want 200 entries
[ "$(listed)" = 'b d c a' ] || fail "the last changed first: $(listed)"
body_lacks '"next"'
body_has '^\{"v":1,"entries":\[\{"key":"[0-9a-f]{64}","specifier":"url:https://docs\.example\.test:[0-9]+/b\.json","n":5,"time":[0-9]{10},"change":"change","sequence":2,"kind":"location","checked":[0-9]{10}\}'
seen=
next=0
for _ in 1 2 3 4 5 6; do
    tcp "/v1/entries?limit=1&before=$next"; want 200 'a page'
    seen+=" $(listed)"
    next=$(sed -n 's/.*"next":\([0-9]*\).*/\1/p' "$work/body")
    [ -n "$next" ] || break
done
[ "$(xargs <<<"$seen")" = 'b d c a' ] || fail "page by page: $seen"
for query in limit=0 limit=501 limit=x before=x before=-1 'limit=1&limit=2'; do
    tcp "/v1/entries?$query"; want 400 "$query"
done
tcp /v1/entries -X POST -d x; want 405 'POST to entries'
# what the disk has: also when nobody asked for it since
daemon_stop || fail "the daemon ended with $?"
cp "$work/measured.log" "$work/measured.before.log"
daemon_start "$work"
get /v1/entries; want 200 'after a restart'
[ "$(listed)" = 'b d c a' ] || fail "after a restart: $(listed)"

daemon_stop || fail "the daemon ended with $?"
check_log "$work"
check_end
