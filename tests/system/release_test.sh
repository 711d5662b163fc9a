#!/bin/bash
# measuredctl release as a release manager uses it: what it writes, what it tells, what it refuses. No daemon.
set -euo pipefail
build=$(realpath "${1:?usage: release_test.sh BUILD_DIR}")
ctl=$build/bin/measuredctl
[ -x "$ctl" ] || { echo "skipped: no $ctl"; exit 77; }
page=$PWD/docs/measurements.md
vector=$PWD/tests/vectors/registry/signed-set.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

bad=0
fail() {
    echo "FAILED (line ${BASH_LINENO[1]:-?}): $*"
    bad=1
}
# run WANTED_EXIT_CODE ARGUMENT...: of `measuredctl release`; output in out and err.
run() {
    local want=$1 got=0
    shift
    "$ctl" release "$@" >out 2>err || got=$?
    if [ "$got" -ne "$want" ]; then
        fail "release $*: exit code $got instead of $want"
        cat out err
    fi
    if grep -q 'Sanitizer\|runtime error' err; then
        cat err
        bad=1
    fi
}
out_has() { grep -qF -- "$1" out || { fail "stdout lacks $1:"; cat out; }; }
out_lacks() { ! grep -qF -- "$1" out || { fail "stdout has $1:"; cat out; }; }
err_has() { grep -qF -- "$1" err || { fail "stderr lacks $1:"; cat err; }; }
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }

a=0x5d5c99EdF529335160FF180fA141Dd4967fc00D2
b=0x75E0De31eCa89159a26b09cc3b5eF4736A4f8969
c=0x3c524fD949d601790ac741dFB5B07414F3DacF1d # of no key here
for k in a1 b2 d4; do
    printf "$k%.0s" $(seq 32) >$k.key
    chmod 600 $k.key
done
m() { # m ID BYTE: one record
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":"%s","3":"%s"}}]' \
        "$1" "$(printf 'ab%.0s' $(seq 48))" "$(printf "$2%.0s" $(seq 48))"
}
m demo-1.0.0 01 >m1.json
m demo-1.1.0 02 >m2.json
m demo-1.2.0 03 >m3.json

# ---- new ----
run 0 new --app demo --version 1.0.0 --issued-at 2026-02-02T02:40:00Z --days 30 m1.json
out_has '"type": "measured-release-set/1"'
out_has '"version": 281474976710656' # 1 * 2^48
out_has '"issuedAt": 1770000000'
out_has '"validUntil": 1772592000'
out_has "\"payloadHash\": \"0x$(sha256sum m1.json | cut -c1-64)\"" # byte for byte
out_has "\"payloadSize\": $(wc -c <m1.json),"
out_has "$(base64 -w0 m1.json)"
cp out 1.set.json
run 1 new --app demo --version 1.0.0 -o 1.set.json m1.json
err_has 'is there already; --replace replaces it'
same out /dev/null
run 0 new --app demo --version 1.0.0 --replace --issued-at 1770000000 -o 1.set.json m1.json
run 2 new m1.json
err_has '--version'
run 2 new --app demo --version 1.x m1.json
run 2 new --version 1.70000.0 m1.json
run 2 new --no-embed --version 1 m1.json
err_has '--uri'
run 2 new --version 1 --uri http://plain.example/ m1.json
err_has 'only https'
run 1 new --version 1 --days 91 m1.json
err_has 'the limit is 7776000'
run 1 new --version 1 --issued-at 2026-02-02 --valid-until 2026-02-01 m1.json
run 1 new --version 1 --not-before 2026-02-02 --not-after 2026-02-02 m1.json
err_has 'window'
run 3 new --version 1 no-such.json
run 2 new --version 1 --issued-at yesterday m1.json

