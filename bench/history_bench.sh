#!/bin/bash
# Long histories: how long the history of one of KEYS specifiers takes among ROWS changes, read by the tool and asked of
# a daemon; how many rows an audit checks in a second; and what a change takes on disk, with its evidence, its row and
# its summary, for lists over https, for a registry at l3 with the proofs of three nodes, and for signed sets.
# Compared with: sqlite3 reading the same rows; and, for audits, evidence that is only read, inflated and hashed with
# its signers recovered, on one processor (history_floor).
#   ROWS=100000 KEYS=1000 FEW=300 bench/history_bench.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
rows=${ROWS:-100000} keys=${KEYS:-1000} few=${FEW:-300}
cmake --build "$build" --target measured measuredctl history_fill history_floor >/dev/null
MEASURED_BIN=$(realpath "$build/bin")
fill=$(find "$build" -type f -name history_fill | head -n 1)
floor=$(find "$build" -type f -name history_floor | head -n 1)
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
# The first answer opens the database; of the others the median.
took() { daemon_get "$1" -o /dev/null -w '%{time_total}\n' | awk '{ print $1 * 1000 }'; }
asked() { for _ in 1 2 3 4 5 6 7 8 9; do took "$1"; done | sort -n | sed -n 5p; }
echo "history of one from the daemon, at first: $(took "/v1/history?specifier=$spec&limit=500") ms"
history=$(asked "/v1/history?specifier=$spec&limit=500")
echo "history of one from the daemon: $history ms"
echo "page of /v1/entries: $(asked /v1/entries) ms"
echo "at a moment: $(asked "/v1/at?specifier=$spec&time=1700003000") ms"
if command -v sqlite3 >/dev/null; then
    sql="SELECT * FROM history WHERE key = (SELECT key FROM history WHERE n = 1) ORDER BY n"
    plain=$(for _ in 1 2 3 4 5 6 7 8 9; do
        start=$(now)
        sqlite3 -readonly "$work/state/measured.db" "$sql" >/dev/null
        ms "$start" "$(now)"
        echo
    done | sort -n | sed -n 5p)
    awk -v a="$history" -v b="$plain" 'BEGIN { printf "the same rows by sqlite3, its start included: %s ms; ratio %.2f\n", b, a / b }'
fi
daemon_stop
start=$(now)
measuredctl audit --db "$work/state" | tail -n 1
end=$(now)
awk -v n="$rows" -v a="$start" -v b="$end" 'BEGIN { printf "audit: %.0f rows a second\n", n / ((b - a) / 1e9) }'
printf '%-10s %8s %14s %14s %14s %8s\n' kind changes 'bytes/change' 'audit rows/s' 'floor rows/s' ratio
for kind in location registry signers; do
    rm -rf "$work/state"
    "$fill" "$work/state" "$kind" "$few" >/dev/null
    bytes=$(cat "$work"/state/measured.db* | wc -c)
    start=$(now)
    measuredctl audit --db "$work/state" >/dev/null
    end=$(now)
    bare=$("$floor" "$work/state/measured.db" "$([ "$kind" = signers ] && echo 2 || echo 0)")
    awk -v k="$kind" -v n="$few" -v s="$bytes" -v a="$start" -v b="$end" -v f="$bare" 'BEGIN {
        rate = n / ((b - a) / 1e9); printf "%-10s %8d %14.0f %14.0f %14.0f %8.2f\n", k, n, s / n, rate, f, rate / f }'
done
