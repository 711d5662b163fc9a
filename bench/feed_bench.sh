#!/bin/bash
# What a check of libmeasured costs, for 10, 1,000 and 10,000 records of five registers, beside a scan over parsed
# records in the same run (feed_check_bench.c). Three runs; other load on the machine shows in the 99th percentile.
#   bench/feed_bench.sh
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release >&2
cmake --build build/release --target feed_check_bench >&2
for _ in 1 2 3; do
    build/release/bin/feed_check_bench
done
