#!/bin/bash
# Functions and headers that our own code does not use, or only in one place. A line that must be an
# exception says so with a comment `lint: allow WORD, because ...` on it. LINT_ROOT names another tree.
set -euo pipefail
cd "${LINT_ROOT:-.}"

bad=0
mapfile -t all < <(find base eth sig resolver cache cli proxy-plugin include fuzz bench tests \
    -name '*.[ch]' 2>/dev/null | sort)
mapfile -t product < <(printf '%s\n' "${all[@]}" | grep -vE '^(tests|fuzz|bench)/')
[ ${#product[@]} -gt 0 ] || { echo 'no files looked at'; exit 1; }

# Comments and string literals blanked, line numbers kept: `FILE:LINE:code`.
code_of() {
    awk '
        FNR == 1 { inside = 0 }
        {
            line = $0; out = ""
            while (line != "") {
                if (inside) {
                    at = index(line, "*/")
                    if (at == 0) { line = ""; break }
                    line = substr(line, at + 2); inside = 0; continue
                }
                if (match(line, /"([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047|\/\*|\/\//) == 0) { out = out line; break }
                token = substr(line, RSTART, RLENGTH)
                out = out substr(line, 1, RSTART - 1)
                line = substr(line, RSTART + RLENGTH)
                if (token == "//") break
                if (token == "/*") { inside = 1; continue }
                out = out "\"\""
            }
            # An include keeps its path: it is what the header rules look at.
            if ($0 ~ /^[ \t]*#[ \t]*include/) out = $0
            if ($0 !~ /lint: allow /) print FILENAME ":" FNR ":" out
        }' "$@"
}

# forbid PATTERN WHY FILES...: PATTERN (extended) occurs in none of the files.
forbid() {
    local pattern=$1 why=$2 hits
    shift 2
    [ $# -gt 0 ] || return 0
    hits=$(code_of "$@" | grep -E "^[^:]*:[0-9]+:.*$pattern" || true)
    if [ -n "$hits" ]; then
        echo "$why:"
        echo "$hits" | sed 's/^/    /'
        bad=1
    fi
}
without() { # files of `product` whose path does not match
    printf '%s\n' "${product[@]}" | grep -vE "$1" || true
}

call='(^|[^A-Za-z0-9_])'
forbid "$call(strcpy|strcat|stpcpy|v?sprintf|strtok|gets|alloca)[[:space:]]*\(" \
    'unbounded or stateful: use ms_buf, ms_span, snprintf, strtok_r' "${all[@]}"
forbid "$call(v?f?scanf|v?sscanf)[[:space:]]*\(" 'overflow goes unnoticed: use ms_span' "${product[@]}"
forbid "$call(atoi|atol|atoll|atof)[[:space:]]*\(" 'no error return: use ms_span_u64' "${all[@]}"

mapfile -t files < <(without '^base/')
forbid "$call(strtou?l|strtou?ll|strto[ui]max|strto[df]|strtold)[[:space:]]*\(" \
    'numbers are parsed by base/ (ms_span_u64)' "${files[@]}"
forbid "$call(exit|_exit|quick_exit)[[:space:]]*\(" 'only main exits' \
    $(without '^resolver/daemon/main\.c$|^cli/|^proxy-plugin/')
mapfile -t files < <(without '^resolver/daemon/|^cli/|^proxy-plugin/')
forbid "$call(printf|fprintf|vprintf|vfprintf|puts|putchar|perror|syslog)[[:space:]]*\(" \
    'only the daemon logs and only programs print' "${files[@]}"

mapfile -t files < <(without '^resolver/daemon/fetch[^/]*\.[ch]$|^cli/')
forbid 'include[[:space:]]*<curl/' 'libcurl belongs to resolver/daemon/fetch*.c and cli/' "${files[@]}"
mapfile -t files < <(without '^cache/|^resolver/daemon/store[^/]*\.c$')
forbid 'include[[:space:]]*<sqlite3\.h>' 'SQLite belongs to cache/' "${files[@]}"
mapfile -t files < <(without '^resolver/daemon/')
forbid 'include[[:space:]]*<(uv|microhttpd|urcu[^>]*)\.h>' \
    'the loop and the HTTP server belong to resolver/daemon/' "${files[@]}"
mapfile -t files < <(without '^(cache|resolver/daemon|proxy-plugin|cli)/')
forbid '#[[:space:]]*define[[:space:]]+_(GNU|DEFAULT|BSD|POSIX(_C)?|XOPEN)_SOURCE' \
    'a pure room needs nothing beyond C17' "${files[@]}"

echo "${#all[@]} files"
exit $bad
