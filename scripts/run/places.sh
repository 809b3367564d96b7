# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run and record.sh
# places.sh: where the profile and the trampoline images lie. Read by record.sh.
#
#     FILE, FILE.old               the profiles of the run that ended last, and of the one before it
#     FILE.images/RUN/             a run's images: perf report looks for them where they were made.
#                                  The file "profiles" in it holds the inode numbers of the profiles
#                                  that need them
#     FILE.images/RUN.debug/       copies of code that the program has unpacked and removed (unpacked.sh);
#                                  a libc with unwind data (unwind.sh)
#     FILE.images/RUN.recording/   the profile of a run that has not ended, or whose table is being made
#
# perf renames a FILE that is there to FILE.old when it begins, and truncates nothing of its own: of
# two runs at once the second would move away what the first is writing, and a third would remove it.
# So each run records into a folder of its own, and its profile becomes FILE when it ends.

# Sets recorded, the profile while the run lasts, and images. Where nothing may be executed beside
# the profile, the images lie in our own directory.
make_places() {
    kept='' recording='' nameless='' recorded=$output
    above=${output%"${output##*/}"}
    above=$(cd -P -- "${above:-.}" && pwd)
    runs=${above%/}/${output##*/}.images
    images=$runs/$(date +%Y%m%d-%H%M%S)-$$
    if is_renamed && mkdir -p "$runs" 2>/dev/null && mkdir -m 700 "$images.recording" 2>/dev/null; then
        recording=$images.recording
        recorded=$recording/${output##*/}
        hold_recording
    fi
    if ! mkdir -p "$images" 2>/dev/null || ! executes "$images"; then
        rmdir "$images" "$runs" 2>/dev/null
        images=$dir/images
        mkdir "$images"
        executes "$images" || nameless=$images
    fi
    # A service that is started as root and then changes its user still makes images.
    [ "$(id -u)" != 0 ] || chmod 1733 "$images"
}

# Where the sampler may take perf's place, it is said when perf was not refused: the sampler needs no images.
tell_nameless() {
    [ -z "$nameless" ] || say "$nameless: nothing may be executed there, so Python functions get no names:" \
        'set TMPDIR to a place that is not mounted noexec'
}

# Whether perf would make a new file: a device, or an empty file, is what the user has put there.
is_renamed() {
    if [ -e "$output" ] || [ -h "$output" ]; then
        [ -s "$output" ] && { [ -f "$output" ] || [ -d "$output" ]; }
    fi
}

executes() {
    printf '#!/bin/sh\n' >"$1/try" && chmod 700 "$1/try" && "$1/try"
    try=$?
    rm -f "$1/try"
    return $try
} 2>/dev/null

# The lock is ours and perf's, which inherits it, until both have ended. Pids would not do: a container that
# shares the folder does not see ours. A folder without a lock is never called abandoned.
hold_recording() {
    [ -n "$lock" ] || return 0
    eval "exec $lock>\"\$recording/.lock\""
    flock -n "$lock" 2>/dev/null || rm -f "$recording/.lock"
}

# Runs that end at the same moment take turns.
take_turns() {
    [ ! -d "$runs" ] || (
        flock 9 2>/dev/null
        "$@"
    ) 9<"$runs"
}

# perf's own --switch-output makes several files, each with its time behind the name.
publish() {
    [ -z "$recording" ] || for file in "$recording"/*; do
        [ -e "$file" ] || continue
        named=${above%/}/${file##*/}
        if [ -s "$named" ]; then
            rm -rf "$named.old"
            mv "$named" "$named.old"
        fi
        # Under its first name it is read for the table, while the next run may take the other one.
        # A directory (perf record --threads) can have one name only.
        ln -f "$file" "$named" 2>/dev/null || { mv "$file" "$named" && ln -s "$named" "$file"; }
    done
    if [ "$images" != "$dir/images" ] && [ -n "$(ls -A "$images")" ]; then
        stat -L -c %i -- "$recorded" >"$images/profiles"
    fi
    printf '%s\n' "$lenders" | while read -r lender; do
        [ ! -f "$lender/profiles" ] || stat -L -c %i -- "$recorded" >>"$lender/profiles"
    done
} 2>/dev/null

# Removes the images of profiles that have no name any more, maybe our own. The images of a process
# that still runs stay, since it may be recorded again.
remove_older() {
    wanted=" $(stat -L -c %i -- "$output" "$output.old" 2>/dev/null | tr '\n' ' ')"
    for run in "$runs"/[0-9]*-[0-9]*-[0-9]*; do
        case $run in *.recording) continue ;; esac
        case ${run##*/} in *.*) continue ;; esac
        [ ! -d "$run.recording" ] || continue
        if ! is_wanted && [ -z "$(processes_of "$run")" ]; then
            rm -f "$run/profiles" "$run"/pyperf-*.so "$run"/pyperf-*.calls
            rm -rf "$run.debug"
            rmdir "$run"
        fi
    done
} 2>/dev/null

# Removes the copies of files that are still there, which are most of them.
drop_copies() {
    rm -f "$images.debug.maps" "$images.debug/copy"
    [ -d "$images.debug" ] || return 0
    while read -r id path; do
        [ ! -e "$path" ] || rm -r "$images.debug/.build-id/${id%"${id#??}"}/${id#??}"
    done <"$images.debug/paths"
    rmdir "$images.debug"/.build-id/* "$images.debug/.build-id"
    [ -d "$images.debug/.build-id" ] || rm -rf "$images.debug"
} 2>/dev/null

# Names what runs have left that were killed (SIGKILL). Nothing is removed: perf goes on until the
# program ends, and the profile is whole then.
tell_abandoned() {
    for left in "$runs"/[0-9]*-[0-9]*-[0-9]*.recording; do
        if [ -r "$left/.lock" ] && flock -n "$left/.lock" true 2>/dev/null; then
            hint "$left is left of a run that was killed: pyperf-run --report $left/${output##*/} shows what" \
                "it recorded; or remove that folder"
        fi
    done
}

is_wanted() {
    while read -r profile; do
        case $wanted in *" $profile "*) return ;; esac
    done <"$run/profiles"
    return 1
}

# Removes files that this run does not need any more. Images that could not be put beside the
# profile stay.
remove_unused() {
    [ -z "$recording" ] || rm -rf "$recording"
    take_turns remove_older
    if [ "$images" = "$dir/images" ] && [ -n "$(ls -A "$images" 2>/dev/null)" ]; then
        kept=$images
        say "the trampoline images could not be put beside $output: perf report needs $images," \
            "remove $dir when done"
    fi
    rmdir "$runs" 2>/dev/null
}
