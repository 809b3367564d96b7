# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run
# record.sh: perf record around the program. Read by pyperf-run, which has parsed the options.
#
# The processes of a run, all in one process group, so that a terminal's Ctrl-C and Ctrl-Z reach
# the program as if it had been started alone:
#
#     pyperf-run      passes signals on, waits, tidies up
#      |- canary      dies of a signal sent to the whole group: see pass_on
#      |- progress.py on a terminal
#      |- unpacked.sh copies what a one-file bundle will remove
#      `- perf record
#          `- launch.sh       keeps the exit status
#              `- the program          the only one with libpyperf.so in it
#
# Why a launcher stays between perf and the program: on Ctrl-C, SIGTERM or a full disk perf stops
# recording and sends SIGTERM to the command it started. A program that would have caught the
# Ctrl-C and closed its files would die of that; the launcher takes it instead, and perf waits.

# shellcheck source=scripts/run/program.sh
. "$parts/program.sh"
# shellcheck source=scripts/run/choices.sh
. "$parts/choices.sh"
# shellcheck source=scripts/run/ready.sh
. "$parts/ready.sh"
# shellcheck source=scripts/run/attach.sh
[ -n "$pids" ] || . "$parts/attach.sh" # with -p it has been read
# shellcheck source=scripts/run/places.sh
. "$parts/places.sh"
# shellcheck source=scripts/run/unwind.sh
. "$parts/unwind.sh"
# shellcheck source=scripts/run/isolated.sh
. "$parts/isolated.sh"
# shellcheck source=scripts/run/preload.sh
. "$parts/preload.sh"

# $@: options of perf record, as many as perf_words says; then the program.
record() {
    # As they were given, for the sampler.
    given_output=$output given_frequency=$frequency replaceable='' tries=0
    ! can_be_replaced || replaceable=yes
    output=${output:-${live:+${TMPDIR:-/tmp}/}perf.data}
    check_program "$perf_words" "$@"
    check_perf
    [ -z "$why_not" ] || replace_perf "$@"
    [ -z "$flamegraph" ] || template=$(sh "$parts/flamegraph.sh" "$flamegraph") || exit 1
    check_room
    find_python "$interpreter"
    prepare_live "$@"
    check_isolated "$@"
    spare_descriptors
    sort_signals
    make_directory
    place_live perf.data
    make_places
    [ -n "$replaceable" ] || tell_nameless
    tell_abandoned
    preload=$preloaded
    [ -n "$pids" ] || choose_preload
    choose_call_graph
    choose_frequency
    choose_build_ids
    start_canary
    catch_signals
    attach_trampolines
    start_perf "$@"
    start_viewer --data "$recorded" --scratch "$dir/live.data"
    [ -z "$caught" ] || deliver "$caught"
    wait_for_end
    while has_given_up; do
        start_perf "$@"
        wait_for_end
    done
    end_viewer
    note_calls
    find_lenders
    end_attacher
    finish "$@"
}

# In processes that run already. perf records those that cannot be attached, too: their functions of C.
attach_trampolines() {
    [ -z "$attaching" ] || start_attacher map "--images $images" || end_attacher
    show_kept
}

# Whether the sampler can do what is asked for, where perf cannot.
can_be_replaced() {
    [ "$perf_words" = 0 ] && [ -z "$pids$sampler$event$stack_size$call_graph$archive" ] && [ "$frequency" != max ] &&
        has_sampler
}

# $@: as for record. why_not: why perf cannot, and what would change that.
replace_perf() {
    [ -n "$replaceable" ] || fail 1 "$why_not"
    say "$why_not; libpyperf's own sampler is used instead, which sees no functions of the kernel"
    output=$given_output frequency=$given_frequency call_graph=''
    # shellcheck source=scripts/run/inside.sh
    . "$parts/inside.sh"
    sample "$@"
}

