#!/bin/bash
# Long histories: how long the history of one of KEYS specifiers takes among ROWS changes, read by the tool and asked of
# a daemon; how many rows an audit checks in a second; and what a change takes on disk, with its evidence, its row and
# its summary, for lists over https, for a registry at l3 with the proofs of three nodes, and for signed sets.
#   ROWS=100000 KEYS=1000 FEW=300 bench/history_bench.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
rows=${ROWS:-100000} keys=${KEYS:-1000} few=${FEW:-300}
cmake --build "$build" --target measured measuredctl history_fill >/dev/null
MEASURED_BIN=$(realpath "$build/bin")
fill=$(find "$build" -type f -name history_fill | head -n 1)
. tests/support/daemon.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/m.XXXXXX")
trap 'daemon_stop || true; rm -rf "$work"' EXIT
daemon_config "$work" </dev/null
now() { date +%s%N; }
ms() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", (b - a) / 1e6 }'; }

start=$(now)
spec=$("$fill" "$work/state" location "$rows" "$keys")
echo "$rows changes of $keys lists, made in $(ms "$start" "$(now)") ms"
start=$(now)
n=$(measuredctl history "$spec" --db "$work/state" --jsonl | wc -l)
echo "history of one from the database: $(ms "$start" "$(now)") ms for $n rows, the program's start and checks of the file included"
daemon_start "$work"
daemon_get "/v1/history?specifier=$spec" >/dev/null
for _ in 1 2 3; do
    printf 'history of one from the daemon: %s s\n' "$(daemon_get "/v1/history?specifier=$spec&limit=500" -o /dev/null -w '%{time_total}')"
done
daemon_stop
start=$(now)
measuredctl audit --db "$work/state" | tail -n 1
end=$(now)
awk -v n="$rows" -v a="$start" -v b="$end" 'BEGIN { printf "audit: %.0f rows a second\n", n / ((b - a) / 1e9) }'
printf '%-10s %8s %14s %12s\n' kind changes 'bytes/change' 'audit rows/s'
for kind in location registry signers; do
    rm -rf "$work/state"
    "$fill" "$work/state" "$kind" "$few" >/dev/null
    bytes=$(cat "$work"/state/measured.db* | wc -c)
    start=$(now)
    measuredctl audit --db "$work/state" >/dev/null
    end=$(now)
    awk -v k="$kind" -v n="$few" -v s="$bytes" -v a="$start" -v b="$end" \
        'BEGIN { printf "%-10s %8d %14.0f %12.0f\n", k, n, s / n, n / ((b - a) / 1e9) }'
done
