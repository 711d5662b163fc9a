#!/bin/bash
# Relative links in the pages lead somewhere; the manual pages are clean and installed; no page or source
# carries a path of the machine it was written on.
set -euo pipefail
cd "${LINT_ROOT:-.}"

bad=0
complain() {
    echo "$*"
    bad=1
}

mapfile -t pages < <(find . -name '*.md' -not -path './build/*' -not -path './.deps/*' \
    -not -path '*/node_modules/*' | sort)
[ ${#pages[@]} -gt 0 ] || complain 'no pages'
links=0
for page in "${pages[@]}"; do
    # [text](target), outside of code: fenced blocks and `code` are dropped first.
    while IFS= read -r target; do
        links=$((links + 1))
        case $target in
        http://* | https://* | mailto:* | '#'*) continue ;;
        esac
        [ -e "$(dirname "$page")/${target%%#*}" ] || complain "$page: link to $target leads nowhere"
    done < <(awk '/^ *```/ { code = !code; next } !code' "$page" | sed 's/`[^`]*`//g' |
        grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/)$//' || true)
done

for page in packaging/*.[1-9]; do
    [ -f "$page" ] || continue
    grep -q "$(basename "$page")" packaging/CMakeLists.txt || complain "$page is not installed"
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W warning "$page" || bad=1
    fi
done
command -v mandoc >/dev/null || echo 'note: no mandoc, manual pages not checked'

# Sources are tracked files; this script must be able to name what it looks for.
if git rev-parse --git-dir >/dev/null 2>&1; then
    pattern='(^|[^A-Za-z0-9._-])/(work|root|Users)/'
    git grep -nIE "$pattern" -- ':!tests/vectors' ':!tests/lint/docs_test.sh' &&
        complain 'a path of some machine' || true
fi
echo "${#pages[@]} pages, $links links"
exit $bad
