#!/bin/bash
# clang-format 14 would change nothing; no tabs, no trailing blanks, no line over 100 columns.
set -euo pipefail
cd "${LINT_ROOT:-.}"

bad=0
mapfile -t files < <(find base eth sig resolver cache cli include fuzz bench tests proxy-plugin/lib proxy-plugin/examples \
    -name '*.[ch]' 2>/dev/null | sort)
[ ${#files[@]} -gt 0 ] || { echo 'no files looked at'; exit 1; }

awk '
    /\t/        { print FILENAME ":" FNR ": a tab"; bad = 1 }
    /[ \t\r]+$/ { print FILENAME ":" FNR ": blanks at the end of the line"; bad = 1 }
    /clang-format off/ { off = 1 } # a table may be wider
    /clang-format on/  { off = 0 }
    FNR == 1           { off = 0 }
    !off && length($0) > 100 { print FILENAME ":" FNR ": longer than 100 columns"; bad = 1 }
    END { exit bad }' "${files[@]}" || bad=1

# The layout differs between releases of the tool: only this one counts.
if ! command -v clang-format-14 >/dev/null; then
    [ $bad -eq 0 ] || exit 1
    echo 'skipped: no clang-format-14'
    exit 77
fi
for file in "${files[@]}"; do
    if ! clang-format-14 --dry-run -Werror "$file" >/dev/null 2>&1; then
        echo "$file: not formatted (make format)"
        bad=1
    fi
done
echo "${#files[@]} files"
exit $bad
