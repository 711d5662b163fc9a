#!/bin/bash
# measuredctl registry: every operation against the contract, sent by the tool and seen by another reader; the forms of a
# call beside an encoder of their own; and what is refused before anything is signed.
set -euo pipefail
build=${1:?usage: registry_tool_test.sh BUILD_DIR}
[ -x "$build/bin/measuredctl" ] || { echo 'skipped: measuredctl is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/registry.sh
. tests/support/safe.sh
. tests/support/daemon.sh
. tests/support/check.sh
unset XDG_RUNTIME_DIR http_proxy HTTP_PROXY ALL_PROXY

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'anvil_stop; rm -rf "$work"' EXIT
# run WANTED_EXIT_CODE ARGUMENT...: output in $work/out and $work/err.
run() {
    local want=$1 got=0
    shift
    measuredctl registry "$@" >"$work/out" 2>"$work/err" || got=$?
    [ "$got" -eq "$want" ] || { fail "registry $*: exit code $got instead of $want"; cat "$work/err"; }
    if grep -q 'Sanitizer\|runtime error' "$work/err"; then fail 'a sanitizer'; cat "$work/err"; fi
}
out_is() { [ "$(cat "$work/out")" = "$1" ] || fail "stdout is $(head -c 300 "$work/out") instead of ${1:0:300}"; }
out_has() { grep -qE -- "$1" "$work/out" || fail "stdout lacks $1: $(head -c 600 "$work/out")"; }
err_has() { grep -qE -- "$1" "$work/err" || fail "stderr lacks $1: $(head -c 600 "$work/err")"; }
quiet() { [ ! -s "$work/out" ] || fail "stdout has $(head -c 300 "$work/out")"; }
key() { (umask 077 && echo "$2" >"$work/$1.key") && echo "$work/$1.key"; }
document() {
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
        "$1" "$(printf "$2%.0s" {1..48})" >"$work/$1.json"
}
document one 11
document two 22
address=0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC

# ---- without a chain: the calls, beside encoders that share nothing with them ----
run 0 approve --version 7 --not-before 1770000000 --on-chain "$work/one.json"
out_is "$(registry_calldata approve 7 1770000000 0 1 '' "$work/one.json" chain)"
err_has 'payload SHA-256: [0-9a-f]{64}'
run 0 approve --version 1.2.3 --not-before 2026-02-02T02:40:00Z --not-after 2027-01-01 \
    --uri https://a.example/one.json "$work/one.json"
out_is "$(registry_calldata approve $(((1 << 48) + (2 << 32) + 3)) 1770000000 1798761600 1 https://a.example/one.json \
    "$work/one.json" off)"
run 0 revoke --id 3 --reason mistake
out_is "$(registry_calldata revoke 3 4)"
run 0 heartbeat --valid-until none
out_is "$(registry_calldata heartbeat 0)"
run 0 shorten --id 2 --not-after 1770604908
out_is "$(abi_calldata 'shorten(uint64,uint64)' 2 1770604908)"
run 0 prune --id 2
out_is "$(abi_calldata 'prune(uint64)' 2)"
run 0 raise-min-delay --min-delay 48h
out_is "$(abi_calldata 'raiseMinDelay(uint64)' 172800)"
run 0 set-guardian --guardian none
out_is "$(abi_calldata 'setGuardian(address)' 0x0000000000000000000000000000000000000000)"
run 0 transfer-owner --to $address
out_is "$(abi_calldata 'transferOwnership(address)' $address)"
run 0 accept-owner
out_is "$(abi_calldata 'acceptOwnership()')"
run 0 deploy-data --owner "$ANVIL_OWNER" --guardian "$ANVIL_GUARDIAN" --min-delay 3600
out_is "$(registry_calldata deploy "$REGISTRY_ABI" "$ANVIL_OWNER" "$ANVIL_GUARDIAN" 3600)"

# Compressed by the tool or before: the same bytes count, and readers know the form by its number.
run 0 approve --version 7 --not-before 1770000000 --on-chain --gzip "$work/one.json"
err_has 'format 2 \(gzip'
gzip -nc "$work/one.json" >"$work/one.gz"
run 0 approve --version 7 --not-before 1770000000 --on-chain "$work/one.gz"
out_is "$(registry_calldata approve 7 1770000000 0 2 '' "$work/one.gz" chain)"

# Forms. A transaction without `to` would create a contract, so an address must be there.
run 0 prune --id 2 --contract $address --json
[ "$(tr -d ' \n' <"$work/out")" = "{\"to\":\"$address\",\"value\":\"0x0\",\"data\":\"$(abi_calldata 'prune(uint64)' 2)\",\"chainId\":\"0x1\"}" ] ||
    fail "tx: $(cat "$work/out")"
run 0 prune --id 2 --contract eip155:11155111:$address --format tx
out_has '"chainId": "0xaa36a7"'
for format in tx safe-builder; do
    run 2 prune --id 2 --format $format
    err_has '--contract'
    quiet
done
run 2 prune --id 2 --contract $address --format safe-tx --safe "$ANVIL_OWNER"
err_has '--nonce'
run 2 deploy-data --owner "$ANVIL_OWNER" --format safe-builder
run 0 prune --id 2 --contract $address --format safe-builder -o "$work/b.json"
run 1 prune --id 2 --contract $address --format safe-builder -o "$work/b.json"
err_has 'is there already'
run 0 prune --id 4 --contract eip155:10:$address --format safe-builder -o "$work/c.json"
run 1 batch "$work/b.json" "$work/c.json"
err_has 'chain 10, the others 1'
quiet
run 0 batch "$work/b.json" "$work/b.json" --safe "$ANVIL_OWNER" --name 'a week of work'
out_has '"name": "a week of work"'
sed 's/"value": "0"/"value": "1"/' "$work/b.json" >"$work/changed.json"
run 1 batch "$work/changed.json"
err_has 'the file was changed'

# What is refused, with the reason, and nothing on stdout.
echo '[{"measurement_id":"x","attestation_type":"dcap-tdx","measurements":{}}]' >"$work/bad.json"
run 1 approve --version 7 --not-before 1770000000 --on-chain "$work/bad.json"
err_has 'L001|L002|L006|error'
err_has 'not published'
quiet
rule=$(grep -oE 'L[0-9]{3} error' "$work/err" | head -n 1 | cut -d' ' -f1)
run 0 approve --version 7 --not-before 1770000000 --on-chain --force "$rule" "$work/bad.json"
err_has 'published by force'
gzip -nc "$work/bad.json" >"$work/bad.gz"
run 1 approve --version 7 --not-before 1770000000 --on-chain "$work/bad.gz"
quiet
head -c 40 "$work/one.gz" >"$work/cut.gz"
run 1 approve --version 7 --not-before 1770000000 --on-chain "$work/cut.gz"
quiet
awk 'BEGIN { printf "["; for (i = 0; i < 150; i++) { printf "%s{\"measurement_id\":\"m%d\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":{\"expected\":\"%096d\"}}}", i ? "," : "", i, i + 1 } print "]" }' >"$work/large.json"
[ "$(wc -c <"$work/large.json")" -gt 24575 ] || fail 'not large'
run 1 approve --version 7 --not-before 1770000000 --on-chain "$work/large.json"
err_has 'at most 24575'
quiet
run 0 approve --version 7 --not-before 1770000000 --on-chain --gzip "$work/large.json"
run 0 approve --version 7 --not-before 1770000000 --uri https://a.example/l.json "$work/large.json"
refused() { # WHAT_IT_SAYS ARGUMENTS...
    local says=$1
    shift
    run 2 "$@"
    err_has "$says"
    quiet
}
refused '--on-chain, --uri' approve --version 7 --not-before 1770000000 "$work/one.json"
refused '--version' approve --version 0 --not-before 1770000000 --on-chain "$work/one.json"
refused '--version' approve --not-before 1770000000 --on-chain "$work/one.json"
refused '--not-before' approve --version 7 --on-chain "$work/one.json"
refused '--not-after' approve --version 7 --not-before 1770000000 --not-after 1770000000 --on-chain "$work/one.json"
refused '--uri' approve --version 7 --not-before 1 --uri http://a.example/x "$work/one.json"
refused '--uri' approve --version 7 --not-before 1 --uri "https://a.example/$(printf 'x%.0s' {1..256})" "$work/one.json"
refused '--id' revoke
refused '--id' revoke --id 0
refused '--reason' revoke --id 1 --reason because
refused '--guardian' set-guardian --guardian 0x3c44CdDdB6a900fa2b585dd299e03d12FA4293BC # a letter's case
refused '30 days' raise-min-delay --min-delay 31d
refused '--min-delay' raise-min-delay --min-delay 1w
refused 'zero address' deploy-data --owner 0x0000000000000000000000000000000000000000
refused 'no verb' approveall
refused '--key-file' revoke --id 1 --contract $address --rpc http://127.0.0.1:1 --send
refused 'nothing is signed' revoke --id 1 --key-file "$work/x"
refused 'chain 1' revoke --id 1 --contract eip155:1:$address --safe eip155:5:$address --format tx
for url in http://192.0.2.1:8545 http://127.evil.example ftp://127.0.0.1/ https://user@a.example/ nonsense://x; do
    refused '--rpc' show --contract $address --rpc "$url"
done
run 3 show --contract $address --rpc http://127.0.0.1:1/secret
err_has '127.0.0.1:1: '
if grep -q secret "$work/err"; then fail 'the path of the URL is told, which may be a key'; fi

anvil_program >/dev/null || { echo 'the rest is skipped: no anvil (scripts/fetch-anvil)'; check_end; }

# ---- with a chain: each operation is sent by the tool and seen by eth_call ----
anvil_start "$work/chain"
OWNER_KEY=$(key owner ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80)
GUARD_KEY=$(key guard 59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d)
NEXT_KEY=$(key next 5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a)
send() { # KEY VERB...: the contract is $REGISTRY
    local key=$1
    shift
    run 0 "$@" --contract "$REGISTRY" --rpc "$ANVIL_URL" --send --really --key-file "$key"
    out_has '^0x[0-9a-f]{64}$'
}
word() { printf '0x%064x' "$1"; }
word_of() { printf '0x%024d%s' 0 "$(tr 'A-F' 'a-f' <<<"${1#0x}")"; }
is() { [ "$2" = "$3" ] || fail "$1: $2 instead of $3"; }
slot_delay() { echo $((16#$(contract_slot "$REGISTRY" "$(word 3)" | cut -c 11-26))); }
soon() { echo $(($(anvil_now) + ${1:-30})); }
at() { anvil_rpc evm_setNextBlockTimestamp "[$1]" >/dev/null; anvil_mine 1; }

height=$(anvil_height latest)
run 1 deploy-data --owner "$ANVIL_OWNER" --rpc "$ANVIL_URL" --send --key-file "$OWNER_KEY"
err_has 'none of the test chains'
quiet
is 'nothing was sent' "$(anvil_height latest)" "$height"
run 1 deploy-data --owner "$ANVIL_OWNER" --rpc "$ANVIL_URL" --send --really --key-file "$OWNER_KEY" -o "$work/b.json"
err_has 'is there already'
is 'nothing was sent' "$(anvil_height latest)" "$height"
chmod 644 "$OWNER_KEY"
run 1 deploy-data --owner "$ANVIL_OWNER" --rpc "$ANVIL_URL" --send --really --key-file "$OWNER_KEY"
err_has 'chmod 600'
chmod 600 "$OWNER_KEY"
run 0 deploy-data --owner "$ANVIL_OWNER" --guardian "$ANVIL_GUARDIAN" --rpc "$ANVIL_URL" --send --really \
    --key-file "$OWNER_KEY" --json
REGISTRY=$(grep -oE '"contractAddress": "0x[0-9a-fA-F]{40}"' "$work/out" | grep -oE '0x[0-9a-fA-F]{40}')
is 'the code' "$(contract_code_hash_at "$REGISTRY")" \
    "$(sed -n 's/^ "deployedBytecodeKeccak256": "\(.*\)"$/\1/p' "$REGISTRY_ABI")"
run 1 show --contract "$REGISTRY" --rpc "$ANVIL_URL" --chain 5
err_has 'serves chain 1, not 5'
run 1 show --contract $address --rpc "$ANVIL_URL"
err_has 'no contract at'

# An address without code takes every call and does nothing.
run 1 revoke --id 1 --contract $address --rpc "$ANVIL_URL" --safe "$ANVIL_OWNER"
err_has 'no contract at'
run 1 revoke --id 1 --contract $address --rpc "$ANVIL_URL" --send --really --key-file "$OWNER_KEY"
err_has 'no contract at'
quiet

send "$OWNER_KEY" approve --version 1.0.0 --not-before "$(soon)" --on-chain "$work/one.json"
send "$OWNER_KEY" approve --version 1.1.0 --not-before "$(soon)" --not-after "$(soon 60)" --uri https://a.example/two.json "$work/two.json"
is 'releases' "$(contract_call "$REGISTRY" 'releaseCount()')" "$(word 2)"
[[ $(contract_call "$REGISTRY" 'payload(uint64)' 1) == *"$(od -An -v -tx1 "$work/one.json" | tr -d ' \n')"* ]] ||
    fail 'the payload on chain is not the file'
run 0 show --contract "$REGISTRY" --rpc "$ANVIL_URL"
out_has '^release 1 +pending, version 281474976710656 \(1.0.0\)'
out_has 'format 1, not on chain, https://a.example/two.json'
out_has '^next release  id 3, version above 281479271677952 \(1.1.0\)$'
err_has 'nothing of it is proven'

# A call that would fail is told before it is signed, and costs nothing.
height=$(anvil_height latest)
refuses() { # WHAT_IT_SAYS KEY VERB...
    local says=$1 key=$2
    shift 2
    run 1 "$@" --contract "$REGISTRY" --rpc "$ANVIL_URL" --send --really --key-file "$key"
    err_has "$says"
    quiet
    run 1 "$@" --contract "$REGISTRY" --rpc "$ANVIL_URL" --from "$(case $key in "$OWNER_KEY") echo "$ANVIL_OWNER" ;; *) echo "$ANVIL_GUARDIAN" ;; esac)"
    err_has "would refuse it.*$says"
    quiet
}
refuses 'VersionNotIncreasing: the last release has version 281479271677952' "$OWNER_KEY" \
    approve --version 1.0.5 --not-before "$(soon)" --on-chain "$work/one.json"
refuses 'BadWindow: from 1970' "$OWNER_KEY" approve --version 2.0.0 --not-before 5 --on-chain "$work/one.json"
refuses 'NotAuthorized: 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 may not' "$GUARD_KEY" \
    approve --version 2.0.0 --not-before "$(soon)" --on-chain "$work/one.json"
refuses 'UnknownRelease: there is no release 9' "$OWNER_KEY" revoke --id 9
refuses 'BadWindow' "$OWNER_KEY" prune --id 1
refuses 'BadValue: 5' "$OWNER_KEY" heartbeat --valid-until 5
is 'nothing was sent' "$(anvil_height latest)" "$height"
run 0 revoke --id 1 --contract "$REGISTRY" --rpc "$ANVIL_URL" # as the owner
err_has "tried on chain 1 from $ANVIL_OWNER: it would work now"
out_is "$(registry_calldata revoke 1 0)"

end=$(soon 45)
send "$GUARD_KEY" shorten --id 2 --not-after "$end"
# the tenth word: an offset, five words of its fate, then id, version, notBefore, notAfter
is 'the end of release 2' $((16#$(contract_call "$REGISTRY" 'release(uint64)' 2 | cut -c 579-642))) "$end"
send "$OWNER_KEY" raise-min-delay --min-delay 1h
is 'the delay' "$(slot_delay)" 3600
send "$OWNER_KEY" heartbeat --valid-until +1d
run 0 show --contract "$REGISTRY" --rpc "$ANVIL_URL" --json
out_has '"min_delay": 3600'
out_has '"sequence": 6'
out_has '"trust": "single"'
out_has '"valid_until": 1[0-9]{9}'
send "$GUARD_KEY" revoke --id 1 --reason 77
refuses 'NotLive: release 1 was revoked' "$GUARD_KEY" revoke --id 1
at "$(soon 200)"
send "$NEXT_KEY" prune --id 2 # anybody
run 0 show --contract "$REGISTRY" --rpc "$ANVIL_URL"
out_has '^no live release: nothing is approved$'
send "$OWNER_KEY" set-guardian --guardian none
is 'the guardian' "$(contract_slot "$REGISTRY" "$(word 4)")" "$(word 0)"
send "$OWNER_KEY" transfer-owner --to $address
is 'the next owner' "$(contract_call "$REGISTRY" 'pendingOwner()')" "$(word_of $address)"
run 0 show --contract "$REGISTRY" --rpc "$ANVIL_URL"
out_has "^next owner    $address$"
run 0 accept-owner --contract "$REGISTRY" --rpc "$ANVIL_URL" # tried from whom it was offered to
send "$NEXT_KEY" accept-owner
is 'the owner' "$(contract_call "$REGISTRY" 'owner()')" "$(word_of $address)"

# ---- a Safe: what is signed is what is sent ----
safe_files || { echo 'the rest is skipped: no Safe (scripts/fetch-safe)'; check_end; }
safe_install
safe_deploy
safe=$(printf 0x%s "${SAFE#0x}")
registry_deploy 0 "$SAFE" "$ANVIL_GUARDIAN"
run 0 approve --version 1 --not-before "$(soon)" --on-chain "$work/one.json" --contract "$REGISTRY" --safe "$safe" \
    --rpc "$ANVIL_URL" --format safe-tx -o "$work/tx.json"
err_has 'transaction 0 of the Safe'
for name in owner guard next; do # the Safe's owners are these three accounts
    run 0 sign-safe-tx --key-file "$work/$name.key" "$work/tx.json"
    cp "$work/out" "$work/$name.sig"
done
exec_args=(safe-exec "$work/tx.json" --rpc "$ANVIL_URL")
run 1 "${exec_args[@]}" --signature-file "$work/owner.sig"
err_has 'GS020: fewer signatures'
quiet
run 1 "${exec_args[@]}" --signature-file "$work/owner.sig" --signature-file "$work/owner.sig"
err_has 'is there twice'
stranger=$(key stranger 7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6)
run 0 sign-safe-tx --key-file "$stranger" "$work/tx.json"
run 1 "${exec_args[@]}" --signature-file "$work/owner.sig" --signature "$(cat "$work/out")"
err_has 'GS026: a signer is no owner'
sed 's/"operation": 0/"operation": 1/' "$work/tx.json" >"$work/delegate.json"
run 0 sign-safe-tx --key-file "$OWNER_KEY" "$work/delegate.json"
err_has 'DELEGATECALL'
cmp -s "$work/out" "$work/owner.sig" && fail 'another operation has the same signature'
sed 's/"SafeTx"/"Mail"/' "$work/tx.json" >"$work/mail.json"
run 1 sign-safe-tx --key-file "$OWNER_KEY" "$work/mail.json"
err_has 'SafeTx'
quiet
is 'the nonce' "$(safe_nonce)" 0
# One owner approves on chain, and one signs; whoever sends it is no owner.
FROM=$ANVIL_GUARDIAN contract_send "$SAFE" 'approveHash(bytes32)' \
    "$(safe_tx_hash "$REGISTRY" "$(grep -oE '"data": "0x[0-9a-f]*"' "$work/tx.json" | grep -oE '0x[0-9a-f]*')" 0 0)" >/dev/null
run 0 "${exec_args[@]}" --signature-file "$work/next.sig" --approved "$ANVIL_GUARDIAN" --send --really --key-file "$stranger"
err_has 'approved on chain by 0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
is 'the nonce' "$(safe_nonce)" 1
is 'releases' "$(contract_call "$REGISTRY" 'releaseCount()')" "$(word 1)"
run 1 "${exec_args[@]}" --signature-file "$work/next.sig" --signature-file "$work/owner.sig"
err_has 'GS026' # again: the nonce is another
check_end
