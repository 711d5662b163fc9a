#!/bin/bash
# The page for auditors in a real browser, over a daemon with real histories: what it says, that data never becomes
# markup or code, that it can be used on a phone, by keyboard and by ear; and that the commands it shows work.
set -euo pipefail
build=${1:?usage: ui_page_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/registry.sh
. tests/support/safe.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh
. tests/support/ui.sh
. tests/support/chromium.sh
chromium_program >/dev/null || { echo 'skipped: no browser (Debian: chromium); system.ui tests the files without one'; exit 77; }

command -v jq >/dev/null || { echo 'skipped: no jq'; exit 77; }
work=$(mktemp -d /tmp/m.XXXXXX)
trap 'chromium_stop; ui_stop; rm -rf "$work"' EXIT
ui_start || { echo 'the daemon has no histories'; exit 1; }
chromium_start "$work/browser" || { cat "$work/browser/chromium.log"; exit 1; }
chromium_size 1280 900

encode() { # every byte that is not unreserved
    local LC_ALL=C text=$1 out= c i
    for ((i = 0; i < ${#text}; i++)); do
        c=${text:i:1}
        case $c in [A-Za-z0-9._~-]) out+=$c ;; *) out+=$(printf '%%%02X' "'$c") ;; esac
    done
    echo "$out"
}
app() { echo "$UI/ui/#/app/$(encode "$1")${2:+?$2}"; }
visit() { # URL WHAT: opened, and its words are in $work/words
    chromium_open "$1" || fail "$2 does not come up"
    chromium_value 'document.querySelector("main").innerText' >"$work/words"
}
says() { grep -qF -- "$1" "$work/words" || fail "$PAGE does not say: $1"; }
says_not() { ! grep -qF -- "$1" "$work/words" || fail "$PAGE says: $1"; }
section() { chromium_value "document.getElementById('$1')?.innerText ?? ''" >"$work/words"; }
for_everybody() { # WHAT: all that ui_checks.js asks for
    local found
    found=$(chromium_value "$(cat tests/support/ui_checks.js)")
    [ "$found" = fine ] || fail "$1: $found"
}

# Every control can be reached with Tab alone, in the order in which it stands there, and shows that it is reached; the
# page lets go again at its end.
by_keyboard() { # WHAT SELECTOR...: what has to be among the stops
    local what=$1 n i found
    shift
    chromium_value '(() => { document.activeElement?.blur?.(); getSelection().removeAllRanges(); scrollTo(0, 0); })()' >/dev/null
    n=$(chromium_value '(() => { const shown = (e) => e.checkVisibility({visibilityProperty: true});
        window.stops = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex=\"0\"]")].filter((e) => shown(e) && !e.disabled);
        window.reached = []; return stops.length; })()')
    [ "$n" -gt 4 ] || fail "$what: only $n controls"
    for ((i = 0; i < n; i++)); do
        chromium_call Input.dispatchKeyEvent '{"type":"keyDown","key":"Tab","code":"Tab","windowsVirtualKeyCode":9}'
        chromium_value '(() => { const e = document.activeElement, s = getComputedStyle(e);
            reached.push([e, s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1 && e.getClientRects().length > 0]); })()' >/dev/null
    done
    found=$(chromium_value '(() => { const name = (e) => e.outerHTML.slice(0, 90);
        const i = stops.findIndex((e, i) => reached[i][0] !== e);
        if (i >= 0) return `stop ${i} is ${name(reached[i][0])} instead of ${name(stops[i])}`;
        const dim = reached.find(([, seen]) => !seen);
        return dim ? `it does not show: ${name(dim[0])}` : "fine"; })()')
    [ "$found" = fine ] || fail "$what, by keyboard: $found"
    for selector; do
        [ "$(chromium_value "reached.some(([e]) => e.matches('$selector'))")" = true ] || fail "$what: $selector cannot be reached by keyboard"
    done
    chromium_call Input.dispatchKeyEvent '{"type":"keyDown","key":"Tab","code":"Tab","windowsVirtualKeyCode":9}'
    [ "$(chromium_value 'document.activeElement === reached.at(-1)[0]')" = false ] || fail "$what: the last stop does not let go"
}

# ---- all applications ----

