# The suites of "make check", one after the other, and a summary on one screen; sourced by scripts/check.
# shellcheck shell=sh

# $1: the checkout. SUITES: those that are wanted, instead of all. What they print goes to build/check, and to
# stdout where that is no terminal. False when a suite failed.
run_suites() {
    checkout=$1
    logs=$checkout/build/check
    rm -rf "$logs"
    mkdir -p "$logs"
    failed=
    [ -z "${SUITES-}" ] || printf 'These suites only: %s\n' "$SUITES" >"$logs/summary"
    for suite in ${SUITES:-$(sed -n 's/^check: //p' "$checkout/Makefile")}; do
        run_suite "$suite"
    done
    printf '\n'
    cat "$logs/summary"
    [ -z "$failed" ] || printf 'What failed stands in %s, and is repeated at the end of each log.\n' "$logs"
    [ -z "$failed" ]
}

# One failing suite does not hide what the others say.
run_suite() {
    began=$(date +%s)
    {
        status=0
        make --no-print-directory -j "$(nproc)" -C "$checkout" "$1" 2>&1 </dev/null || status=$?
        echo "$status" >"$logs/status"
    } | tee "$logs/$1.log" | show "$1"
    verdict=ok
    [ "$(cat "$logs/status")" = 0 ] || verdict=FAILED failed=yes
    {
        printf '%-6s  %-20s %5d s  %s\n' "$verdict" "$1" $(($(date +%s) - began)) "$(counts "$logs/$1.log")"
        grep -aE '^(FAIL |make: \*\*\*|[^ ]+:[0-9]+:[FE]:)' "$logs/$1.log" | sort -u | head -n 20 | cut -c 1-600 | sed 's/^/        /'
        grep -aE '^miss ' "$logs/$1.log" | head -n 10 | cut -c 1-300 | sed 's/^/        /'
        grep -aiE '^skip ' "$logs/$1.log" | sort -u | head -n 5 | cut -c 1-150 | sed 's/^/        /'
    } >>"$logs/summary"
}

# On a terminal one line that changes: the lines of all suites are some 11,000.
show() {
    if [ -t 1 ]; then
        awk -v suite="$1" '{ printf "\r%s: %d lines", suite, NR; fflush() } END { printf "\r\033[K" }'
    else
        cat
    fi
}

# $1: a log. Python's suites end with "3 passed, 0 failed, 1 skipped", those of Check with "Checks: 3, ...".
counts() {
    awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped/ { passed += $1; failed += $3; skipped += $5 }
        /^[0-9]+%: Checks: / { bad = $5 + $7; passed += $3 - bad; failed += bad }
        END { printf "%d passed, %d failed, %d skipped", passed, failed, skipped }' "$1"
}
