# tests/support/chromium.sh - a headless Chromium for shell tests, driven over its debugging pipe; source it.
# The browser is a system package (Debian: chromium) that no test needs: who wants its tests installs it.
#
#   chromium_program               its path, or 1 when there is none
#   chromium_start FOLDER          its profile and log stay in there; ends with chromium_stop
#   chromium_stop                  harmless twice
#   chromium_call METHOD [PARAMS]  one command of the DevTools protocol to the page; its answer is in CDP
#   chromium_open URL              loads it anew and waits until the page is no longer busy; 1 when it stays so
#   chromium_value EXPRESSION      prints what it is in the page, as text
#   chromium_true EXPRESSION       whether it is true, asked again for 10 s
#   chromium_size WIDTH HEIGHT     of the window; less than 700 wide: a phone
#   chromium_media NAME=VALUE...   media features, prefers-color-scheme=dark
#   chromium_shot FILE             a PNG of the whole page

CHROMIUM_PID=

chromium_program() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

chromium_start() {
    local program
    program=$(chromium_program) || return 1
    mkdir -p "$1/profile"
    rm -f "$1/in" "$1/out"
    mkfifo "$1/in" "$1/out"
    # fd 3 is its input, 4 its output: messages of JSON, each ended by a NUL
    HOME=$1 "$program" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars \
        --no-proxy-server --user-data-dir="$1/profile" --remote-debugging-pipe about:blank \
        3<"$1/in" 4>"$1/out" >"$1/chromium.log" 2>&1 &
    CHROMIUM_PID=$!
    exec {CHROMIUM_IN}>"$1/in" {CHROMIUM_OUT}<"$1/out"
    CHROMIUM_N=0 CHROMIUM_SESSION=
    chromium_call Target.createTarget '{"url":"about:blank"}' || return 1
    local target
    target=$(chromium_member targetId) || return 1
    chromium_call Target.attachToTarget "{\"targetId\":\"$target\",\"flatten\":true}" || return 1
    CHROMIUM_SESSION=$(chromium_member sessionId) || return 1
    chromium_call Page.enable && chromium_call Runtime.enable && chromium_call Log.enable
}

chromium_stop() {
    [ -n "$CHROMIUM_PID" ] || return 0
    # asked to close, it first ends those of its processes that still write to the folder
    printf '{"id":0,"method":"Browser.close"}\0' >&"$CHROMIUM_IN" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 "$CHROMIUM_PID" 2>/dev/null || break
        sleep 0.1
    done
    kill "$CHROMIUM_PID" 2>/dev/null || true
    exec {CHROMIUM_IN}>&- {CHROMIUM_OUT}<&-
    wait "$CHROMIUM_PID" 2>/dev/null || true
    CHROMIUM_PID=
}

chromium_member() { [[ $CDP =~ \"$1\":\"([^\"]*)\" ]] && printf '%s' "${BASH_REMATCH[1]}"; }

# What comes between, events, is kept in CHROMIUM_EVENTS.
CHROMIUM_EVENTS=
chromium_call() {
    local n=$((++CHROMIUM_N)) session=
    [ -z "$CHROMIUM_SESSION" ] || session=",\"sessionId\":\"$CHROMIUM_SESSION\""
    printf '{"id":%d,"method":"%s","params":%s%s}\0' "$n" "$1" "${2:-{\}}" "$session" >&"$CHROMIUM_IN" || return 1
    while IFS= read -r -t 60 -d '' CDP <&"$CHROMIUM_OUT"; do
        if [[ $CDP == "{\"id\":$n,"* ]]; then
            [[ $CDP != *'"error":{"code"'* ]] || { echo "chromium: $1: $CDP" >&2; return 1; }
            return 0
        fi
        CHROMIUM_EVENTS+=$CDP$'\n'
    done
    echo "chromium: no answer to $1" >&2
    return 1
}

chromium_quote() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "${text//$'\n'/\\n}"
}

chromium_value() {
    local wrapped
    # as base64, so that nothing of it has to be unquoted here
    wrapped=$(chromium_quote "(async () => btoa(String.fromCharCode(...new TextEncoder().encode(String(await ($1))))))()")
    chromium_call Runtime.evaluate "{\"expression\":$wrapped,\"awaitPromise\":true}" || return 1
    [[ $CDP == *'"exceptionDetails"'* ]] && { echo "chromium: $1: $CDP" >&2; return 1; }
    chromium_member value | base64 -d
}

chromium_true() {
    local try
    for try in $(seq 100); do
        [ "$(chromium_value "$1" 2>/dev/null)" != true ] || return 0
        sleep 0.1
    done
    return 1
}

chromium_open() {
    chromium_call Page.navigate '{"url":"about:blank"}' || return 1 # another '#' alone would load nothing
    chromium_call Page.navigate "{\"url\":$(chromium_quote "$1")}" || return 1
    chromium_true 'document.readyState === "complete" && location.protocol.startsWith("http") && document.querySelector("h1") !== null && document.querySelector("[aria-busy]") === null'
}

chromium_size() {
    local mobile=false
    [ "$1" -ge 700 ] || mobile=true
    chromium_call Emulation.setDeviceMetricsOverride "{\"width\":$1,\"height\":$2,\"deviceScaleFactor\":1,\"mobile\":$mobile}"
}

chromium_media() {
    local features= one
    for one; do features+="${features:+,}{\"name\":\"${one%%=*}\",\"value\":\"${one#*=}\"}"; done
    chromium_call Emulation.setEmulatedMedia "{\"media\":\"${CHROMIUM_MEDIA:-}\",\"features\":[$features]}"
}

chromium_shot() {
    chromium_call Page.captureScreenshot '{"format":"png","captureBeyondViewport":true}' || return 1
    chromium_member data | base64 -d >"$1"
}
