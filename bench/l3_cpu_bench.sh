#!/bin/bash
# Processor time of the daemon for one verified read of a registry at l3, over a test chain on loopback: two
# groups agree on the block, one proves slot 0, the snapshot is checked against it. Three figures of one run: the
# whole daemon for first reads (six exchanges over loopback, evidence written and synced, an answer rendered and
# sent) and for refreshes of an entry, counted from /proc; and the verdict alone, reached again from the evidence
# of those reads. The aim for the verdict: 1 ms.
#   bench/l3_cpu_bench.sh [BUILD_DIR] [READS]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
reads=${2:-400}
cmake --preset release >&2
cmake --build "$build" --target measured rig_tools l3_verify_bench >&2
RIG_TOOLS=$build/tests
MEASURED_BIN=$(realpath "$build/bin")
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/daemon.sh

anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 0; }
work=$(mktemp -d /tmp/l3cpu.XXXXXX)
trap 'daemon_stop || true; anvil_stop; rm -rf "$work"' EXIT

printf '[{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]' 1 \
    >"$work/one.json"
anvil_start "$work/chain"
registry_deploy 0
registry_approve 1 "$work/one.json"
registry_finalize
{
    printf '[policy]\nlevel = l3\npoll = 1h\n'
    printf '[rpc %s]\nurl = %s\n' a "$ANVIL_URL" b "$ANVIL_URL"
} | daemon_config "$work/d"
daemon_start "$work/d"

ticks() { # user and system
    local stat fields
    stat=$(cat "/proc/$DAEMON_PID/stat")
    read -r -a fields <<<"${stat##*) }"
    echo "${fields[11]} ${fields[12]}"
}
# run NAME METHOD SOCKET PATH_PREFIX: `reads` requests on one connection; @ in the path is the request's number.
run() {
    local before after path ok
    for ((i = 0; i < reads; i++)); do
        path=${4//@/$i}
        printf 'url = "http://localhost%s"\noutput = "%s/out.%s"\n' "$path" "$work" "$i"
    done >"$work/curl.conf"
    before=$(ticks)
    curl -sS -X "$2" --unix-socket "$work/d/run/$3" -K "$work/curl.conf"
    after=$(ticks)
    ok=$(cat "$work"/out.* | grep -o '"trust":"proof"' | wc -l)
    [ "$ok" = "$reads" ] || { echo "$1: $ok of $reads reads were verified"; exit 1; }
    awk -v name="$1" -v n="$reads" -v hz="$(getconf CLK_TCK)" '{
        user = ($3 - $1) * 1000 / hz / n; sys = ($4 - $2) * 1000 / hz / n
        printf "%-8s %.2f ms a read: user %.2f, system %.2f (%d reads)\n", name, user + sys, user, sys, n
    }' <<<"$before $after"
}
spec=specifier=eip155:1:$REGISTRY
run first GET api.sock "/v1/resolve?$spec;app=n@"
run refresh POST admin.sock "/v1/refresh?$spec"
printf 'verdict  %s ms a read, from its evidence\n' "$("$build/bin/l3_verify_bench" "$work/d/state/measured.db" 20)"
if [ -n "${PERF:-}" ]; then # profile 5 s of refreshes
    perf record -q -g -p "$DAEMON_PID" -o "$PERF" -- sleep 5 &
    perf=$!
    for _ in 1 2 3 4 5 6; do run refresh POST admin.sock "/v1/refresh?$spec"; done
    wait $perf
fi
