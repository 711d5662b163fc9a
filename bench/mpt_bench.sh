#!/bin/bash
# Verification of a registry's account and slot (tests/vectors/registry/l3-vector.json): ours and npm's
# @ethereumjs/mpt, one after the other in the same run, three times; the least of each counts. Processor time,
# so that other load on the machine does not show.
#   bench/mpt_bench.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-3}
vector=tests/vectors/registry/l3-vector.json

cmake --preset release >&2
cmake --build build/release --target mpt_bench >&2
deps=.deps/mpt-bench
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "measured        $(build/release/bin/mpt_bench "$vector" "$seconds") ns a verification"
    echo 'skipped: no npm, nothing to compare with'
    exit 0
fi
mkdir -p $deps
cp bench/mpt/* $deps/
if ! (cd $deps && npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1); then
    echo "skipped: npm could not fetch the packages ($deps/npm.log)"
    exit 0
fi
ours= theirs=
for _ in 1 2 3; do
    a=$(build/release/bin/mpt_bench "$vector" "$seconds")
    b=$(node $deps/mpt_bench.mjs "$vector" "$seconds")
    [ -n "$ours" ] && [ "$ours" -le "$a" ] || ours=$a
    [ -n "$theirs" ] && [ "$theirs" -le "$b" ] || theirs=$b
done
echo "measured        $ours ns a verification"
echo "@ethereumjs/mpt $theirs ns a verification (node $(node --version))"
awk "BEGIN { printf \"ratio           %.1f\\n\", $theirs / $ours }"
