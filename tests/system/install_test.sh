#!/bin/bash
# What is installed is complete, runs from where it was put, and knows its prefix.
set -euo pipefail
build=${1:?usage: install_test.sh BUILD_DIR}
for program in measured measuredctl; do
    [ -x "$build/bin/$program" ] || { echo "skipped: $program is not built"; exit 77; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}
DESTDIR=$work cmake --install "$build" --prefix /opt/m >"$work/log" || { cat "$work/log"; exit 1; }
top=$work/opt/m
for file in bin/measured bin/measuredctl share/man/man1/measuredctl.1 share/man/man5/measured.conf.5 \
    share/man/man8/measured.8 lib/systemd/system/measured.service lib/systemd/system/measured-watch@.service \
    share/man/man3/libmeasured.3 include/measured/measured.h share/measured/measured.lua share/doc/measured/examples/nginx/nginx.conf \
    share/doc/measured/examples/haproxy/haproxy.cfg share/doc/measured/examples/watch.env \
    share/doc/measured/examples/watch-consumer.conf; do
    [ -f "$top/$file" ] || fail "$file is not installed"
done
grep -qx 'ExecStart=/opt/m/bin/measured -c /etc/measured/measured.conf' \
    "$top/lib/systemd/system/measured.service" || fail 'the unit starts another program'
grep -q '^ExecStart=/opt/m/bin/measuredctl watch ' \
    "$top/lib/systemd/system/measured-watch@.service" || fail 'the template starts another program'
for program in measured measuredctl; do
    "$top/bin/$program" --version | grep -qE "^$program [0-9]+\.[0-9]+\.[0-9]+" || fail "$program --version"
    "$top/bin/$program" --help 2>&1 | grep -q "$program" || fail "$program --help"
done
# The example is what a package puts in /etc, so it must be accepted.
"$top/bin/measured" -n -c "$top/share/doc/measured/examples/measured.conf" || fail 'the example is refused'

# ---- the library: what a program needs is there, and nothing of the inside is ----
[ "$(find "$top/include" -type f)" = "$top/include/measured/measured.h" ] || fail 'other headers are installed'
pc=$(find "$top/lib" -name measured.pc)
[ -n "$pc" ] || fail 'measured.pc is not installed'
libdir=$(dirname "$(dirname "$pc")")
[ -L "$libdir/libmeasured.so" ] && [ -L "$libdir/libmeasured.so.0" ] && [ -e "$libdir/libmeasured.so.0" ] ||
    fail 'libmeasured.so is not installed'
multiarch=$(cc -print-multiarch 2>/dev/null || true)
[ ! -e /etc/debian_version ] || [ -z "$multiarch" ] || [ "$libdir" = "$top/lib/$multiarch" ] ||
    fail "libmeasured.so is in $libdir"
if ! command -v cc >/dev/null || ! command -v pkg-config >/dev/null; then
    echo 'note: no cc or no pkg-config, no program was built with the library'
    echo ok
    exit 0
fi
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$work
grep -qx 'prefix=/opt/m' "$pc" || fail 'measured.pc tells another prefix'
pkg-config --exact-version="$("$top/bin/measured" --version | cut -d' ' -f2)" measured || fail 'measured.pc: version'
[ -z "$(pkg-config --print-requires measured)" ] || fail 'measured.pc requires something'
cat >"$work/use.c" <<'C'
#include <measured/measured.h>
#include <stdio.h>
int main(void)
{
    struct measured *m = measured_open("/nowhere");
    struct measured_set *set = measured_subscribe(m, "sha256:00");
    int down = measured_pump(m) == -1;
    int unknown = measured_check(set, "dcap-tdx", 0, 0, 0) == MEASURED_UNKNOWN;
    measured_close(m);
    puts(down && unknown ? "unknown" : "wrong");
    return 0;
}
C
# shellcheck disable=SC2046
cc -Wall -Wextra -Werror -std=c99 -o "$work/use" "$work/use.c" $(pkg-config --cflags --libs measured) ||
    fail 'a program does not build with the installed library'
[ "$(LD_LIBRARY_PATH=$libdir "$work/use")" = unknown ] || fail 'a program with the installed library'
if command -v c++ >/dev/null; then
    # shellcheck disable=SC2046
    c++ -Wall -Wextra -Werror -x c++ -o "$work/use++" "$work/use.c" $(pkg-config --cflags --libs measured) ||
        fail 'a C++ program does not build with the installed library'
    [ "$(LD_LIBRARY_PATH=$libdir "$work/use++")" = unknown ] || fail 'a C++ program with the installed library'
fi
echo ok
