# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run
# inside.sh: the sampler of libpyperf.so around the program, in the place of perf. Read by pyperf-run, which has parsed
# the options, and by record.sh where perf is not to be had.
#
#     pyperf-run      passes signals on, waits, makes one profile of the processes' files
#      |- canary      see program.sh
#      `- launch.sh   keeps the exit status
#          `- the program          libpyperf.so in it samples, and writes a file for each process
#
# Processes that run already (-p) are attached instead, and the program is only waited for: attach.sh.

# shellcheck source=scripts/run/program.sh
. "$parts/program.sh"
# shellcheck source=scripts/run/preload.sh
. "$parts/preload.sh"

BLOCK=4096 # of a profile: sample_format.h

# $@: the program.
sample() {
    check_options
    [ "$frequency" != auto ] || frequency=${wall:+99}
    frequency=${frequency:-199}
    given_output=$output
    [ -n "$live" ] || output=${output:-pyperf.samples}
    check_program 0 "$@"
    check_output
    [ -z "$flamegraph" ] || template=$(sh "$parts/flamegraph.sh" "$flamegraph") || exit 1
    find_python "$interpreter"
    prepare_live "$@"
    spare_descriptors
    sort_signals
    make_directory
    place_live pyperf.samples
    reset_by_python
    images=$dir/samples
    mkdir "$images"
    # A service that is started as root and then changes its user still makes files.
    [ "$(id -u)" != 0 ] || chmod 1733 "$images"
    preload=$preloaded
    [ -n "$pids" ] || choose_preload
    start_canary
    catch_signals
    [ -z "$pids" ] || attach_sampler
    start_program "$@"
    [ -n "$pids" ] || echo "$images" >"$dir/attached.folders"
    start_viewer --folders "$dir/attached.folders"
    [ -z "$caught" ] || deliver "$caught"
    wait_for_end
    end_viewer
    [ -z "$pids" ] || detach_sampler
    finish_sampling
}

attach_sampler() {
    if ! start_attacher sample "--sampler $frequency${wall:+:wall}$span"; then
        end_attacher
        kill -s KILL "$canary"
        wait "$canary" 2>/dev/null
        show_kept
        rm -rf "$dir"
        exit 1
    fi
    roots=$(cat "$dir/attached.roots")
    show_kept
}

# The profile is made of the files that it has taken out of the processes' folders.
detach_sampler() {
    end_attacher
    images=$dir/taken
}

# Refuses the options that only perf has.
check_options() {
    has_sampler || fail 1 "$library has no sampler: --sampler=inside needs a later one"
    what=
    [ -z "$stack_size" ] || what="--stack-size $stack_size: the sampler copies no stacks, it unwinds them"
    [ -z "$call_graph" ] || what="--call-graph $call_graph: the sampler unwinds all stacks by their unwind data"
    [ -z "$event" ] || what="--event $event: the sampler knows CPU time, and elapsed time (--wall)"
    [ "$frequency" != max ] || what='--freq max: name a number'
    [ "$perf_words" = 0 ] || what='options of perf record: perf does not run'
    [ -z "$archive" ] || what="--archive $archive: the profile is one file, with all Python functions in it; \
--flamegraph and --collapsed keep the names of others"
    [ -z "$what" ] || fail 2 "$what; --sampler=perf is for perf"
}

# The profile is written when the program has ended: its folder is looked at before.
check_output() {
    [ ! -d "$output" ] || fail 1 "$output: is a directory, name a file in it"
    check_writable "$output"
}

# Where env cannot do it, a background command's program would not see Ctrl-C.
reset_by_python() {
    case $reset:$python in
    ?*:* | *: | *[!A-Za-z0-9/._+@%,=~:-]*) return ;;
    esac
    # Python ignores these two.
    for pair in 13:PIPE 25:XFSZ; do
        [ $((mask >> (${pair%:*} - 1) & 1)) = 1 ] || default=$default,${pair#*:}
    done
    ln -s "$parts/default_signals.py" "$dir/default_signals.py"
    reset="$python -B -E -s $dir/default_signals.py ${default#,}"
}