PAGE='the first page'
visit "$UI/ui/" "$PAGE"
for_everybody "$PAGE"
says Applications
says 'Contradiction'
says 'Nothing approved'
says 'In force'
says "url:https://docs.example.test:$TLS_PORT/list.json"
# the log's head is what the daemon says, to the letter
daemon_get /v1/log/checkpoint >"$work/checkpoint"
sed -n 1,3p "$work/checkpoint" >"$work/head"
grep -c '^— ' "$work/checkpoint" >>"$work/head"
chromium_value '[...document.querySelectorAll("#log dt")].map((t) => t.innerText).join()' >"$work/words"
[ "$(cat "$work/words")" = Origin,Lines,Root,Signatures ] || fail "the log's facts are $(cat "$work/words")"
chromium_value '[...document.querySelectorAll("#log dd")].map((d) => d.innerText + "\n").join("")' | diff - "$work/head" || fail 'the head of the log'
[ "$(sed -n 2p "$work/head")" -gt 0 ] || fail 'an empty log'
chromium_value 'document.querySelector("#log pre").textContent' | diff - "$work/checkpoint" || fail 'the signed note'
chromium_value 'document.querySelector("main").innerText' >"$work/words"
n=3
[ -z "$UI_SAFE" ] || n=5
[ "$(chromium_value 'document.querySelectorAll("ul.entries > li").length')" = $n ] || fail "not $n applications"
# every application of it has its page
mapfile -t links < <(chromium_value '[...document.querySelectorAll("ul.entries a")].map((a) => a.getAttribute("href")).join("\n")')
[ ${#links[@]} = $n ] || fail "${#links[@]} links"
for link in "${links[@]}"; do
    visit "$UI/ui/$link" "$link"
    section history
    grep -q 'Row [0-9]' "$work/words" || fail "no history behind $link: $(cat "$work/words")"
done
visit "$UI/ui/" "$PAGE"
# by keyboard: the first stop is the way past the head, and it can be seen
chromium_call Input.dispatchKeyEvent '{"type":"keyDown","key":"Tab","code":"Tab","windowsVirtualKeyCode":9}'
[ "$(chromium_value 'document.activeElement.className + " " + (document.activeElement.getBoundingClientRect().left >= 0) + " " + getComputedStyle(document.activeElement).outlineStyle')" = 'skip true solid' ] ||
    fail "the first stop of Tab: $(chromium_value 'document.activeElement.outerHTML')"
chromium_value 'document.activeElement.click()' >/dev/null
[ "$(chromium_value 'document.activeElement.id + location.hash')" = content ] || fail 'the skip link leads elsewhere'
# the field takes any specifier, and the address is then one to keep
chromium_value 'document.getElementById("spec").focus()' >/dev/null
chromium_call Input.insertText "{\"text\":\"$UI_NONE\"}"
chromium_call Input.dispatchKeyEvent '{"type":"keyDown","key":"Enter","code":"Enter","windowsVirtualKeyCode":13,"text":"\r"}'
chromium_true 'document.getElementById("now") !== null' || fail 'Enter in the field shows nothing'
[ "$(chromium_value 'location.hash')" = "#/app/$(encode "$UI_NONE")" ] || fail "the address is $(chromium_value 'location.hash')"
visit "$UI/ui/" "$PAGE"
by_keyboard "$PAGE" .skip .brand '#spec' '#find button' 'ul.entries a' '#log summary'

# ---- a list that became empty; one of hostile names ----

PAGE='an empty list'
visit "$(app "$UI_NONE")" "$PAGE"
for_everybody "$PAGE"
section now
says 'Nothing approved'
says 'TLS to that one host'
section history
says 'Withdrawn 1'
says 'old'

PAGE='hostile names'
visit "$(app "$UI_LIST" 'from=row%3A1&to=row%3A3')" "$PAGE"
for_everybody "$PAGE"
section compare
says '1 withdrawn, 1 changed, 1 approved'
says "$UI_MARKUP"
says 'safeU+202Egnp.exeU+200B'
says "$(printf 'n%.0s' {1..200})"
[ "$(chromium_value '[...document.querySelectorAll("#compare table.diff")].find((t) => t.tHead.innerText.includes("Was")).tBodies[0].rows[0].innerText.replace(/\s+/g, " ")')" = \
    "RTMR0 1 $(ui_fill 11) $(ui_fill 21)" ] || fail 'the register that changed'
# no script of the data ran, and none could
[[ $(chromium_value document.title) == *' – measured' ]] || fail "the title is $(chromium_value document.title)"
chromium_value 'new Promise((done) => { window.ran = 0; const s = document.createElement("script"); s.textContent = "window.ran = 1"; document.body.append(s);
    const i = document.createElement("div"); i.innerHTML = "<img src=x onerror=\"window.ran = 2\">"; document.body.append(i); setTimeout(done, 300); })' >/dev/null
