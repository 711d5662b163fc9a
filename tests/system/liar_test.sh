#!/bin/bash
# One RPC endpoint of the daemon lies in every way we could think of: nothing is served that governance did
# not approve, the good answer at hand is not lost, and the daemon recovers without a restart. What happens
# at which level is the table below; docs/threats.md says which threat a lie belongs to.
#
# The real chain has release 1, finalized, and release 2 on its head, not yet final. The rogue chain has the
# same contracts at the same addresses, a release of the attacker's, and is longer.
# LIAR_TABLE=print prints what happens in the form of the table instead of comparing.
set -euo pipefail
build=$(realpath "${1:?usage: liar_test.sh BUILD_DIR}")
RIG_TOOLS=$build/tests
MEASURED_BIN=$build/bin
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/daemon.sh

anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
work=$(mktemp -d /tmp/liar.XXXXXX)
pids=() # of this shell's children
cleanup() {
    daemon_stop || true
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
}
trap 'cleanup; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
key=sEcReT0KeY9 # in the URL of each endpoint

# What the refresh of a cached entry gives while the liar lies; what is served then; what the first question
# about an entry gives; the liar's breaker; what a refresh gives after the lie. A cell says in short
#   good       good all along
#   CODE       CODE good CODE closed good: the refresh fails, the cached answer stays, a newcomer gets the error
#   CODE!      the same, and the liar is benched: at l1 a refresh after the lie finds nobody to ask (quorum)
#   a/b/c/d    refresh, served, first question, after the lie
#   -          not run; a * in a cell is anything
# l1n is l1 with an endpoint that does not prove (proofs = no). l2 and l3: three groups, two must agree, one lies.
#   name            | lies                         | l1 | l1n | l2 | l3
table() {
    cat <<TABLE
wrong-chain       | chain-id 0x2 | wrong-chain | - | good | good
chain-id-empty    | chain-id 0x | rpc-shape | - | - | -
header-field      | header stateRoot $ones | header | - | good | good
header-extra      | header blobScheduleHash 0x01 | good | - | good | good
header-hash       | header hash $ones | header | - | - | good
header-gap        | header withdrawalsRoot null | rpc-shape | - | - | -
final-old         | finalized-back 6 | rollback/good/none/good | - | good | good
final-early       | finalized-ahead 2 | good+soon/good+soon/good+soon/rollback | - | good | good
future            | shift 3600 | header | - | good | good
ancient           | rehash timestamp 0x5f5e100 | rollback/good/stale/good | rollback/good/stale/good | dissent | dissent
heads-swapped     | swap-heads | header | - | good | good
block-null        | null eth_getBlockByNumber | rpc | - | - | -
header-rehashed   | rehash stateRoot $ones | rollback/good/proof/* | rollback/good/good/good | dissent | dissent
proof-account     | proof-address $ANVIL_GUARDIAN | proof! | - | good! | good!
proof-key         | proof-key $slot1 | - | - | - | good!
proof-short       | proof-drop account | proof! | - | - | good!
proof-short-slot  | proof-drop storage | - | - | - | good!
proof-twice       | proof-repeat account | - | - | - | good!
proof-twice-slot  | proof-repeat storage | - | - | - | good!
proof-bit-root    | proof-flip account 0 | - | - | - | good!
proof-bit-leaf    | proof-flip account last | proof! | - | - | good!
proof-bit-slot    | proof-flip storage last | - | - | - | good!
proof-embedded    | proof-embed account | - | - | - | good!
proof-balance     | proof-claim balance 0x1 | - | - | - | good!
proof-codehash    | proof-claim codeHash $ones | - | - | - | good!
proof-value       | storage-value 0x1 | proof! | - | good! | good!
proof-rogue       | proof-from $rogue | - | - | - | good!
proof-old         | proof-back 6 | proof! | - | - | good!
proof-null        | null eth_getProof | rpc-shape | - | good | good
proof-none        | error eth_getProof -32601 no_such_method | good | - | good | good
proof-too-old     | error eth_getProof -32602 distance_exceeds_maximum_proof_window | good | - | good | good
call-empty        | call 0x | commitment! | no-code | good! | good!
call-garbage      | call 0x00000000 | abi | abi | good! | good
call-null         | null eth_call | rpc-shape | - | good | good
call-revert       | error eth_call 3 execution_reverted | kind | kind | good | good
call-added        | call-from $chain | commitment! | good+soon/good+soon/good+soon/rollback | good! | good!
call-omitted      | call-back 6 | commitment! | rollback/good/none/good | good! | good!
call-old-proven   | call-back 6; proof-back 6 | proof! | - | good! | good!
call-payload      | call-patch $good_hex $evil_hex | hash-mismatch | hash-mismatch | dissent | good
call-rogue        | call-from $rogue | commitment! | conflict/good/evil/good | good! | good!
call-rogue-proven | call-from $rogue; proof-from $rogue | proof! | - | good! | good!
call-sequence     | call-patch $(seq_hex 2) $(seq_hex 9) | commitment! | good/good/good/* | good! | good!
fork              | upstream $rogue | rollback/good/evil/good | rollback/good/evil/good | dissent | dissent
fork-one-height   | upstream-at $height $rogue | rollback/good/rpc/good | - | dissent | dissent
batch-reversed    | batch reverse | good | - | good | good
batch-partial     | batch partial | rpc-shape | - | - | -
batch-repeated    | batch repeat | rpc-shape | - | - | -
batch-extra       | batch extra | rpc-shape | - | - | -
batch-error       | batch error | rpc | - | - | -
batch-refused     | batch refuse | good | - | good | good
batch-413         | batch 413 | good | - | - | good
no-eip1898        | no-eip1898 | good | - | good | good
old-state         | error eth_call -32000 missing_trie_node | rpc | - | good | good
old-header        | error eth_call -32000 header_not_found | rpc | - | - | -
pruned            | error eth_call 4444 pruned_history_unavailable | rpc | - | - | -
limited           | error eth_call -32005 limit_exceeded | rpc | - | - | -
http-200-error    | error eth_chainId -32603 internal | rpc | - | - | -
http-500          | http 500 | rpc | - | good | good
http-429          | http 429 | rpc | - | good | good
http-503          | http 503 soon | rpc | - | - | -
huge-announced    | huge announced | too-large | - | good | -
huge-endless      | huge endless | too-large | - | - | good
cut               | cut 40 | truncated | - | - | -
gzip              | gzip | json | - | - | -
redirect          | redirect $chain | redirect | - | good | -
no-json           | garbage | json | - | - | -
deep              | deep 1000 | depth | - | - | -
deeper            | deep 200000 | depth | - | - | good
TABLE
}

# ---- two chains ----

document() {
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]' \
        "$1" "$2" >"$work/$1.json"
}
hex_of() { printf '%s' "$1" | od -An -tx1 | tr -d ' \n'; }
seq_hex() { printf '%064x' "$1"; }
document good 1
document soon 2
document evil 3
good_hex=$(hex_of '"good"')
evil_hex=$(hex_of '"evil"')
ones=0x$(printf '1%.0s' {1..64})
slot0=0x$(printf '%064x' 0)
slot1=0x$(printf '%064x' 1)
other=0x00000000000000000000000000000000000000aa # a contract that answers everything with nothing

# Release 1 is finalized; six blocks below the finalized one there was none.
build_chain() {
    anvil_rpc anvil_setCode "[\"$other\",\"0x00\"]" >/dev/null
    anvil_rpc anvil_setStorageAt "[\"$other\",\"$slot0\",\"$slot1\"]" >/dev/null
    anvil_mine 1 # the block before has this state and not its root
    registry_deploy 0
    anvil_mine 4
    registry_approve 1 "$1"
    registry_finalize
}
anvil_start "$work/rogue"
pids+=("$ANVIL_PID")
rogue=$ANVIL_URL
build_chain "$work/evil.json"
anvil_mine 6
anvil_start "$work/chain"
pids+=("$ANVIL_PID")
chain=$ANVIL_URL
build_chain "$work/good.json"
registry_approve 2 "$work/soon.json"
height=$(anvil_height finalized)

# ---- one liar and one daemon, in $home ----

fail() {
    echo "FAILED: $*"
    echo "$*" >>"$work/failures"
}
liar_start() {
    home=$work/$1
    mkdir -p "$home"
    : >"$home/lie"
    "$RIG_TOOLS/rpcliar" --upstream "$chain" --control "$home/lie" --log "$home/asked" \
        >"$home/liar.log" 2>&1 &
    pids=($!)
    liar=http://127.0.0.1:$(rig_port_of "$home/liar.log" $!)
}
tell() { echo "${1//;/$'\n'}" >"$home/lie"; }
honest() { : >"$home/lie"; }

policy() { printf '[policy]\nlevel = %s\npoll = 1h\n' "$1"; }
endpoint() { # NAME URL GROUP [PROOFS]
    printf '[rpc %s]\nurl = %s/?key=%s\ngroup = %s\nproofs = %s\n' "$1" "$2" "$key" "$3" "${4:-finalized}"
}
# The liar stands first: whoever is asked first, it is.
config_of() {
    case $1 in
    l1) policy l1 && endpoint liar "$liar" a ;;
    l1n) policy l1 && endpoint liar "$liar" a no ;;
    *) policy "$1" && endpoint liar "$liar" a && endpoint second "$chain" b && endpoint third "$chain" c ;;
    esac
}
# The configuration is stdin.
daemon_fresh() {
    daemon_stop || true
    rm -rf "$home/d"
    daemon_config "$home/d"
    daemon_start "$home/d" || fail 'the daemon does not start'
    entries=0
}

# Sets `outcome`: the names of the records in a body, joined by +, none for an empty list, or an error's code.
judge() {
    local rest=$1
    printf '%s\n' "$1" >>"$home/bodies"
    outcome=
    while [[ $rest =~ \"measurement_id\":\"([a-z]+)\"(.*) ]]; do
        outcome+=${outcome:++}${BASH_REMATCH[1]}
        rest=${BASH_REMATCH[2]}
    done
    [ -z "$outcome" ] || return 0
    case $1 in
    '[]' | *'"releases":[]'*) outcome=none ;;
    measured:*) outcome=${1#measured: } outcome=${outcome%%:*} ;;
    *) [[ $1 =~ \"code\":\"([a-z0-9-]+)\" ]] && outcome=${BASH_REMATCH[1]} || outcome="?$1" ;;
    esac
}
served() { judge "$(daemon_get "/v1/measurements?specifier=eip155:1:$REGISTRY${1:-}")"; }
refreshed() {
    judge "$(curl -sS --max-time 40 -X POST --unix-socket "$MEASURED_SOCKET_DIR/admin.sock" \
        "http://localhost/v1/refresh?specifier=eip155:1:$REGISTRY")"
}
breaker_of() {
    local status
    status=$(daemon_get /v1/status)
    printf '%s\n' "$status" >>"$home/bodies"
    status=${status#*\"name\": \"$1\"}
    [[ $status =~ \"breaker\":\ \"([a-z]+)\" ]]
    breaker=${BASH_REMATCH[1]}
}

# A refresh that joins one begun under the lie says what that found; the next one is ours.
refreshed_after() {
    for _ in 1 2 3 4 5; do
        refreshed
        [ "$outcome" != good ] || return 0
        sleep 0.1
    done
}

# Sets `refresh`, `kept`, `cold`, `breaker`, `after`.
run_row() {
    local level=$1 name=$2 lies=$3
    tell "$lies"
    refreshed
    refresh=$outcome
    served
    kept=$outcome
    breaker_of liar
    honest
    refreshed_after
    after=$outcome
    if [ "$breaker" = benched ]; then # the newcomer's question meets a liar not yet caught
        daemon_fresh < <(config_of "$level")
    fi
    tell "$lies"
    entries=$((entries + 1))
    served ";app=n$entries" # app= makes it another entry
    cold=$outcome
    honest
}
in_short() {
    local all="$refresh $kept $cold $after" bench=
    [ "$breaker" != benched ] || bench='!'
    case $all in
    'good good good good') cell=good$bench ;;
    "$refresh good $refresh good") cell=$refresh$bench ;;
    "$refresh good $refresh quorum") cell=$refresh$bench ;;
    *) cell=${all// //}$bench ;;
    esac
}

# The rows of the table, for one level.
run_level() {
    local level=$1 name lies cells want stale=1 n=0
    local -A column=([l1]=0 [l1n]=1 [l2]=2 [l3]=3)
    while IFS='|' read -r name lies cells; do
        IFS='| ' read -r -a cells <<<"$cells"
        want=${cells[${column[$level]}]}
        name=${name%% *} lies=${lies# }
        [ "$want" != - ] || continue
        # An endpoint that is not benched and an entry that is well do for the next row too.
        if [ $stale = 1 ] || [[ $want == *'!' ]]; then
            honest
            daemon_fresh < <(config_of "$level")
            served
            [ "$outcome" = good ] || fail "$level $name: $outcome instead of a good answer to begin with"
        fi
        run_row "$level" "$name" "$lies"
        in_short
        n=$((n + 1))
        if [ "${LIAR_TABLE:-}" = print ]; then
            echo "$name $level $cell"
        elif [[ $cell != $want ]]; then
            fail "$level $name: $cell instead of $want"
        fi
        stale=0
        [ "$after$breaker" = goodclosed ] && [[ $cell != *'!' ]] || stale=1
    done < <(table | grep -v '^#')
    echo "$level: $n lies"
}

# Nothing that people or disks get to see has the key of an endpoint's URL.
check_key() {
    local status=0
    daemon_get /metrics >>"$home/bodies"
    daemon_stop || status=$?
    [ $status = 0 ] || fail "$1: the daemon ended with $status"
    ! grep -rlaF "$key" "$home/bodies" "$home/d/state" "$home/d/measured.log" || fail "$1: the key of an endpoint shows"
    grep -qF measurement_id "$home/bodies" || fail "$1: nothing was looked at"
}
run_job() {
    pids=()
    trap cleanup EXIT
    liar_start "$1"
    "$@"
    check_key "$1"
}
level_l1() { run_level l1; }
level_l1n() { run_level l1n; }
level_l2() { run_level l2; }
level_l3() { run_level l3; }

# ---- what needs another set of endpoints, or time ----

expect() { [ "$outcome" = "$2" ] || fail "$1: $outcome instead of $2"; }

# Two endpoints of one operator are one voice.
same_group() {
    honest
    daemon_fresh < <(policy "$1" && endpoint liar "$liar" a && endpoint second "$chain" a)
    served
    expect "$1, one group" quorum
    daemon_fresh < <(policy "$1" && endpoint liar "$liar" a && endpoint again "$liar" a &&
        endpoint third "$chain" c)
    tell "upstream $rogue"
    served
    expect "$1, a group that lies twice" dissent
    honest
    refreshed_after
    expect "$1, the group tells the truth again" good
}

# Nothing helps at l2 and l3 against as many groups as the quorum that tell the same tale: the limit of these
# levels, shown so that nobody believes more.
two_liars() {
    tell "upstream $rogue"
    daemon_fresh < <(policy "$1" && endpoint liar "$liar" a && endpoint other "$liar" b &&
        endpoint third "$chain" c)
    served
    expect "$1, two of three groups collude" evil
    daemon_fresh < <(policy "$1" && printf 'quorum = 3\n' && endpoint liar "$liar" a &&
        endpoint other "$liar" b && endpoint third "$chain" c)
    served
    expect "$1, two collude where three must agree" dissent
}

# A level is never lowered: without a proof that verifies l3 gives nothing new.
only_prover_lies() {
    daemon_fresh < <(policy l3 && endpoint liar "$liar" a && endpoint second "$chain" b no &&
        endpoint third "$chain" c no)
    honest
    served
    expect 'l3, one endpoint proves' good
    tell 'error eth_getProof -32601 no_such_method'
    refreshed
    expect 'l3, the only endpoint that proves does not' rpc
    tell 'storage-value 0x1'
    refreshed
    expect 'l3, the only endpoint that proves lies' proof
    served
    expect 'l3, kept' good
    breaker_of liar
    [ "$breaker" = benched ] || fail "l3, the liar is $breaker"
}

# Whoever may name a contract must not get honest endpoints benched by it.
another_contract() {
    honest
    daemon_fresh < <(config_of "$1")
    REGISTRY=$other served
    expect "$1, no registry" kind
    breaker_of liar
    [ "$breaker" = closed ] || fail "$1, no registry: the endpoint is $breaker"
    served
    expect "$1, a registry after it" good
}

groups() {
    another_contract l2
    another_contract l3
    same_group l2
    same_group l3
    two_liars l2
    two_liars l3
    only_prover_lies
}

# Requests have ten seconds; whoever asks waits five.
# Who says when to come again is not asked before, and that is no fault.
retry_after() {
    local before begun took
    daemon_fresh < <(config_of l2)
    tell 'http 429 600'
    served
    expect 'l2, one is busy' good
    before=$(wc -l <"$home/asked")
    for _ in 1 2 3 4 5 6; do
        refreshed
        expect 'l2, one is busy, again' good
    done
    [ "$before" = "$(wc -l <"$home/asked")" ] || fail 'l2, one is busy: it is asked all the same'
    breaker_of liar
    [ "$breaker" = paused ] || fail "l2, one is busy: the breaker is $breaker"
    honest
    daemon_fresh < <(config_of l1)
    served
    tell 'http 503 5'
    begun=$(date +%s%N)
    refreshed
    expect 'l1, busy' rpc
    honest
    for _ in $(seq 60); do
        refreshed
        [ "$outcome" != good ] || break
        expect 'l1, busy, not asked' quorum
        sleep 0.2
    done
    expect 'l1, the time it asked for is over' good
    took=$((($(date +%s%N) - begun) / 1000000))
    [ $took -ge 4800 ] || fail "l1, asked again after $took ms instead of 5 s"
}
# What it refuses once it is not asked again.
manners() {
    local before
    daemon_fresh < <(config_of l1)
    tell 'batch refuse'
    served
    expect 'l1, batches refused' good
    before=$(wc -l <"$home/asked")
    refreshed
    expect 'l1, batches refused, again' good
    ! tail -n +$((before + 1)) "$home/asked" | grep -q , || fail 'l1, batches refused: asked in batches again'
    [ "$before" -lt "$(wc -l <"$home/asked")" ] || fail 'l1, batches refused: not asked'
    honest
}
slow_l1() {
    daemon_fresh < <(config_of l1)
    served
    tell 'drip 300'
    refreshed
    expect 'l1, drop by drop' timeout
    served
    expect 'l1, drop by drop, kept' good
    honest
    refreshed_after
    expect 'l1, drop by drop, over' good
    tell 'http 500'
    for _ in 1 2 3 4 5; do refreshed; done
    breaker_of liar
    [ "$breaker" = open ] || fail "l1, five faults: the breaker is $breaker"
    served
    expect 'l1, the breaker is open' good
    retry_after
    manners
}
# One endpoint hangs on the lie's messages: those who answer have a second on it, each time it is asked
# something, a refresh as well as somebody who asks for the first time (and who would wait five).
one_hangs() {
    local begun took
    tell "$2"
    begun=$(date +%s%N)
    refreshed
    expect "$1, $2" good
    served ";app=$((entries += 1))"
    expect "$1, $2, a new question" good
    took=$((($(date +%s%N) - begun) / 1000000))
    [ $took -lt 8000 ] || fail "$1, $2: $took ms for a refresh and a new question"
    honest
}
# It is not waited for, but never to answer is a fault, when its ten seconds are over.
hanging_is_a_fault() {
    local n
    # of another host than the honest ones: the daemon asks four things at once of a host
    daemon_fresh < <(liar=${liar/127.0.0.1/localhost} && config_of l2)
    tell hang
    for n in 1 2 3 4; do
        served ";app=$((entries += 1))"
        expect "l2, new question $n while one hangs" good
    done
    breaker_of liar
    [ "$breaker" = closed ] || fail "l2, one hangs: the breaker is $breaker at once"
    sleep 10
    served ";app=$((entries += 1))"
    sleep 10
    breaker_of liar
    [ "$breaker" = open ] || fail "l2, one hangs: the breaker is $breaker"
    honest
}
slow_l3() {
    daemon_fresh < <(config_of l3)
    served
    one_hangs l3 hang
    daemon_fresh < <(config_of l3)
    served
    one_hangs l3 'hang eth_getProof'
}
slow_l2() {
    daemon_fresh < <(config_of l2)
    served
    one_hangs l2 hang
    daemon_fresh < <(config_of l2)
    served
    one_hangs l2 'hang eth_call'
    hanging_is_a_fault
    daemon_fresh < <(policy l2 && endpoint liar "$liar" a && endpoint closed http://127.0.0.1:1 b)
    honest
    served
    expect 'l2, one cannot be reached' quorum
    judge "$(daemon_get "/v1/resolve?specifier=eip155:1:$REGISTRY")"
    daemon_fresh < <(config_of l1)
    served
}

jobs=()
for job in ${LIAR_JOBS:-level_l1 level_l3 level_l2 level_l1n groups slow_l1 slow_l2 slow_l3}; do
    (run_job "$job") &
    jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job" || fail 'a part did not come to its end'; done
[ ! -e "$work/failures" ]
