#!/bin/bash
# The pure rooms do no I/O: what their libraries leave undefined is in the list below and nothing else.
# A symbol that is missing from `pure` may be added there when it is a function of its arguments.
set -euo pipefail
build=${1:?usage: purity_test.sh BUILD_DIR}
command -v nm >/dev/null || { echo 'skipped: no nm'; exit 77; }

# Named so that the complaint can say more than "not in the list".
forbidden='open|openat|open64|fopen|fopen64|freopen|fdopen|creat|read|pread|write|pwrite|close|unlink|rename|stat|fstat|lstat|access|mkdir
opendir|readdir|mmap|munmap|ioctl|fcntl|poll|select|epoll_.*|socket|connect|bind|listen|accept|send|sendto|sendmsg|recv|recvfrom|recvmsg
getaddrinfo|gethostby.*|time|clock|clock_gettime|gettimeofday|nanosleep|sleep|usleep|localtime.*|gmtime|strftime|getenv|secure_getenv|setenv
printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|fputc|fwrite|fread|fgets|fflush|perror|syslog|vsyslog|openlog|stdout|stderr|stdin
pthread_.*|thrd_.*|mtx_.*|fork|vfork|exec.*|system|popen|signal|sigaction|exit|_exit|atexit|rand|srand|random|getrandom|arc4random
setlocale|strtok|json_load_file|json_loadf|json_loadfd|json_load_callback|json_dump_file|json_dumpf|json_dumpfd|RAND_.*|BIO_.*|SSL_.*
curl_.*|sqlite3_.*|uv_.*|MHD_.*|gz(open|read|write|close).*'
forbidden=${forbidden//$'\n'/|}

pure='bcmp|mem(cpy|move|set|cmp|chr|rchr|mem)|str(len|nlen|chr|rchr|cmp|ncmp|str|spn|cspn|pbrk|casecmp|ncasecmp|dup|ndup|toull|toul)
__isoc.._strtou?ll?|malloc|calloc|realloc|free|qsort|bsearch|abort|v?snprintf|__assert_fail|__errno_location|__ctype_.*
__mem(cpy|move|set)_chk|__v?snprintf_chk|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__(u|)(mod|div|mul)ti3|__builtin_.*
json_.*|jsonp_.*|hashtable_.*|inflate.*|deflate.*|crc32.*|EVP_.*|OSSL_.*|HMAC.*|SHA256.*|CRYPTO_memcmp|OPENSSL_cleanse|OPENSSL_die
nettle_.*|_nettle_.*|__gmp.*|secp256k1_.*'
pure=${pure//$'\n'/|}

# Sanitizers and coverage counters are the build's own.
ours_to_ignore='__(asan|ubsan|lsan|sanitizer|gcov|llvm)_.*|__start_.*|__stop_.*|_Unwind_.*|__gcov.*|__profile.*'

libs=()
for room in base eth sig records spec source entry; do
    [ ! -f "$build/libms_$room.a" ] || libs+=("$build/libms_$room.a")
done
[ ${#libs[@]} -gt 0 ] || { echo "no libms_*.a in $build"; exit 1; }

nm --defined-only --extern-only "${libs[@]}" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >"$build/purity.defined"
bad=0
for lib in "${libs[@]}"; do
    while IFS= read -r symbol; do
        if [[ $symbol =~ ^($forbidden)$ ]]; then
            echo "$(basename "$lib"): uses $symbol: a pure room does no I/O and reads no clock"
            bad=1
        elif ! [[ $symbol =~ ^($pure)$ ]]; then
            echo "$(basename "$lib"): uses $symbol, which is not in the list of pure functions in $0"
            bad=1
        fi
    done < <(nm -u "$lib" 2>/dev/null | awk 'NF == 2 && $1 == "U" { sub(/@.*/, "", $2); print $2 }' | sort -u |
        comm -23 - "$build/purity.defined" | grep -vxE "$ours_to_ignore" || true)
done

# Keys are the tool's: the daemon has no code that signs with one.
if [ -x "$build/bin/measured" ] && nm -D -u "$build/bin/measured" | grep -E 'secp256k1_.*(sign|seckey|keypair)' |
    grep -v signature; then
    echo 'measured: links the use of a secret key'
    bad=1
fi
echo "${#libs[@]} libraries"
exit $bad