# The next one follows: sequence, previous, releases, payloads.
run 0 digest 1.set.json
first=$(sed -n 's/^message hash *\(0x[0-9a-f]*\) .*/\1/p' out)
run 0 new --previous 1.set.json --version 1.1.0 --issued-at 1770000100 -o 2.set.json m2.json
run 0 digest 2.set.json
out_has 'sequence         2'
out_has "previous         $first"
out_has '(1.0.0)'
out_has '(1.1.0)'
[ "$(grep -c 'in this document, of that size and hash' out)" = 2 ] || fail 'a payload is lost'
run 1 new --previous 2.set.json --version 1.0.5 m3.json
err_has 'versions rise'
run 1 new --previous 2.set.json --version 1.2.0 m2.json
err_has 'payload hash is that of another release'
run 2 new --previous 2.set.json --app other --version 1.2.0 m3.json
run 2 new --previous 2.set.json --sequence 2 --version 1.2.0 m3.json
run 2 new --previous 2.set.json --drop 9
err_has 'no such release'
run 0 new --previous 2.set.json --drop 1 --drop=2 --version 1.2.0 --issued-at 1770000200 m3.json
out_has '"id": 3'
out_lacks '"id": 1'
run 0 new --previous 2.set.json --drop 2
out_lacks '"id": 2'
out_has '"sequence": 3'
# Several documents become one release; each is linted under its name.
m demo-test-2 04 >m4.json
run 0 new --version 1 m1.json m4.json
err_has 'm4.json: L009 warning: demo-test-2:'
cp out several.json
run 0 digest several.json
out_has '2 records, 0 predicates'
run 0 new --version 1 m4.json m1.json m4.json
sed -n 's/.*"payloadHash": //p' several.json out | sort -u >hashes
[ "$(wc -l <hashes)" = 1 ] || fail 'order and repetition change the payload of several documents'
run 0 new --version 1 --no-embed --uri https://a.example/m.json m1.json
out_lacks "$(base64 -w0 m1.json)"
out_has '"uri": "https://a.example/m.json"'

# ---- lint runs by itself ----
sed 's/"0":"[ab]*",/"0":{"expected":"ab","warnOnly":true},/' m1.json >warn.json
run 1 new --version 1 warn.json
err_has 'warn.json: L006 error:'
same out /dev/null
run 1 new --version 1 --force L001 warn.json
run 1 new --version 1 --force L001,L007 warn.json
run 0 new --version 1 --force L001,L006 warn.json
err_has 'L006 error, forced'
run 2 new --version 1 --force all warn.json
run 2 new --version 1 --force= m1.json
run 0 new --version 1 --force L006 m1.json

# ---- digest: the reference's sample (ethereum.md 5.3) ----
run 0 digest "$vector"
out_has '0x833e11cad829b2b19fd8538960a12bcfe8d16f8d89bddbb6b41d612c7c19c26f'
out_has '0xd4daad0958bc5412af2ac8791b30a3d20699fa804f3a6cffd9e1720bd682e82c'
out_has '0x344878589ed774a7bb7438015f035623070c9d33ec80a56d6c2fa95db774d048'
[ "$(grep -c ', good$' out)" = 2 ] || fail 'two good signatures are not told'
run 0 digest --safe eip155:1:0x1c8b9b78e3085866521fe206fa4c1a67f49f153a "$vector"
out_has '0xeddb526e6bcacfa6152a740536488d021e6a03cca7ef6846ad972358646d2abb'
run 0 digest --json "$vector"
out_has '{"types":{"EIP712Domain":[{"name":"name","type":"string"},{"name":"version","type":"string"},{"name":"salt","type":"bytes32"}],"ReleaseSet":['
out_has '"primaryType":"ReleaseSet"'
run 2 digest --safe github:a~b "$vector"
run 1 digest m1.json
err_has 'not a signed document'
# What a terminal would obey is shown, not obeyed.
run 0 new --app "$(printf 'x\033[2J')" --version 1 -o esc.json m1.json
run 0 digest esc.json
out_has '"x\x1b[2J"'

