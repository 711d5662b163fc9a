# tests/support/anvil.sh - a test chain for shell tests and the demo; source it. Needs curl.
# Blocks: finalized = latest - 2. The chain's clock starts 30 s behind the wall clock, so that blocks mined at once
# do not lie in the future, which measured would refuse. Accounts are anvil's ten well-known unlocked ones; no key is needed.
#
#   anvil_program                  path of the program, or 1 when there is none (a test then exits 77)
#   anvil_start FOLDER [args...]   sets ANVIL_PID and ANVIL_URL; log and state stay inside FOLDER. With ANVIL_TIMESTAMP
#                                  the chain's clock starts there; it keeps the last 64 states ($ANVIL_STATES)
#   anvil_stop                     ends that process; harmless twice
#   anvil_rpc METHOD PARAMS_JSON   prints the whole answer
#   anvil_result METHOD PARAMS     prints the result when it is a string; 1 and the answer on stderr otherwise
#   anvil_mine N [STEP_S]          N blocks, STEP_S (default 1) seconds apart
#   anvil_now                      timestamp of the latest block, decimal
#   anvil_height TAG               number of the block TAG (latest, finalized, ...), decimal
#   anvil_send FROM TO|- DATA      sends and waits; prints the receipt; 1 when it reverted

ANVIL_OWNER=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
ANVIL_GUARDIAN=0x70997970C51812dc3A010C7d01b50e0d17dc79C8

anvil_program() {
    local program=${ANVIL:-.deps/anvil}
    [ -x "$program" ] && realpath "$program"
}

# Wait up to 10 s for `Listening on 127.0.0.1:PORT` in a file while the process lives; print the port.
rig_port_of() {
    local log=$1 pid=$2 port
    : >>"$log" # the process opens it in a moment
    for _ in $(seq 200); do
        port=$(sed -n 's/^Listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$log" | head -n 1)
        if [ -n "$port" ]; then
            echo "$port"
            return 0
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    echo "no port in $log:" >&2
    cat "$log" >&2
    return 1
}

anvil_start() {
    local folder=$1 program port
    shift
    program=$(anvil_program) || return 1
    mkdir -p "$folder"
    # HOME: anvil keeps state files of its own there.
    HOME=$folder "$program" --host 127.0.0.1 --port 0 --chain-id 1 --hardfork prague \
        --slots-in-an-epoch 1 --prune-history "${ANVIL_STATES:-64}" \
        --timestamp "${ANVIL_TIMESTAMP:-$(($(date +%s) - 30))}" "$@" >"$folder/anvil.log" 2>&1 &
    ANVIL_PID=$!
    port=$(rig_port_of "$folder/anvil.log" "$ANVIL_PID") || return 1
    ANVIL_URL=http://127.0.0.1:$port
}

anvil_stop() {
    [ -n "${ANVIL_PID:-}" ] || return 0
    kill "$ANVIL_PID" 2>/dev/null || true
    wait "$ANVIL_PID" 2>/dev/null || true
    ANVIL_PID=
}

# Parameters go through a pipe: a contract's code is longer than a command line likes.
anvil_rpc() {
    printf '{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}' "$1" "$2" |
        curl -sS --fail --max-time 20 --noproxy '*' -H 'Content-Type: application/json' \
            --data-binary @- "$ANVIL_URL"
}

anvil_result() {
    local answer
    answer=$(anvil_rpc "$1" "$2") || return 1
    if [[ $answer =~ \"result\":\"([^\"]*)\" ]]; then
        echo "${BASH_REMATCH[1]}"
    else
        echo "$1: $answer" >&2
        return 1
    fi
}

anvil_mine() {
    anvil_rpc anvil_mine "[\"$(printf '0x%x' "$1")\",\"$(printf '0x%x' "${2:-1}")\"]" >/dev/null
}

# One number of a block's header, decimal.
anvil_block() {
    local answer
    answer=$(anvil_rpc eth_getBlockByNumber "[\"$1\",false]") || return 1
    [[ $answer =~ \"$2\":\"(0x[0-9a-f]+)\" ]] && echo $((BASH_REMATCH[1]))
}

anvil_now() { anvil_block latest timestamp; }
anvil_height() { anvil_block "$1" number; }

anvil_send() {
    local from=$1 to=$2 data=$3 hash receipt member=
    [ "$to" = - ] || member="\"to\":\"$to\","
    hash=$(anvil_result eth_sendTransaction \
        "[{\"from\":\"$from\",${member}\"gas\":\"0x1312d00\",\"data\":\"$data\"}]") || return 1
    # The hash may be told before the receipt exists.
    for _ in $(seq 100); do
        receipt=$(anvil_rpc eth_getTransactionReceipt "[\"$hash\"]") || return 1
        case $receipt in
        *'"status":"0x1"'*)
            echo "$receipt"
            return 0
            ;;
        *'"status":"0x0"'*)
            echo "reverted: $receipt" >&2
            return 1
            ;;
        esac
        sleep 0.05
    done
    echo "no receipt for $hash" >&2
    return 1
}
