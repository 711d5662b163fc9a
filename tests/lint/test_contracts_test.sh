#!/bin/bash
# The compiled contracts of the rig were made from the sources beside them.
set -euo pipefail
cd "${LINT_ROOT:-.}/tests/support/contracts"

sum=$(LC_ALL=C && cat ./*.sol | sha256sum)
bad=0
count=0
for file in *.json; do
    if ! grep -q "^ \"sourcesSha256\": \"${sum%% *}\"" "$file"; then
        echo "$file was not made from these sources: run compile.mjs beside it"
        bad=1
    fi
    count=$((count + 1))
done
while IFS= read -r name; do
    [ -f "$name.json" ] || { echo "$name is not compiled"; bad=1; }
done < <(sed -n 's/^contract \([A-Za-z0-9]*\).*/\1/p' ./*.sol)
echo "$count contracts"
exit $bad