start_program() {
    inherited=$images
    [ -z "$pids" ] || inherited=
    (
        eval "exec <&$in $in<&-"
        keep_output
        # shellcheck disable=SC2086  # $reset is a command with its arguments
        exec $reset sh "$parts/launch.sh" "$dir" "$preload" "$inherited" \
            "PYPERF_SAMPLER=$frequency${wall:+:wall}$span" "$ignored" "$err" "$unused" "$@"
    ) &
    runner=$!
}

finish_sampling() {
    {
        kill -s KILL "$canary"
        wait "$canary"
    } 2>/dev/null
    if [ ! -s "$dir/program" ]; then
        rm -rf "$dir"
        [ -z "$caught" ] || die_of "$caught"
        fail 1 'the program could not be started'
    fi
    status=1
    [ ! -s "$dir/status" ] || read -r status <"$dir/status"
    # The program has ended: what comes now may be cut short, and its exit status is still the answer.
    trap : INT QUIT
    trap 'rm -rf "$dir"; exit 143' TERM HUP
    tell_running
    if show_final; then
        :
    elif collect; then
        # Of the program, which is not what was sampled if that was attached.
        [ -n "$pids" ] || used=$(sed -n 2p "$dir/times")
        lasted=$(sed -n 3p "$dir/times")
        answer "$output" "$answer_to" "${called:-$output}"
        ! is_kept || pack
        tell_gone
        ! is_kept || [ ! -t 2 ] || hint "the profile is $output: pyperf-run --report $output"
        send_recorded "$output" "$output"
    fi
    rm -rf "$dir"
    leave "$status"
}

# Names the processes that still run after the program's end, such as daemons.
tell_running() {
    for file in "$images"/*.samples; do
        pid=${file##*/pyperf-}
        pid=${pid%%-*}
        ! grep -q "$file" "/proc/$pid/maps" || say "the program has ended, and process $pid goes on, which it has" \
            'started: what that does from now on is not in the profile'
    done
} 2>/dev/null

# Makes one profile of all files; false if there is none, and says so.
collect() {
    case $output in */*) new=${output%/*}/.pyperf-run-$$ ;; *) new=.pyperf-run-$$ ;; esac
    if [ -e "$output" ] && [ ! -f "$output" ]; then
        new=$dir/whole # a device
    fi
    if ! join_files >"$new"; then
        say "$output: the profile cannot be written; its parts are in $images: pyperf-run --report $images"
        rm -f "$new"
        leave "$status"
    fi
    if [ ! -s "$new" ]; then
        rm -f "$new"
        tell_no_samples
        return 1
    fi
    if [ "$new" = "$dir/whole" ]; then
        cat "$new" >"$output"
    else
        [ ! -s "$output" ] || mv -f "$output" "$output.old"
        mv -f "$new" "$output"
    fi
}

# Afterwards, because nobody waits for it. If it cannot be done, the profile stays as it is.
pack() {
    [ -n "$python" ] && [ "$new" != "$dir/whole" ] || return 0
    if "$python" -B -E -s "$parts/packing.py" "$output" "$new" 2>/dev/null; then
        mv -f "$new" "$output"
    else
        rm -f "$new"
    fi
}

tell_no_samples() {
    if [ -n "$pids" ]; then
        say "no samples were taken: process $pids took too little CPU time; --wall shows what it waits for"
    else
        say 'no samples were taken: the program is not one in Python, took too little CPU time, or says on stderr' \
            'why; pyperf-run --doctor looks further'
    fi
}

# Each cut to the bytes that it uses, up to a whole block. The copy's header was read before what it counts, which
# matters for a process that goes on.
join_files() {
    for file in "$images"/*.samples; do
        [ -s "$file" ] || continue
        cp -- "$file" "$dir/part" || return
        length=$(od -A n -t u8 -j 8 -N 8 "$dir/part" | tr -d ' \n')
        dd if="$dir/part" bs=$BLOCK count=$(((length + BLOCK - 1) / BLOCK)) conv=sync 2>"$dir/log" || return
    done
}
