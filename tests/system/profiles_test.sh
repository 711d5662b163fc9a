#!/bin/bash
# Every profile through the daemon and measuredctl: types, warnings, options, refusals, and files that watch writes.
# What a consumer makes of a rendering is tests/unit/records/profiles_test.c.
set -euo pipefail
build=${1:?usage: profiles_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
watch_pid=
trap '[ -z "$watch_pid" ] || kill "$watch_pid"; daemon_stop || true; tls_stop; rm -rf "$work"' EXIT

value=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f
hash() { printf "$1%.0s" {1..32}; } # 64 digits
compose=$(hash cc) image=$(hash dd) ones=$(hash ff)
app=00112233445566778899aabbccddeeff00112233
record() { # ID TYPE REGISTER
    echo "{\"measurement_id\":\"$1\",\"attestation_type\":\"$2\",\"measurements\":{\"$3\":{\"expected\":\"$value\"}}}"
}
predicate() { echo "{\"predicate\":{\"kind\":\"dstack-$1\",\"value\":\"$2\"}}"; }

tls_start "$work/tls" --host docs.example.test
www=$work/tls/www
document() { # NAME TEXT
    printf 'Cache-Control: max-age=1\n' >"$www/$1.json.http"
    echo "$2" >"$www/$1.new"
    mv "$www/$1.new" "$www/$1.json"
}
document one "[$(record one dcap-tdx 0)]"
document mixed "[$(record one dcap-tdx 0),$(record '=x|y' dcap-tdx 0),$(predicate os-image "$image")]"
document apart "[$(record one dcap-tdx 0),$(record two dcap-tdx 2)]"
document pair "[$(predicate compose-hash $compose),$(predicate os-image "$image")]"
document bare "[$(predicate compose-hash "$compose")]"
document none '[]'
daemon_config "$work" <<CONF
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
CONF
daemon_start "$work"
url_of() { measuredctl url --host h.example --location "https://docs.example.test:$TLS_PORT/$1.json" 2>/dev/null; }
spec_of() { local u; u=$(url_of "$1"); u=${u#https://}; echo "${u%%@*}"; }
list() { # DOCUMENT PROFILE [&OPTIONS]
    get "/v1/measurements?specifier=$(spec_of "$1")&profile=$2${3-}"
}

# ---- types and forms ----

for profile in seed atls-1 atls-2 cvm builderhub rvps rvps-localjson rvps-sample dstack-auth auth-simple; do
    list one "$profile"; want 200 "$profile"
    [ "$TYPE" = application/json ] || fail "$profile: $TYPE"
done
list one csv; want 200 csv
[ "$TYPE" = 'text/csv; charset=utf-8' ] || fail "csv: $TYPE"
body_has "^\"1\",\"one\",\"dcap-tdx\",\"0\",\"mrtd\",\"$value\"\$"
list mixed csv; want 200 csv
body_has "^\"2\",\"'=x\|y\","
list mixed md; want 200 md
[ "$TYPE" = 'text/markdown; charset=utf-8' ] || fail "md: $TYPE"
body_has '^\| 2 \| \\=x\\\|y \| dcap-tdx '
list one rvps
cp "$work/body" "$work/rvps"
list one rvps-localjson
# its end may have moved with the document's, so only the names are compared
[ "$(grep -oE '"[a-z_0-9]+":' "$work/body")" = "$(grep -oE '"[a-z_0-9]+":' "$work/rvps")" ] || fail 'rvps is another form'
grep -oE '"mr_td":"[^"]*"' "$work/body" | cut -d'"' -f4 | tr -- '-_' '+/' | base64 -d >"$work/record" || fail 'base64'
grep -qE '^\{"version":"0\.1\.0","name":"mr_td","expiration":"[0-9-]{10}T[0-9:]{8}Z","value":\["'"$value"'"\]\}$' "$work/record" ||
    fail "record: $(cat "$work/record")"
list one rvps-sample
grep -oE '"payload":"[^"]*"' "$work/body" | cut -d'"' -f4 | base64 -d >"$work/record" || fail 'base64'
[ "$(cat "$work/record")" = "{\"mr_td\":[\"$value\"]}" ] || fail "payload: $(cat "$work/record")"

# ---- left out, and said so; or refused ----

for profile in seed atls-1 atls-2 builderhub rvps-sample; do
    list mixed "$profile"; want 200 "$profile"
    head_has '^X-Measured-Warning: .*left out'
done
list mixed cvm; want 502 'cvm, a predicate'; not_json 'cvm, a predicate'
list mixed cvm '&skip-unsupported=1'; want 200 'cvm, without it'
head_has '^X-Measured-Warning: 0 records and 1 predicates'
list mixed cvm; want 502 'what was skipped once is not kept'
list bare cvm '&skip-unsupported=1'; want 200 'cvm, all skipped'
body_has 'deny-all'
for profile in rvps rvps-sample; do
    list apart "$profile"; want 502 "$profile, different registers"; not_json "$profile"
    body_has 'different registers'
done

# ---- dstack ----

for profile in dstack-auth auth-simple; do
    list pair "$profile"; want 400 "$profile without an app"; not_json "$profile"
    body_has 'app='
    list pair "$profile" "&app=$app"; want 200 "$profile"
    body_has "\"apps\":\{\"0x$app\":\{\"composeHashes\":\[\"0x$compose\"\],\"devices\":\[\],\"allowAnyDevice\":true"
    body_has "^\{\"osImages\":\[\"0x$image\"\]"
    list pair "$profile" "&app=0x${app/00112233/10112233}"; want 200 "$profile, another app"
    body_lacks "0x$app"
    list pair "$profile"; want 400 "$profile: an app of another request"
    list bare "$profile" "&app=$app"; want 502 "$profile without images"; not_json "$profile"
    body_has 'kms='
    list none "$profile"; want 200 "$profile, nothing"
    body_has "^\{\"osImages\":\[\"0x$ones\"\].*\"apps\":\{\}\}"
done
list pair dstack-auth "&app=$app"; body_lacks 'allowedTcbStatuses'
list pair auth-simple "&app=$app"; body_has '"allowedTcbStatuses":\["UpToDate"\],"allowedAdvisoryIds":\[\]'

# ---- options ----

for bad in 'cvm&skip-unsupported=2' 'cvm&skip-unsupported=' 'atls-1&skip-unsupported=1' 'atls-1&app='$app \
    'dstack-auth&app=' 'dstack-auth&app=0011' 'dstack-auth&app='$app'00' 'dstack-auth&app='$app'&app='$app \
    'cvm&skip-unsupported=1&skip-unsupported=1' 'dstack-auth&app='"$(hash 00)$(hash 00)"; do
    list pair "${bad%%&*}" "&${bad#*&}"; want 400 "$bad"; not_json "$bad"
done

# ---- tags ----

tag() { tr -d '\r' <"$work/head" | sed -n 's/^ETag: //p'; }
list pair dstack-auth "&app=$app"
get "/v1/measurements?specifier=$(spec_of pair)&profile=dstack-auth&app=$app" -H "If-None-Match: $(tag)"; want 304 'the same file'
list one rvps
first=$(tag)
sleep 1.1
measuredctl refresh "$(spec_of one)" >/dev/null 2>&1 || fail "refresh: $?"
list one rvps
[ "$(tag)" != "$first" ] || fail 'the file has another end, and the same tag'

# ---- measuredctl ----

status() { # EXIT ARGUMENTS...
    local want=$1 got=0
    shift
    measuredctl "$@" >"$work/out" 2>"$work/words" || got=$?
    [ "$got" = "$want" ] || fail "$*: exit $got instead of $want: $(cat "$work/out" "$work/words")"
}
for profile in seed atls-1 atls-2 builderhub csv md rvps-sample; do
    list mixed "$profile"
    status 0 resolve "$(spec_of mixed)" --profile "$profile"
    cmp -s "$work/body" "$work/out" || fail "measuredctl: $profile: $(cat "$work/out")"
done
status 0 resolve "$(spec_of mixed)" --profile cvm --skip-unsupported
grep -q 'warning: .*left out' "$work/words" || fail "no warning: $(cat "$work/words")"
status 3 resolve "$(spec_of mixed)" --profile cvm
status 1 resolve "$(spec_of pair)" --profile dstack-auth
status 0 resolve "$(spec_of pair)" --profile dstack-auth --app "$app"
grep -q "0x$app" "$work/out" || fail "--app: $(cat "$work/out")"
status 2 resolve "$(spec_of pair)" --profile dstack-auth --app 0011
status 2 resolve "$(spec_of pair)" --app "$app"
status 2 resolve "$(spec_of pair)" --skip-unsupported
status 2 watch "$(spec_of pair)" --skip-unsupported --profile atls-2
grep -q 'option of profile cvm' "$work/words" || fail "words: $(cat "$work/words")"

# ---- watch ----

follow() { # ARGUMENTS...: watch into $work/file
    rm -f "$work/file"
    measuredctl watch "$@" --write "$work/file" >"$work/watch.out" 2>"$work/watch.err" &
    watch_pid=$!
}
unfollow() {
    kill "$watch_pid"
    wait "$watch_pid" || fail "watch ended with $?"
    watch_pid=
}
document changing "[$(predicate compose-hash $compose),$(predicate os-image "$image")]"
follow "$(spec_of changing)" --profile dstack-auth --app "$app"
eventually 10 grep -qs "0x$compose" "$work/file" || fail "watch: $(cat "$work/file" "$work/watch.err")"
change() { # TEXT
    document changing "$1"
    measuredctl refresh "$(spec_of changing)" >/dev/null 2>&1 || fail "refresh: $?"
}
change "[$(predicate compose-hash $compose)]"
eventually 20 grep -q "^{\"osImages\":\[\"0x$ones\"\].*\"apps\":{}}" "$work/file" ||
    fail "what cannot be written approves something: $(cat "$work/file" "$work/watch.err")"
change "[$(predicate compose-hash $image),$(predicate os-image "$image")]"
eventually 20 grep -q "composeHashes\":\[\"0x$image" "$work/file" || fail "and back: $(cat "$work/file" "$work/watch.err")"
unfollow
follow "$(spec_of mixed)" --profile csv
eventually 10 grep -qs '^"3","","predicate"' "$work/file" || fail "watch, csv: $(cat "$work/watch.err")"
unfollow

# The end that stands in trustee's file moves with the answer's.
printf 'Cache-Control: max-age=6, must-revalidate\n' >"$www/ending.json.http"
cp "$www/one.json" "$www/ending.json"
ends() { grep -soE '"mr_td":"[^"]*"' "$work/file" | cut -d'"' -f4 | tr -- '-_' '+/' | base64 -d | grep -o '"expiration":"[^"]*'; }
follow "$(spec_of ending)" --profile rvps
eventually 10 ends >"$work/first" || fail "watch, rvps: $(cat "$work/watch.err")"
moved() { [ "$(ends)" != "$(tail -n 1 "$work/first")" ]; }
eventually 15 moved || fail "the end stays $(cat "$work/first")"
[ "$(wc -l <"$work/watch.out")" = 1 ] || fail "nothing changed but the end: $(cat "$work/watch.out")"
unfollow

daemon_stop || fail "exit $?"
check_log "$work"
check_end
