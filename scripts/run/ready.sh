# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run
# ready.sh: what can be told before the program runs: perf does not start, or there is no room for the
# profile. Read by record.sh.

# Below the first the profile would be empty; 20 seconds of a busy CPU take the second.
space_needed=$((8 * 1024)) # KiB
space_wanted=$((256 * 1024))

# Sets why_not: why perf cannot be used, and what to do; nothing if it can.
check_perf() {
    why_not=
    if ! path=$(command -v perf); then
        why_not="perf is not installed: $(sh "$parts/how_to_install.sh" perf)"
    elif ! said=$(perf version 2>&1 </dev/null); then
        why_not="$path does not start, on Linux $(uname -r): $(printf '%s\n' "$said" | head -n 1)$(other_perfs)"
    fi
}

# Debian and Ubuntu have had a perf for each version of the kernel, and a script that starts the one that
# belongs to the running kernel.
other_perfs() {
    others=
    IFS=:
    for folder in $PATH; do
        for other in "$folder"/perf_[0-9]*; do
            name_other
        done
    done
    unset IFS
    for other in /usr/lib/linux-tools/*/perf /usr/lib/linux-tools-*/perf; do
        name_other
    done
    [ -z "$others" ] || printf '; any version will do: put a link of the name perf into PATH before it, to%s' \
        "$others"
}

name_other() {
    [ -x "$other" ] && version_there=$("$other" version 2>/dev/null </dev/null) || return 0
    others="${others:+$others or} $other (${version_there#perf })"
}

# The folder of the profile: whether it is there, and how much is free.
check_room() {
    folder=${output%"${output##*/}"}
    folder=${folder:-.}
    [ -d "$folder" ] || fail 1 "$output: there is no such directory"
    free=$(df -Pk -- "$folder" 2>/dev/null | sed -n '2s/.* \([0-9][0-9]*\)  *[0-9]*% .*/\1/p')
    case $output:$free in
    /dev/* | *:) return ;;
    esac
    [ "$free" -ge $space_needed ] ||
        fail 1 "$folder: $((free / 1024)) MiB are free, too few for a profile: -o FILE names another place"
    [ "$free" -ge $space_wanted ] ||
        hint "$folder: $((free / 1024)) MiB are free; a profile grows by 13 MB a CPU second where stacks are" \
            'copied whole: -F and --stack-size make it smaller'
}