# ---- sign ----
run 0 sign --key-file a1.key -o 1.set.json 1.set.json
run 1 sign --key-file a1.key -o 1.set.json 1.set.json
err_has 'has signed this document already'
run 0 sign --key-file - -o 1.set.json 1.set.json <b2.key
[ "$(stat -c %a 1.set.json)" = 640 ] || fail 'the mode of what was written'
cp a1.key open.key
for mode in 640 604 660; do
    chmod $mode open.key
    run 1 sign --key-file open.key 2.set.json
    err_has 'chmod 600'
done
chmod 400 open.key
run 0 sign --key-file open.key 2.set.json
mkfifo pipe.key
run 1 sign --key-file pipe.key 2.set.json
err_has 'not a regular file'
printf '%064d' 0 >zero.key
head -c 63 a1.key >short.key
chmod 600 zero.key short.key
run 1 sign --key-file zero.key 2.set.json
err_has 'zero or not below'
run 1 sign --key-file short.key 2.set.json
if grep -q a1a1a1 err; then fail 'the key is told'; fi
run 3 sign --key-file no-such.key 2.set.json
run 2 sign 2.set.json
run 2 sign --key-file - - <2.set.json

# ---- verify ----
now='--now 2026-02-03'
list="2of3:$a,$b,$c"
# shellcheck disable=SC2086 # two words
verify() { local want=$1; shift; run "$want" verify $now "$@"; }
verify 0 --signers "$list" 1.set.json
out_has 'valid'
[ ! -s err ] || fail "words: $(cat err)"
verify 0 --signers "$list" --app demo 1.set.json
verify 1 --signers "$list" --app other 1.set.json
out_has '"demo" instead of "other"'
verify 0 --signers "$list;app=demo" 1.set.json
verify 1 --signers "$list;seq=1" 1.set.json # a specifier with options and without app= means the empty one
verify 1 --signers "$list;app=demo;seq=2" 1.set.json
verify 1 --signers "3of3:$a,$b,$c" 1.set.json
out_has '2 good signatures of 3 signers, 3 are needed'
verify 1 --signers "2of2:$a,$c" 1.set.json
verify 0 --signers "1of1:$b" 1.set.json
run 1 verify --now 2026-03-05 --signers "$list" 1.set.json
out_has 'valid until'
run 1 verify --now 2026-02-01 --signers "$list" 1.set.json
run 1 verify --signers "$list" 1.set.json # now
run 0 verify --signers "$list" --now=2026-02-03T00:00:00+01:00 1.set.json
run 0 verify --json --now 2026-02-03 --signers "$list" 1.set.json
out_has "{\"verdict\":\"valid\",\"kind\":\"release set\",\"epoch\":0,\"signers\":[\"$a\",\"$b\"],\"steps\":[{"
run 2 verify 1.set.json
run 2 verify --signers "2of3:$a" 1.set.json
run 2 verify --signers "$a" 1.set.json
run 1 verify --signers "$list" m1.json
# order
verify 0 --signers "$list" --floor 0:1 1.set.json
verify 0 --signers "$list" --floor "0:1:$first" 1.set.json
verify 1 --signers "$list" --floor "0:1:0x$(printf '00%.0s' $(seq 32))" 1.set.json
out_has 'a conflict'
verify 1 --signers "$list" --floor 0:2 1.set.json
out_has 'a rollback'
verify 1 --signers "$list" --floor 1:0 1.set.json
run 2 verify --signers "$list" --floor 1 1.set.json
for k in a1 b2; do run 0 sign --key-file $k.key -o 2.set.json 2.set.json; done
verify 0 --signers "$list" --floor "0:1:$first" 2.set.json
verify 1 --signers "$list" --floor "0:1:0x$(printf '11%.0s' $(seq 32))" 2.set.json
out_has 'previous'
# One changed digit of a signature, of the message: refused.
sed '0,/"signature": "0x./s//"signature": "0x0/' 2.set.json >bad.json
if cmp -s bad.json 2.set.json; then sed '0,/"signature": "0x./s//"signature": "0x1/' 2.set.json >bad.json; fi
verify 1 --signers "$list" bad.json
sed 's/"sequence": 2/"sequence": 3/' 2.set.json >bad.json
verify 1 --signers "$list" bad.json
out_has 'of another key or of another document'

