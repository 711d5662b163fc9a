#!/bin/bash
# What the nginx module costs: requests a second of one nginx worker for a static file, with and without measured_require, and
# with auth_request where the daemon has /v1/authorize. One connection with one request in flight, and 50. Rounds alternate, so that
# what else the machine does hits all; the ratios are medians. CPU time a request is the worker's alone.
set -euo pipefail
build=$(realpath "${1:?usage: nginx_bench.sh BUILD_DIR}")
here=$(realpath "$(dirname "$0")")
PATH=$PATH:/usr/sbin
MEASURED_BIN=$build/bin
module=$build/lib/ngx_http_measured_module.so
[ -e "$module" ] && command -v nginx >/dev/null || { echo 'skipped: no nginx, or the nginx module is not built'; exit 0; }
. "$here/../tests/support/daemon.sh"

rounds=${ROUNDS:-5}
seconds=${SECONDS_A_ROUND:-1}
work=$(mktemp -d /tmp/m.XXXXXX)
nginx_pid=
trap 'daemon_stop || true; [ -z "$nginx_pid" ] || kill "$nginx_pid"; rm -rf "$work"' EXIT

cc -std=c17 -O2 -Wall -Wextra "$here/http_load.c" -o "$work/http_load"
value=$(printf '%096d' 7)
specifier=inline:$(printf '[{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' "$value" |
    gzip -9nc | base64 -w0 | tr -d = | tr '+/' '-_')
daemon_config "$work" </dev/null
daemon_start "$work"

mkdir "$work/www" "$work/logs"
head -c 200 /dev/zero | tr '\0' x >"$work/www/file"
temp=$(printf '%s_temp_path %s; ' client_body "$work/t1" proxy "$work/t2" fastcgi "$work/t3" uwsgi "$work/t4" scgi "$work/t5")
cat >"$work/nginx.conf" <<END
load_module $module;
worker_processes 1;
events { }
http {
    $temp
    access_log off;
    keepalive_requests 100000000;
    open_file_cache max=8;
    measured_feed $work/run;
    measured_trusted_hop unix:;
    upstream measured { server unix:$work/run/api.sock; keepalive 64; keepalive_requests 100000000; }
    server {
        listen unix:$work/n.sock;
        location /plain { alias $work/www/file; }
        location /module { measured_require '$specifier'; alias $work/www/file; }
        location /auth { auth_request /ask; alias $work/www/file; }
        location = /ask {
            internal;
            proxy_pass_request_body off;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://measured/v1/authorize?specifier=$specifier;
        }
    }
}
END
user=
[ "$(id -u)" != 0 ] || user='user root;'
nginx -p "$work" -c "$work/nginx.conf" -e "$work/error.log" -g "daemon off; pid $work/pid; $user" &
nginx_pid=$!
for _ in $(seq 100); do
    [ ! -S "$work/n.sock" ] || break
    sleep 0.05
done

ways=(plain module)
registers='{"0":"'$value'","1":"'$value'","2":"'$value'","3":"'$value'","4":"'$value'"}' # as a hop sends them
for way in plain module auth; do
    printf 'GET /%s HTTP/1.1\r\nHost: localhost\r\nX-Flashbots-Attestation-Type: dcap-tdx\r\nX-Flashbots-Measurement: %s\r\n\r\n' \
        $way "$registers" >"$work/$way"
    status=$(curl -sS -o /dev/null -w '%{http_code}' --unix-socket "$work/n.sock" -H 'X-Flashbots-Attestation-Type: dcap-tdx' \
        -H "X-Flashbots-Measurement: $registers" "http://localhost/$way")
    if [ "$status" = 200 ]; then
        [ $way != auth ] || ways+=(auth)
    elif [ $way = auth ]; then
        echo 'auth_request: not measured, this daemon has no /v1/authorize'
    else
        echo "/$way: $status"
        tail -n 5 "$work/error.log"
        exit 1
    fi
done

worker=$(pgrep -P "$(cat "$work/pid")" | head -n 1)
ticks_of() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
one_round() { # WAY CONNECTIONS: `REQ/S P50 P99 MAX CPU_US`
    local before after line
    before=$(ticks_of "$worker")
    line=$("$work/http_load" "$work/n.sock" "$work/$1" "$2" "$seconds")
    after=$(ticks_of "$worker")
    # the warm-up of 0.2 s counts for the processor but not for the requests
    awk -v t="$((after - before))" -v s="$seconds" -v hz="$(getconf CLK_TCK)" \
        '{ printf "%s %.2f\n", $0, t / hz * 1e6 / ($1 * (s + 0.2)) }' <<<"$line"
}
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

printf '%-12s %-8s %10s %8s %8s %8s %8s\n' connections way req/s ratio p99_us cpu_us cpu_more
for connections in 1 50; do
    : >"$work/rows"
    for _ in $(seq "$rounds"); do
        for way in "${ways[@]}"; do printf '%s ' "$(one_round "$way" "$connections")"; done >>"$work/rows"
        echo >>"$work/rows"
    done
    column() { awk "{ print $1 }" "$work/rows" | median; }
    for i in "${!ways[@]}"; do
        at=$((5 * i + 1))
        printf '%-12s %-8s %10.0f %8.2f %8.0f %8.2f %8.2f\n' "$connections" "${ways[$i]}" "$(column "\$$at")" \
            "$(column "\$$at / \$1")" "$(column "\$$((at + 2))")" "$(column "\$$((at + 4))")" "$(column "\$$((at + 4)) - \$5")"
    done
done