# 65528 is the largest stack copy that perf takes. Frames that do not fit are missing from the
# profile: perf's own 8192 hold 10 to 20 Python calls, from 3.14 on 7 to 9; this eight times as many.
# perf's build-id cache would get a copy of every library, for ever: see choose_build_ids. An
# archive needs a cache of its own, with all images, not only those with a sample.
# What the user gave comes later and wins. -o must be named: with a pipe for stdout, and no name,
# perf writes the profile into the pipe.
# Without -q: it silences errors too. finish drops what is chatter.
start_perf() {
    inherited=$images
    [ -z "$pids" ] || inherited=
    words=$#
    number=0
    while [ "$number" -lt "$words" ]; do
        if [ "$number" = "$perf_words" ]; then
            # shellcheck disable=SC2086  # $reset is a command with its arguments
            set -- "$@" -- $reset sh "$parts/launch.sh" "$dir" "$preload" "$inherited" \
                'PYPERF_MAP=needed PYTHONPERFSUPPORT=1' "$ignored" "$err" "$unused"
        fi
        set -- "$@" "$1"
        shift
        number=$((number + 1))
    done
    [ -z "$event" ] || set -- -e "$event" "$@"
    [ -z "$pids" ] || set -- -p "$pids" "$@"
    [ -z "$frequency" ] || set -- -F "$frequency" "$@"
    # shellcheck disable=SC2086  # a list of options
    set -- record -o "$recorded" --call-graph "$call_graph" $build_ids ${live:+--no-buffering} "$@"
    [ -z "$archive" ] || set -- --buildid-dir "$dir/debug" "$@"
    older=$(stat -c %i -- "$recorded" 2>/dev/null)
    (
        # perf dies of these without having written its data, and the launcher can undo it.
        [ -z "$reset" ] || trap '' HUP QUIT USR1
        keep_output
        eval "exec <&$in $in<&- 2>\"\$dir/log\""
        exec perf "$@"
    ) &
    runner=$!
    progress=
    if [ -t 2 ] && [ -z "$quiet$live" ] && [ -n "$python" ]; then
        "$python" -B -E -s "$parts/progress.py" "$recorded" "$runner" "$older" >&2 &
        progress=$!
    fi
    unpacked=
    case $build_ids in
    # Elsewhere the profile has no build ids of files that are gone.
    *--buildid-mmap) start_copying ;;
    esac
}

start_copying() {
    (
        eval "exec $in<&- $err>&-"
        exec sh "$parts/unpacked.sh" "$images" "$images.debug" "$dir" "$runner"
    ) >/dev/null 2>&1 &
    unpacked=$!
}

# perf ends without a word when a thread of the process ends while perf looks at all of them: once in some 150 times
# where threads are as short as a request. True if it may be started again, up to three times.
has_given_up() {
    [ -n "$pids" ] && [ -z "$caught" ] && [ ! -s "$dir/program" ] && [ ! -s "$dir/log" ] && [ "$tries" -lt 3 ] || return
    end_companions
    tries=$((tries + 1))
}

end_companions() {
    [ -z "$progress" ] || wait "$progress"
    [ -z "$unpacked" ] || kill -s KILL "$unpacked"
    wait "$unpacked"
} 2>/dev/null

finish() {
    refused=1
    {
        kill -s KILL "$canary"
        wait "$canary"
    } 2>/dev/null
    end_companions
    if [ ! -s "$dir/program" ]; then
        [ -n "$caught" ] || explain_perf
        remove_unused
        rm -rf "$dir"
        [ -z "$caught" ] || die_of "$caught"
        [ -n "$why_not" ] || exit "$refused"
        eval "exec $in<&- $err>&- ${lock:+$lock>&-}"
        replace_perf "$@"
    fi
    [ -z "$replaceable" ] || tell_nameless
    # perf 7.2 reports a kernel without schedstat in each recording, and with -p each a thread that ends just then.
    grep -v -e '^\[ perf record: ' -e '^Failed to open /proc/schedstat$' -e '^WARNING: Ignored open failure for pid ' \
        "$dir/log" >&2
    remove_maps
    chmod 755 "$images"
    take_turns publish
    drop_copies
    add_unwind_data
    case $runner_status in
    # perf ends itself with the signal that made it stop.
    0 | 130 | 143) show_profile ;;
    *)
        say "perf record failed with status $runner_status before the program ended:" \
            'the profile is incomplete, record again' ;;
    esac
    status=1
    [ ! -s "$dir/status" ] || read -r status <"$dir/status"
    tell_daemons
    remove_unused
    [ -n "$kept" ] || rm -rf "$dir"
    leave "$status"
}

