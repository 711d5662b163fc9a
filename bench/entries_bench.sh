#!/bin/bash
# Many entries: how long a daemon whose database holds 100,000 of them takes until it is ready, how long until all have
# been asked for once, the memory each takes then, and what a question costs when they are all there. The database is
# made by dbfill, so nothing is fetched; each set has RELEASES measurements. `set` is the length of a set's records.
#   COUNT=10000 RELEASES=1 bench/entries_bench.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
count=${COUNT:-100000}
cmake --build "$build" --target measured rig_tools >/dev/null
MEASURED_BIN=$(realpath "$build/bin")
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/m.XXXXXX")
trap 'daemon_stop || true; rm -rf "$work"' EXIT
cc -std=c17 -O2 -Wall -Wextra bench/ask_all.c -o "$work/ask_all" -lpthread
printf "http-threads = 2\nmax-entries = %s\n" "$count" | daemon_config "$work"
"$build/tests/dbfill" "$work/state" "$count" "${RELEASES:-3}" >"$work/specifiers"

now_ms() { date +%s%3N; }
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / hz) }' "/proc/$1/stat"; }
sync
start=$(now_ms)
daemon_start "$work"
ready=$(($(now_ms) - start))
ready_cpu=$(cpu_ms "$DAEMON_PID")
before=$(rss "$DAEMON_PID")
all=$("$work/ask_all" "$work/run/api.sock" "$work/specifiers" 16)
after=$(rss "$DAEMON_PID")
again=$("$work/ask_all" "$work/run/api.sock" "$work/specifiers" 16)
used=$(cpu_ms "$DAEMON_PID")
sleep 10
idle=$((($(cpu_ms "$DAEMON_PID") - used) / 10))
get "/v1/measurements?specifier=$(head -n 1 "$work/specifiers")"
want 200 'an entry'
set_bytes=$(stat -c %s "$work/body")

echo "entries $count, database $(du -m "$work/state/measured.db" | cut -f1) MiB, set $set_bytes bytes"
echo "ready after $ready ms, of them $ready_cpu ms of processor time; resident $before KiB"
awk '{ printf "all asked once:  %d good, %d not, %s s; p50 %d us, p99 %d us, most %d us\n", $1, $2, $3, $4, $5, $6 }' <<<"$all"
awk '{ printf "all asked again: %d good, %d not, %s s; p50 %d us, p99 %d us, most %d us\n", $1, $2, $3, $4, $5, $6 }' <<<"$again"
awk -v a="$after" -v b="$before" -v n="$count" -v s="$set_bytes" 'BEGIN {
    printf "memory of an entry: %.0f bytes, %.0f without its set\n", (a - b) * 1024 / n, (a - b) * 1024 / n - s }'
echo "processor time when nothing is asked: $idle ms a second"
daemon_stop
check_end
