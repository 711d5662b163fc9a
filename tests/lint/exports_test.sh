#!/bin/bash
# libmeasured.so gives exactly the functions of measured.h, under their version, and needs nothing but libc.
set -euo pipefail
build=${1:?usage: exports_test.sh BUILD_DIR}
lib=$build/lib/libmeasured.so
[ -e "$lib" ] || { echo "no $lib"; exit 1; }
if ! command -v nm >/dev/null || ! command -v readelf >/dev/null; then
    echo 'skipped: no nm, readelf'
    exit 77
fi

bad=0
complain() {
    echo "$*"
    bad=1
}
declared=$(grep -oE '^[a-z][a-z_ *]*\bmeasured_[a-z_]+\(' include/measured/measured.h |
    grep -oE 'measured_[a-z_]+\($' | tr -d '(' | sort)
[ "$(wc -w <<<"$declared")" -ge 10 ] || complain 'the functions of measured.h were not found'
exported=$(nm -D --defined-only "$lib" | awk '$2 != "A" { print $3 }' | sort)
wanted=$(sed 's/$/@@MEASURED_1/' <<<"$declared")
[ "$exported" = "$wanted" ] || complain "exported, beside what measured.h has:" \
    "$(diff <(echo "$wanted") <(echo "$exported") | grep '^[<>]' || true)"

dynamic=$(readelf -dW "$lib")
grep -q 'Library soname: \[libmeasured.so.0\]' <<<"$dynamic" || complain 'the soname is not libmeasured.so.0'
others=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic" | grep -vE '^(libc\.so|ld-linux)' || true)
[ -z "$others" ] || complain "it needs $others"
grep -qE 'BIND_NOW|NOW' <<<"$dynamic" || complain 'it is not linked with -z now'
readelf -lW "$lib" | grep -q GNU_RELRO || complain 'it is not linked with -z relro'
! readelf -lW "$lib" | grep 'GNU_STACK' | grep -q 'RWE' || complain 'its stack is executable'
echo "$(wc -w <<<"$exported") functions"
exit $bad
