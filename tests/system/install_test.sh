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
    share/measured/measured.lua share/doc/measured/examples/nginx/nginx.conf \
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
echo ok