# The program has ended: what comes now may be cut short, and its exit status is still the answer.
show_profile() {
    trap : INT QUIT
    trap 'remove_unused; [ -n "$kept" ] || rm -rf "$dir"; exit 143' TERM HUP
    # The second line is that of the shell's children.
    used=$(sed -n 2p "$dir/times")
    lasted=$(sed -n 3p "$dir/times")
    [ ! -d "$images.debug" ] || copies=$images.debug
    # For our own parts: the profile is not at its place.
    export PYPERF_BUILDID_DIR="$copies"
    answer "$recorded" "$answer_to" "${called:-$output}"
    tell_gone
    if [ -n "$archive" ]; then
        sh "$parts/archive.sh" "$recorded" "$dir/debug" "$archive"
    fi
    files=
    [ ! -d "$images.debug/files" ] || files=$images.debug/files
    ! is_kept || [ ! -t 2 ] || hint "the profile is $output: perf${copies:+ --buildid-dir $copies} report -i $output" \
        "${files:+--symfs $files --kallsyms /proc/kallsyms }--no-inline --max-stack 4096"
    send_recorded "$recorded" "$output"
}

# The one line that matters, of the 15 that perf prints, in why_not if perf cannot be used. The program was not run.
explain_perf() {
    if grep -q 'Error: unknown \(option\|switch\)' "$dir/log"; then
        refused=2
        say "perf record: $(sed -n 's/^ *Error: //p' "$dir/log"); see pyperf-run --help"
        return
    fi
    # Where the kernel refuses it, perf says of --buildid-mmap that the kernel is too old.
    confined=$(sed -n 's/^Seccomp:[[:space:]]*2$/1/p' /proc/self/status)
    refusals="perf_event_paranoid${confined:+\\|not permitted\\|record build id in mmap}"
    if ! grep -q "$refusals" "$dir/log"; then
        say 'perf record failed, the program was not run:'
        cat "$dir/log" >&2
        return
    fi
    # Not with read: such a file gives all it has to the first read of a single byte.
    paranoid=$(cat /proc/sys/kernel/perf_event_paranoid)
    if [ -n "$confined" ]; then
        todo='in a container, start it with --security-opt seccomp=unconfined'
        [ "$paranoid" -le 2 ] || todo="$todo --cap-add PERFMON (Docker 20.10: SYS_ADMIN)"
    elif [ "$(id -u)" = 0 ]; then
        todo='in a container, start it with --cap-add PERFMON (Docker 20.10: SYS_ADMIN)'
    else
        todo='as root, run: sysctl kernel.perf_event_paranoid=1 (or be root, or have CAP_PERFMON)'
    fi
    why_not="perf is not permitted here (kernel.perf_event_paranoid is $paranoid): $todo"
}

# A process that has an image does not need its /tmp/perf-PID.map; one that could make none does,
# and said so.
remove_maps() {
    for image in "$images"/pyperf-*.so; do
        pid=${image##*/pyperf-}
        for file in "/tmp/perf-${pid%%-*}.map" "/tmp/jit-${pid%%-*}.dump"; do
            if [ -f "$file" ] && [ ! -h "$file" ] &&
                [ "$(stat -c %u "$file")" = "$(stat -c %u "$image")" ]; then
                rm -f "$file"
            fi
        done
    done
} 2>/dev/null
