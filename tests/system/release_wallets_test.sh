#!/bin/bash
# Release sets to and from ethers and viem: their signatures verify here, our typed data has their digest and our
# signatures verify there, and nothing with a flipped bit does. 200 random sets; SETS and SEED change that.
set -euo pipefail
build=$(realpath "${1:?usage: release_wallets_test.sh BUILD_DIR}")
. tests/support/wallets.sh
for program in "$build/bin/measuredctl" "$build/tests/release_batch"; do
    [ -x "$program" ] || { echo "skipped: no $program"; exit 77; }
done
wallets_fetch || { echo 'skipped'; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sets=${SETS:-200}
seed=${SEED:-$RANDOM}
echo "seed $seed" # SEED=.. repeats a run
fail() {
    echo "FAILED: $*"
    exit 1
}

# Each set has one signature of ethers and one of viem; both must count, and ten flipped bits of each be refused.
wallets make "$sets" "$seed" >"$work/in"
"$build/tests/release_batch" 10 <"$work/in" >"$work/out" || fail 'sets of ethers and viem, see above'
wallets check "$work/in" "$work/out" || fail 'our sets in ethers and viem, see above'
# Every bit of one of them.
awk 'length < 1600 { print; exit }' "$work/in" >"$work/one"
"$build/tests/release_batch" 0 <"$work/one" >/dev/null || fail 'every bit of a set, see above'

# The same through the program, as a release manager does it, for all four kinds of documents.
ctl=$build/bin/measuredctl
run() {
    "$ctl" "$@" 2>"$work/err" || fail "measuredctl $*: $(cat "$work/err")"
}
for k in a1 b2; do
    printf "$k%.0s" $(seq 32) >"$work/$k.key"
    chmod 600 "$work/$k.key"
done
a=0x5d5c99EdF529335160FF180fA141Dd4967fc00D2
b=0x75E0De31eCa89159a26b09cc3b5eF4736A4f8969
echo "[{\"measurement_id\":\"w\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"$(printf 'ab%.0s' $(seq 48))\"}}]" \
    >"$work/m.json"
run release new --app wallets --version 1.2.3 --uri https://m.example/w.json -o "$work/set.json" "$work/m.json"
run release root new --app wallets --signers "2of2:$a,$b" --fresh "2of2:$a,$b" --revokers "$a,$b" -o "$work/root.json"
run release freshness --set "$work/set.json" -o "$work/freshness.json"
run release revoke --set "$work/set.json" --id 1 --reason 7 -o "$work/revocations.json"
for kind in set root freshness revocations; do
    file=$work/$kind.json
    run release digest --json "$file" >"$work/typed.json"
    digest=$(run release digest "$file" | sed -n 's/^digest *\(0x[0-9a-f]*\) .*/\1/p')
    [ "$(wallets hash "$work/typed.json")" = "$digest" ] || fail "$kind: another digest than $digest"
    # one signature of each library; and ours is theirs, byte for byte
    for pair in "ethers a1 $a" "viem b2 $b"; do
        read -r library key signer <<<"$pair"
        theirs=$(wallets sign "$library" "0x$(cat "$work/$key.key")" "$work/typed.json")
        ours=$(run release sign --key-file "$work/$key.key" "$file" |
            sed -n 's/.*"signature": "\(.*\)".*/\1/p' | tail -n 1)
        [ "$theirs" = "$ours" ] || fail "$kind: $library signs otherwise"
        run release add-signature --signature "$theirs" --signer "$signer" -o "$file" "$file"
    done
done
run release verify --app wallets --signers "2of2:$a,$b" --root "$work/root.json" --freshness "$work/freshness.json" \
    --revocations "$work/revocations.json" "$work/set.json" >"$work/verified"
grep -q 'release 1 of the set is revoked' "$work/verified" || fail "the revocation is not told: $(cat "$work/verified")"

# For a Safe: the digest of the owners' typed data.
safe=eip155:11155111:0x1C8b9B78e3085866521FE206fa4c1a67F49f153A
run release digest --json --safe "$safe" "$work/set.json" >"$work/typed.json"
digest=$(run release digest --safe "$safe" "$work/set.json" | sed -n 's/^  digest *\(0x[0-9a-f]*\) .*/\1/p')
[ "$(wallets hash "$work/typed.json")" = "$digest" ] || fail "Safe: another digest than $digest"
# Its owners' signatures, one of each library, by rising address and otherwise.
one=$(wallets sign ethers "0x$(cat "$work/a1.key")" "$work/typed.json")
two=$(wallets sign viem "0x$(cat "$work/b2.key")" "$work/typed.json")
run release add-signature --safe "$safe" --signature "$one${two#0x}" -o "$work/safe.json" "$work/set.json"
grep -q "owner 1: $a" "$work/err" && grep -q "owner 2: $b" "$work/err" || fail "other owners: $(cat "$work/err")"
if "$ctl" release add-signature --safe "$safe" --signature "$two${one#0x}" "$work/set.json" >"$work/out" 2>"$work/err"; then
    fail 'owners out of order'
fi
grep -q 'out of order' "$work/err" || fail "$(cat "$work/err")"
