# tests/support/page.sh - a page of docs/ followed to the letter; source it.
#
#   page_script PAGE     a shell script of its `sh` blocks in their order, each said before it is run; a line
#                        `<!-- test: WORDS -->` becomes the command `test_WORDS`, a function of the caller, which
#                        does what a page can only ask a person to do
# Blocks of another kind are not run.

page_script() {
    awk -v page="$1" '
        /^```sh$/ { code = 1; printf "echo \"-- %s:%d\" >&2\n", page, NR; next }
        /^```/ { if (code) { code = 0; next } other = !other; next }
        code { print; next }
        !other && /^<!-- test: .* -->$/ { sub(/^<!-- test: /, "test_"); sub(/ -->$/, ""); print }
        END { if (code || other) exit 1 }' "$1"
}
