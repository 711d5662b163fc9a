#!/bin/bash
# Every key of the configuration, command and option of the programs, and counter has its place in a page.
set -euo pipefail
cd "${LINT_ROOT:-.}"

bad=0
count=0
# page_has PAGE PATTERN WHAT
page_has() {
    count=$((count + 1))
    if ! grep -qE -- "$2" "$1"; then
        echo "$1 does not tell of $3"
        bad=1
    fi
}
roff() { sed 's/-/\\\\?-/g' <<<"$1"; } # a hyphen may be written \-

# Rows of the table: NAME("key", ... or {{"section", "key", ...
if [ -f resolver/daemon/config.c ]; then
    while IFS= read -r key; do
        page_has packaging/measured.conf.5 "^\.It Cm $(roff "$key")\$" "key $key"
    done < <(sed -nE 's/^ +[A-Z]+\("([a-z0-9-]+)", TYPE_.*/\1/p; s/^ +\{\{"[a-z]+", "([a-z0-9-]+)",.*/\1/p' \
        resolver/daemon/config.c | sort -u)
    [ $count -gt 0 ] || { echo 'no keys found in resolver/daemon/config.c'; bad=1; }
fi

# Rows `{"name", "ARGS"...` of a table of commands; options wherever they are compared.
if [ -d cli ]; then
    before=$count
    while IFS= read -r command; do
        page_has packaging/measuredctl.1 "^\.It Cm $command( |\$)" "command $command"
    done < <(sed -nE '/commands\[\] *= *\{/,/^\};/s/^ +\{"([a-z-]+)",.*/\1/p' cli/main.c | sort -u)
    [ $count -gt "$before" ] || { echo 'no commands found in cli/main.c'; bad=1; }
    while IFS= read -r option; do
        page_has packaging/measuredctl.1 "Fl -$(roff "$option")( |\$)" "option --$option"
    done < <(cat cli/*.c | grep -oE '"--[a-z][a-z-]*"' | tr -d '"' | sed 's/^--//' | sort -u)
fi
if [ -f resolver/daemon/main.c ]; then
    while IFS= read -r option; do
        page_has packaging/measured.8 "Fl -?$(roff "$option")( |\$)" "option $option"
    done < <(grep -oE '"--?[a-z][a-z-]*"' resolver/daemon/main.c | tr -d '"' | sed -E 's/^--?//' | sort -u)
fi

if [ -f include/measured/measured.h ]; then
    while IFS= read -r name; do
        page_has packaging/libmeasured.3 "^\.(Ft|Fn|It|Nm|Fo|Va|Dv).* ?$name( |\$)" "$name"
    done < <(grep -oE '\bmeasured_[a-z_]+\(|\bMEASURED_[A-Z_]+\b' include/measured/measured.h | tr -d '(' |
        grep -vxE 'MEASURED_MEASURED_H|MEASURED_SOCKET_DIR' | sort -u)
fi

if compgen -G 'resolver/daemon/*.[ch]' >/dev/null; then
    while IFS= read -r name; do
        page_has docs/metrics.md "\`$name\`" "$name"
    done < <(cat resolver/daemon/*.[ch] | grep -oE 'measured_[a-z_]+_total|measured_entries' | sort -u)
fi
echo "$count names"
exit $bad
