#!/bin/bash
# Shell scripts parse, stop at the first error, and are executable where they are called by name.
set -euo pipefail
cd "${LINT_ROOT:-.}"

bad=0
count=0
complain() {
    echo "$*"
    bad=1
}
while IFS= read -r file; do
    first=$(head -n 1 "$file" | tr -d '\0')
    case $file:$first in
    *:'#!/bin/bash' | *:'#!/usr/bin/env bash')
        bash -n "$file" || bad=1
        grep -qE '^set -euo pipefail$' "$file" || complain "$file: lacks set -euo pipefail"
        ;;
    *.sh:*) bash -n "$file" || bad=1 ;; # sourced
    *) continue ;;
    esac
    case $file in scripts/* | .ci/*) [ -x "$file" ] || complain "$file: not executable" ;; esac
    count=$((count + 1))
done < <(find .ci scripts tests bench packaging -type f -size -200k 2>/dev/null | sort)
[ $count -gt 0 ] || complain 'no scripts looked at'
if command -v shellcheck >/dev/null; then
    find .ci scripts -type f -exec shellcheck -S error {} + || bad=1
fi
echo "$count scripts"
exit $bad