[ "$(chromium_value window.ran)" = 0 ] || fail 'the policy lets inline code run'
[ "$(chromium_value 'fetch("https://docs.example.test/").then(() => "sent", () => "refused")')" = refused ] || fail 'the policy lets data go elsewhere'

# ---- two answers that contradict each other ----

PAGE='a conflict'
visit "$(app "$UI_SIGNED")" "$PAGE"
for_everybody "$PAGE"
section now
says 'Contradiction'
says 'Code conflict, status 409'
says 'An error never means that nothing is approved'
section history
says 'Contradiction'
says 'Two verified answers contradict each other'
says 'The last that was accepted'
says 'Signed by 0x'
says "sequence $UI_LONG" # exactly, though it is no double
section evidence
says 'It approves nothing'

# ---- what is no specifier, and what is not there ----

PAGE='no specifier'
visit "$(app 'no <b>specifier</b>')" "$PAGE"
for_everybody "$PAGE"
says 'This is no specifier'
says 'no <b>specifier</b>'
visit "$UI/ui/#/app/%zz" 'a broken address'
says 'There is no such page'

# ---- a registry ----

registry() {
    PAGE='a registry'
    visit "$(app "$UI_SAFE" 'at=2000-01-01')" "$PAGE"
    for_everybody "$PAGE"
    section now
    says 'In force'
    says 'A proof: the contract’s storage, under the hash of a block.'
    says 'Warning: the address has letters of one case only' # in full
    section releases
    local row=0 want
    for want in '141 no. 2|● In force' '150 no. 3|○ Pending' '140 no. 1|✕ Withdrawn'; do
        row=$((row + 1))
        [[ $(chromium_value "[...document.querySelectorAll('#releases tbody tr')][$((row - 1))].innerText.replace(/\\s+/g, ' ')") == "${want%|*} ${want#*|}"* ]] ||
            fail "release $row is not $want: $(cat "$work/words")"
    done
    [ "$(chromium_value 'document.querySelectorAll("#releases tbody tr").length')" = 3 ] || fail 'releases'
    section governance
    says 'Owner is a'
    says "${SAFE_OWNERS[2]}"
    section history
    says '(Safe, 2 owners needed)'
    says 'Compare with row'
    [ "$(chromium_value 'document.querySelectorAll("#history article").length')" = 4 ] || fail 'four changes'
    [ "$(chromium_value '[...document.querySelectorAll("#history h3 .badge")].map((b) => b.innerText).join()')" = \
        '● In force,– Replaced,– Replaced,– Replaced' ] || fail "what became of each: $(cat "$work/words")"
    section then
    says 'Nothing in force'
    says 'nothing was known of this specifier then'
    [ "$(chromium_value 'document.getElementById("operations")')" = null ] || fail 'operations that nobody fetched'

    # with its past: every operation that the daemon has, newest first, and what it did
    PAGE='a registry with its past'
    measuredctl backfill "$UI_SAFE" 2>"$work/said" || fail "backfill: $(cat "$work/said")"
    visit "$(app "$UI_SAFE")" "$PAGE"
    for_everybody "$PAGE"
    section operations
    says 'Every operation of the contract, back to the first.'
    daemon_get "/v1/operations?specifier=$UI_SAFE" | jq -r '.operations | reverse[] | "Operation \(.sequence)|block \(.block)|\(.time)"' >"$work/operations"
    [ "$(wc -l <"$work/operations")" = 5 ] || fail "the daemon has $(cat "$work/operations")"
    chromium_value '[...document.querySelectorAll("#operations tbody tr")].map((r) => [r.cells[0].innerText, r.cells[1].innerText,
        Date.parse(r.querySelector("time").dateTime) / 1000].join("|") + "\n").join("")' | diff - "$work/operations" || fail 'operations'
    row=0
    for want in 'Approved 150 no. 3, from ' 'Withdrew 140 no. 1, reason 3' 'Approved 141 no. 2, from ' 'Approved 140 no. 1, from ' "Created, owned by $SAFE"; do
        row=$((row + 1))
        [[ $(chromium_value "[...document.querySelectorAll('#operations tbody tr')][$((row - 1))].cells[3].innerText.toLowerCase()") == "${want,,}"* ]] ||
            fail "operation $row is not $want: $(cat "$work/words")"
    done

    by_keyboard "$PAGE" .skip .brand '#spec' '#find button' '.crumb a' '#releases summary' '#governance summary' '#history a' '#operations summary' '#when' '#then button' \
        '#compare select' '#compare button' '#evidence .copy'

    PAGE='hostile names on a chain'
    visit "$(app "$UI_HOSTILE")" "$PAGE"
    for_everybody "$PAGE"
    says "$UI_LONG (32.0.1)"
}

# The commands that the page shows, run as they stand.
commands() {
    local sha n
    PAGE='evidence'
    n=$(chromium_value '[...document.querySelectorAll("#history article h3")].at(-1).id')
    n=${n#row-}
    visit "$(app "$1" "evidence=row%3A$n")" "$PAGE"
    for_everybody "$PAGE"
    section evidence
    says 'Hashes to its name'
    sha=$(grep -oE 'sha256:[0-9a-f]{64}' "$work/words" | head -n 1)
    mapfile -t lines < <(chromium_value '[...document.querySelectorAll("#evidence .command code")].map((c) => c.textContent).join("\n")')
    [ ${#lines[@]} -ge 4 ] || fail "only ${#lines[@]} commands"
    (cd "$work" && bash -c "${lines[0]}") 2>"$work/said" || fail "${lines[0]}: $(cat "$work/said")"
    grep -qF "${sha#sha256:}" "$work/said" || fail "evidence says $(cat "$work/said") instead of $sha"
    (cd "$work" && bash -c "${lines[1]}" >/dev/null) || fail "${lines[1]}"
    [[ ${lines[2]} == "measuredctl audit --bundle row-$n.bundle --sha256 ${sha#sha256:} --spec '"*"'" ]] || fail "the third command: ${lines[2]}"
    if measuredctl --help 2>&1 | grep -q '^ *audit '; then
        (cd "$work" && bash -c "${lines[2]}" >/dev/null) || fail "${lines[2]}"
    else
        echo 'skipped: this measuredctl has no audit'
    fi
}

visit "$(app "$UI_LIST")" 'a list'
commands "$UI_LIST"
if [ -n "$UI_SAFE" ]; then
    registry
    visit "$(app "$UI_SAFE")" 'a registry'
    commands "$UI_SAFE"
else
    echo 'skipped: no registry without anvil and a Safe (scripts/install-deps test)'
fi

# ---- a phone, the dark, paper, and who wants no motion ----

pages=("$UI/ui/" "$(app "$UI_LIST" 'from=row%3A1&to=row%3A3&evidence=row%3A3&at=2030-01-01')" "$(app "$UI_SIGNED")")
[ -z "$UI_SAFE" ] || pages+=("$(app "$UI_SAFE" 'from=row%3A8&to=row%3A11&evidence=row%3A11')")
for page in "${pages[@]}"; do
    chromium_size 360 800
    chromium_media prefers-color-scheme=light
    visit "$page" "$page"
    chromium_value 'document.querySelectorAll("details").forEach((d) => (d.open = true))' >/dev/null
    for_everybody "a phone: $page"
    # what is too wide would make a phone show more of the page, smaller
    [ "$(chromium_value 'innerWidth + " " + document.documentElement.scrollWidth')" = '360 360' ] ||
        fail "$page is $(chromium_value 'innerWidth + " and " + document.documentElement.scrollWidth') wide on a phone of 360"
    chromium_size 1280 900
    chromium_media prefers-color-scheme=dark
    [ "$(chromium_value 'getComputedStyle(document.documentElement).backgroundColor')" = 'rgb(21, 24, 27)' ] || fail 'not dark'
    for_everybody "the dark: $page"
done
[ "$(chromium_value 'getComputedStyle(document.querySelector("main")).transitionDuration')" != 0s ] || fail 'no transition to be without'
chromium_media prefers-reduced-motion=reduce
[ "$(chromium_value 'getComputedStyle(document.querySelector("main")).transitionDuration')" = 0s ] || fail 'motion for who wants none'
CHROMIUM_MEDIA=print chromium_media
[ "$(chromium_value '[...document.querySelectorAll("form, button, .links")].every((e) => e.getClientRects().length === 0)')" = true ] ||
    fail 'forms on paper'

! grep -E 'Runtime\.exceptionThrown' <<<"$CHROMIUM_EVENTS" | head -n 3 | cut -c1-400 | grep . || fail 'the page threw'
daemon_stop || fail "the daemon ended with $?"
check_log "$work"
check_end
