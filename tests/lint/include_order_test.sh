#!/bin/bash
# A room includes only itself and what stands to its left. LINT_ROOT names another tree to look at.
set -euo pipefail
cd "${LINT_ROOT:-.}"

# The one table: room, folder, what it may include. docs/design.md draws the same order, checked below.
order=(base eth sig records spec source entry cache daemon)
declare -A folder=([base]=base [eth]=eth [sig]=sig [records]=resolver/records [spec]=resolver/spec
                   [source]=resolver/source [entry]=resolver/entry [cache]=cache
                   [daemon]=resolver/daemon [cli]=cli [plugin]=proxy-plugin)
declare -A allowed=()
left=
for room in "${order[@]}"; do
    left+=" $room"
    allowed[$room]=$left
done
# measuredctl works without a daemon, so it may use what a daemon uses, but never the daemon.
allowed[cli]="${allowed[cache]} cli"
allowed[plugin]=plugin

bad=0
complain() {
    echo "$*"
    bad=1
}

line=$(printf ' < %s' "${order[@]}")
grep -qF -- "${line# < }" docs/design.md || complain "docs/design.md does not draw the order ${line# < }"

# The room of an include path, empty when it is in none. The longest folder wins by being the whole of it.
room_of() {
    local room
    for room in "${!folder[@]}"; do
        case $1 in "${folder[$room]}"/*)
            echo "$room"
            return
            ;;
        esac
    done
}

may_include() {
    local room=$1 path=$2 target
    case $path in
    contracts-abi/*) [ "$room" != base ] && [ "$room" != plugin ] ; return ;;
    # The public header: the plugin lives by it, the daemon writes what it describes.
    measured/* | include/measured/*) [[ $room == plugin || $room == entry || $room == daemon || $room == cli ]] ; return ;;
    esac
    target=$(room_of "$path")
    [ -n "$target" ] && [[ " ${allowed[$room]} " == *" $target "* ]]
}

files=0
for room in "${!folder[@]}"; do
    [ -d "${folder[$room]}" ] || continue
    while IFS= read -r file; do
        files=$((files + 1))
        while IFS=: read -r number text; do
            path=${text#*[\"<]}
            path=${path%%[\">]*}
            # <...> is the world's, except for our own public header.
            [[ $text != *'<'* || $path == measured/* ]] || continue
            may_include "$room" "$path" ||
                complain "$file:$number: $room may not include \"$path\" (write paths from the root; see docs/design.md)"
        done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' "$file" || true)
    done < <(find "${folder[$room]}" -name '*.[ch]' | sort)
done
[ "$files" -gt 0 ] || complain 'no files looked at'
echo "$files files"
exit $bad