# ---- add-signature ----
run 0 new --app demo --version 1.0.0 --issued-at 1770000000 -o u.json m1.json
run 0 sign --key-file a1.key u.json
sig=$(sed -n 's/.*"signature": "\(.*\)".*/\1/p' out)
run 0 add-signature --signature "$sig" --signer "$a" u.json
cp out with-27.json
v=${sig: -2}
low=0$((16#$v - 27))
run 0 add-signature --signature "${sig%??}$low" --signer "$a" u.json # Ledger's v
same out with-27.json
printf '"%s"\n' "$sig" >sig.txt
run 0 add-signature --signature-file sig.txt u.json
err_has "recovers to $a"
same out with-27.json
run 1 add-signature --signature "$sig" --signer "$b" u.json
err_has "not a signature of $b"
run 1 add-signature --signature "$sig" with-27.json
err_has 'already'
run 1 add-signature --signature "${sig%??}" u.json
err_has 'EIP-2098'
run 1 add-signature --signature "${sig%??}25" u.json
err_has 'v is 37'
run 1 add-signature --signature 0xzz u.json
run 2 add-signature u.json
run 2 add-signature --signature "$sig" --signer "$a" --safe "$b" u.json
# n - s and the other v: valid for a chain, not here
order=FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
s=${sig:66:64}
if command -v bc >/dev/null; then
    high=$(echo "obase=16; ibase=16; $order - ${s^^}" | BC_LINE_LENGTH=0 bc)
    run 1 add-signature --signature "${sig:0:66}$(printf '%64s' "$high" | tr ' ' 0)$(printf '%02x' $((55 - 16#$v)))" u.json
    err_has 'only the low form is taken'
    err_has 'hint:'
else
    echo 'note: no bc, the high s is left to the unit tests'
fi
# A contract's: kept, and nobody but its chain can tell.
run 0 add-signature --safe "$c" --signature "$sig" -o c.json with-27.json
verify 3 --signers "$list" c.json
out_has 'only their chain can tell'
if grep -q '"chain"' c.json; then fail 'chain 1 is written, though it is understood'; fi
run 0 add-signature --safe "eip155:11155111:$c" --signature 0x -o far.json u.json
grep -q '"chain": 11155111' far.json || fail "the chain of a contract: $(cat far.json)"
[[ $("$ctl" url --host h --signers "$list" --chain 11155111 2>/dev/null) == *';chain=11155111@h' ]] ||
    fail 'url --signers --chain'
if "$ctl" url --host h --signers "$list" --chain '1;x-a' 2>/dev/null; then fail 'a chain that is no number'; fi
run 1 add-signature --safe "eip155:1:$c" --signature "${sig%??}1d" u.json # v 29 is none of a Safe's
err_has 'the Safe would refuse it'

# ---- roots, freshness, revocations ----
run 0 root new --app demo --signers "2of3:$a,$b,$c" --fresh "1of1:$a" --revokers "$b,$c" --valid-until 2027-01-01 -o 1.root.json
verify 1 --signers "2of2:$a,$b" 1.root.json
for k in a1 b2; do run 0 sign --key-file $k.key -o 1.root.json 1.root.json; done
verify 0 --signers "2of2:$a,$b" 1.root.json
verify 1 --signers "1of1:$c" 1.root.json # not signed by the list before
root="--root 1.root.json"
run 0 root rotate --previous 1.root.json --signers "1of1:$a" --fresh none --valid-until 2027-02-01 -o 2.root.json
run 0 digest 2.root.json
out_has 'epoch            2'
out_has 'freshSigners     (none)'
out_has "revokers         $b"
run 0 digest 1.root.json
out_has "freshSigners     $a"
run 0 sign --key-file a1.key -o 2.root.json 2.root.json
# shellcheck disable=SC2086
{
    verify 1 --signers "2of2:$a,$b" $root 2.root.json # one of two of epoch 1
    run 0 sign --key-file b2.key -o 2.root.json 2.root.json
    verify 0 --signers "2of2:$a,$b" $root 2.root.json
    verify 0 --signers "2of2:$a,$b" $root --root 2.root.json 1.set.json
    verify 1 --signers "2of2:$a,$b" --root 2.root.json 1.set.json # a step is missing
    run 1 verify --now 2027-02-02 --signers "2of2:$a,$b" $root 2.root.json
    out_has 'root: valid until'
    # epoch 1 has freshSigners: a statement is required, of this set, by them, not too old
    verify 1 --signers "2of2:$a,$b" $root 1.set.json
    run 0 freshness --set 1.set.json --issued-at 2026-02-02T12:00:00Z -o freshness.json
    fresh="$root --freshness freshness.json"
    verify 1 --signers "2of2:$a,$b" $fresh 1.set.json
    run 0 sign --key-file a1.key -o freshness.json freshness.json
    verify 0 --signers "2of2:$a,$b" $fresh 1.set.json
    verify 0 --signers "2of2:$a,$b" $root freshness.json
    verify 1 --signers "2of2:$a,$b" $fresh 2.set.json
    out_has 'another set'
    run 1 verify --now 2026-02-04 --signers "2of2:$a,$b" $fresh 1.set.json
    run 1 freshness --set 1.set.json --hours 169
    err_has 'the limit is 604800'
    # revocations: by a revoker
    run 0 revoke --set 2.set.json --id 2 --reason 3 -o revocations.json
    run 1 revoke --set 2.set.json --id 7
    verify 1 --signers "2of2:$a,$b" $root revocations.json
    run 0 sign --key-file b2.key -o revocations.json revocations.json
    verify 0 --signers "2of2:$a,$b" $root revocations.json
    run 0 revoke --set 2.set.json --id 1 --append revocations.json -o revocations.json
    run 0 digest revocations.json # the one without a signature
    out_has 'entry 2 of 2'
    out_has 'releaseId        1'
    run 0 sign --key-file d4.key -o revocations.json revocations.json # of nobody
    run 2 digest revocations.json
    err_has '--entry'
    run 0 digest --entry 1 revocations.json
    out_has 'reason           3'
    run 2 digest --entry 3 revocations.json
    verify 0 --signers "2of2:$a,$b" $fresh --revocations revocations.json 1.set.json
    out_has 'of no effect'
    out_lacks 'is revoked'
    run 0 freshness --set 2.set.json --issued-at 2026-02-02T12:00:00Z --replace -o freshness.json
    run 0 sign --key-file a1.key -o freshness.json freshness.json
    verify 0 --signers "2of2:$a,$b" $fresh --revocations revocations.json 2.set.json
    out_has 'release 2 of the set is revoked'
    run 2 verify --signers "2of2:$a,$b" --freshness freshness.json 1.root.json
}

# ---- lint of what is more than a document ----
lint() { # lint WANTED_EXIT_CODE ARGUMENT...
    local want=$1 got=0
    shift
    "$ctl" lint "$@" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || { fail "lint $*: exit code $got instead of $want"; cat out err; }
}
lint 0 --rules
[ "$(grep -cE '^L0[0-9]{2} (error|warning): ' out)" = 20 ] || fail 'not twenty rules'
lint 0 --json --rules
[ "$(grep -o '"rule":' out | wc -l)" = 20 ] || fail 'not twenty rules in JSON'
lint 2
lint 2 --rules 1.set.json
lint 0 1.set.json # two signatures, and old enough
[ ! -s out ] || fail "findings in a good set: $(cat out)"
run 0 new --app demo --version 2 -o new.json m4.json
lint 0 new.json
out_has 'L009 warning: release 1: demo-test-2:'
out_has 'L018 warning: the newest approval is 0 hours old, the cool-down 24'
out_has 'L019 warning: what vouches for the list: nobody, it is not signed yet'
lint 0 --cool-down 0 new.json
out_lacks L018
run 0 new --force L001,L006 --version 1 -o forced.json warn.json
lint 1 --json forced.json
out_has '{"rule":"L006","grade":"error","record":"release 1: demo-1.0.0",'
# What the daemon answers: all in force together, and who decides.
envelope() { # envelope TRUST GOVERNANCE STATUS
    printf '{"v":1,"specifier":"x","trust":"%s","governance":%s,"releases":[' "$1" "$2"
    printf '{"id":1,"not_before":1700000000,"status":"in-force","records":%s,"predicates":[]},' "$(cat m1.json)"
    printf '{"id":2,"not_before":1700000000,"status":"%s","records":%s,"predicates":[%s]}]}' "$3" "$(cat m5.json)" \
        "{\"kind\":\"dstack-compose-hash\",\"value\":\"$(printf '0a%.0s' $(seq 32))\"}"
}
m app-3.1.0 07 >m5.json
envelope proof '{"owner_kind":"safe","updated_at":4000000000}' pending >envelope.json
lint 0 envelope.json
[ ! -s out ] || fail "findings in a good envelope: $(cat out)"
envelope 'single' '{"owner":"0x1111111111111111111111111111111111111111","owner_kind":"account",
    "implementation":"0x2222222222222222222222222222222222222222","paused":true,"updated_at":1700000000}' in-force >envelope.json
lint 0 envelope.json
for rule in L010 L013 L014 L015 L016 L017 L019 L020; do out_has "$rule warning"; done
out_lacks L018
envelope proof '{"owner":"0x0000000000000000000000000000000000000000"}' pending >envelope.json
lint 0 envelope.json
out_has 'L017 warning: the contract has no owner'
# The page lists them with the same grades.
"$ctl" lint --rules | sed -n 's/^\(L0[0-9]*\) \([a-z]*\):.*/| \1 | \2 |/p' >rules
grep -oE '^\| L0[0-9]{2} \| [a-z]+ \|' "$page" >page
same rules page

# ---- the URL of a set ----
url() { # url WANTED_EXIT_CODE ARGUMENT...
    local want=$1 got=0
    shift
    "$ctl" url --host app.example.org "$@" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || { fail "url $*: exit code $got instead of $want"; cat out err; }
}
url 0 --signers "$list" --set 1.set.json --at https://releases.example.org/m/
at=$(printf 'https://releases.example.org/m/' | base64 -w0 | tr -d =)
[ "$(cat out)" = "https://2of3:$c,$a,$b;app=demo;at=$at@app.example.org" ] || fail "the URL: $(cat out)"
# shellcheck disable=SC2086
run 0 verify $now --signers "$(cat out)" 1.set.json # the whole URL says who signs, and what
url 0 --signers "$list" --app demo
run 0 verify --now 2026-02-03 --signers "$(cat out)" 1.set.json
url 0 --signers "$list" --app other
run 1 verify --now 2026-02-03 --signers "$(cat out)" 1.set.json
url 1 --signers "3of3:$a,$b,$c" --set 1.set.json
err_has '2 of 3 signatures'
url 1 --signers "$list" --set u.json
url 1 --signers "$list" --app 'demo;level=l1'
url 1 --signers "$list" --at http://releases.example.org/
url 2 --signers "$list" --app demo --set 1.set.json
url 2 --contract "$a" --app demo
url 2 --signers "$list" --set 1.root.json

# ---- usage ----
run 0 --help
out_has 'root rotate'
for verb in new digest sign add-signature verify 'root new' 'root rotate' revoke freshness; do
    # shellcheck disable=SC2086
    run 0 $verb --help
    out_has "usage: measuredctl release $verb "
done
run 2
run 2 root
run 2 publish
run 2 new -o
err_has '-o needs a value'
exit $bad
