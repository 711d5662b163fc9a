#!/bin/bash
# The progress bar of an audit: there on a terminal and gone at its end, never broken into two lines however narrow the
# terminal, out of the way of what is found; and not a byte of it anywhere else.
set -euo pipefail
build=${1:?usage: audit_bar_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
command -v python3 >/dev/null || { echo 'skipped: no python3, whose pty is the terminal'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; rm -rf "$work"' EXIT

daemon_config "$work" </dev/null
daemon_start "$work"
for n in $(seq 400); do
    printf 'url = "http://localhost/v1/measurements?specifier=%s"\noutput = /dev/null\n' "$(
        printf '[{"measurement_id":"n%05d","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]' "$n" "$n" |
            base64 -w0 | tr -d '=\n' | tr '+/' '-_'
    )"
done >"$work/many"
curl -sS --unix-socket "$MEASURED_SOCKET_DIR/api.sock" -K "$work/many"
daemon_stop || fail "exit $?"
db=$work/state/measured.db

cat >"$work/terminal.py" <<'END'
"""terminal.py COLUMNS err|both COMMAND...: runs it with stderr (and stdout) on a terminal that wide; what came of that on
stdout, the exit status behind it as one line on stderr."""
import fcntl, os, pty, struct, subprocess, sys, termios
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(sys.argv[1]), 0, 0))
out = slave if sys.argv[2] == 'both' else subprocess.DEVNULL
child = subprocess.Popen(sys.argv[3:], stdin=subprocess.DEVNULL, stdout=out, stderr=slave)
os.close(slave)
while True:
    try:
        piece = os.read(master, 65536)
    except OSError: # the last one closed it
        break
    if not piece:
        break
    sys.stdout.buffer.write(piece)
print(child.wait(), file=sys.stderr)
END
cat >"$work/screen.py" <<'END'
"""screen.py COLUMNS <BYTES: what is wrong with them on such a terminal; then how many bars, and numbers alone, were drawn."""
import re, sys
width, bars, numbers = int(sys.argv[1]), 0, 0
lines = sys.stdin.buffer.read().decode().replace('\r\n', '\n').split('\n')
for line in lines:
    parts = line.split('\r')
    for part in parts:
        text = part.replace('\x1b[K', '')
        if not re.fullmatch(r'(\[#* *\] )?\d+ of \d+', text):
            continue
        bars += text[0] == '['
        numbers += text[0] != '['
        if len(text) >= width:
            print('wider than the terminal:', repr(text))
        if not part.endswith('\x1b[K'):
            print('what stood there before is not wiped:', repr(part))
    shown = parts[-1].replace('\x1b[K', '', 1)
    if re.search(r'\d+ of \d+$', shown) or '\x1b' in shown:
        print('left on the screen:', repr(shown))
print(bars, numbers)
END
# on COLUMNS err|both EXIT ARGUMENTS...: drawn has how many bars and numbers
on() {
    local columns=$1 which=$2 expected=$3 status
    shift 3
    python3 "$work/terminal.py" "$columns" "$which" measuredctl audit "$@" >"$work/bytes" 2>"$work/status" || fail "no terminal: $(cat "$work/status")"
    status=$(cat "$work/status")
    [ "$status" = "$expected" ] || fail "audit on a terminal: exit $status"
    python3 "$work/screen.py" "$columns" <"$work/bytes" >"$work/drawn" || fail 'screen.py'
    [ "$(wc -l <"$work/drawn")" = 1 ] || fail "$columns columns, $which: $(head -n 3 "$work/drawn")"
    read -r bars numbers < <(tail -n 1 "$work/drawn")
}
on 80 err 0 --db "$db"
[ "$bars" -gt 0 ] && [ "$numbers" = 0 ] || fail "80 columns: $bars bars, $numbers numbers"
on 24 err 0 --db "$db"
[ "$bars" -gt 0 ] && [ "$numbers" = 0 ] || fail "24 columns: $bars bars, $numbers numbers"
on 16 err 0 --db "$db"
[ "$bars" = 0 ] && [ "$numbers" -gt 0 ] || fail "16 columns: $bars bars, $numbers numbers"
on 5 err 0 --db "$db"
[ ! -s "$work/bytes" ] || fail "5 columns: $(od -c "$work/bytes" | head -n 2)"
on 80 err 0 --json --db "$db"
on 80 both 0 --db "$db"
grep -q '^clean' <(tr -d '\r' <"$work/bytes") || fail "the verdict does not stand alone: $(cat -v "$work/bytes")"
# nowhere else
measuredctl audit --db "$db" >"$work/out" 2>"$work/err" || fail "exit $?"
[ ! -s "$work/err" ] || fail "words when nobody looks: $(cat -v "$work/err")"
! grep -q $'[\r\x1b]' "$work/out" || fail 'a bar in the data'
measuredctl audit --db "$db" >"$work/out" 2>&1 | cat >"$work/err"
[ ! -s "$work/err" ] || fail "words in a pipe: $(cat -v "$work/err")"
# a finding has its line for itself
python3 -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute("DROP TRIGGER history_no_update"); c.execute("UPDATE history SET time_s = time_s - 1 WHERE n = 300"); c.commit()' "$db"
on 80 both 1 --db "$db"
grep -q '^history row 300 ' <(sed 's/.*\x1b\[K//; s/\r//g' "$work/bytes") || fail "the finding: $(head -c 300 "$work/bytes" | cat -v)"
check_log "$work"
check_end
