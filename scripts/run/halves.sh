# shellcheck shell=sh
# shellcheck disable=SC2154  # variables of pyperf-run
# halves.sh: --attach and --detach, for those who run perf themselves, and for what a killed pyperf-run has left. Read by
# pyperf-run.

# shellcheck source=scripts/run/attach.sh
. "$parts/attach.sh"

attach_and_leave() {
    pids=$attach
    ready_to_attach
    action=map
    if [ "$sampler" = inside ] || [ -n "$wall" ]; then
        action=sample
        [ "$frequency" != auto ] || frequency=${wall:+99}
        set -- --sampler "${frequency:-199}${wall:+:wall}"
    fi
    # shellcheck disable=SC2046  # numbers
    run_halves attach --action "$action" "$@" $(printf '%s' "$attach" | tr , ' ')
    exit
}

# The files of samples become a profile, as at the end of pyperf-run -p.
detach_and_gather() {
    # shellcheck source=scripts/run/inside.sh
    . "$parts/inside.sh"
    pids=$detach
    ready_to_attach
    output=${output:-pyperf.samples}
    check_output
    make_directory
    trap 'rm -rf "$dir"' EXIT
    trap '' HUP INT QUIT TERM
    images=$dir/samples
    mkdir "$images"
    # shellcheck disable=SC2046  # numbers
    run_halves detach --into "$images" $(printf '%s' "$detach" | tr , ' ')
    status=$?
    if [ -n "$(ls -A "$images")" ] && collect; then
        pack
        say "what was sampled is in $output: pyperf-run --report $output"
    fi
    exit $status
}
