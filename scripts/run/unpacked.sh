#!/bin/sh
# unpacked.sh IMAGES CACHE SINCE PERF: copies of the code that a one-file bundle (PyInstaller, Nuitka) has
# unpacked, made while it runs, because it removes its files when it ends, and perf reads them later.
#
# Looked at are the processes that have images in IMAGES, until PERF (a process number) is gone; copied is
# what they have mapped executable and what is newer than the file SINCE. CACHE is a build-id cache, as
# perf --buildid-dir takes it; its file "paths" holds the names that the copies had. It may be killed at
# any moment: what is half done is in CACHE.maps and CACHE/copy.
#
# Each look costs some four commands, so looks become rarer, and begin anew with each new process.
set -u

images=$1 cache=$2 since=$3 perf=$4
seen='
'

main() {
    known=0 ticks=0 next=0 step=1
    while kill -0 "$perf"; do
        if [ $ticks -lt 20 ]; then sleep 0.1; else sleep 1; fi
        ticks=$((ticks + 1))
        set -- "$images"/pyperf-*.so
        [ -e "$1" ] || continue
        if [ $# != $known ]; then
            known=$# next=$ticks step=1
        fi
        [ $ticks -ge $next ] || continue
        next=$((ticks + step))
        step=$((2 * step))
        look "$@"
    done
} 2>/dev/null

# $@: images, in whose names are the processes' numbers.
look() {
    for image in "$@"; do
        shift
        pid=${image##*/pyperf-}
        [ ! -r "/proc/${pid%%-*}/maps" ] || set -- "$@" "/proc/${pid%%-*}/maps"
    done
    [ $# != 0 ] || return 0
    # Executable, of a file: address, permissions, offset, device, inode, name (proc(5)).
    grep -H '^[^ ]* ..x. [^ ]* [^ ]* [1-9][0-9]* */' "$@" >"$cache.maps"
    set --
    while read -r where _ _ _ _ path; do
        pid=${where#/proc/}
        pid=${pid%%/*}
        case $path in
        */pyperf-*-*.so | */libpyperf*.so*) continue ;;
        esac
        case $seen in
        *"
$path
"*) continue ;;
        esac
        seen=$seen$path'
'
        case $path in
        # It can be read as long as it is mapped, by root and who may restore processes.
        *' (deleted)') keep "/proc/$pid/map_files/${where##*:}" "${path%' (deleted)'}" ;;
        *) set -- "$@" "/proc/$pid/root$path" ;;
        esac
    done <"$cache.maps"
    rm -f "$cache.maps"
    [ $# != 0 ] || return 0
    # Of a file's times only that of its last change of state cannot be set.
    find "$@" -prune -newercm "$since" | while read -r path; do
        keep "$path" "${path#/proc/*/root}"
    done
}

# $1: where the file is to be had, $2: the name by which it was mapped.
keep() {
    mkdir -p "$cache"
    # A link costs nothing, where it can be had.
    ln "$1" "$cache/copy" || cp "$1" "$cache/copy" || return 0
    id=$(perf buildid-list -i "$cache/copy")
    if [ ${#id} -ge 8 ] && mkdir -p "$cache/.build-id/${id%"${id#??}"}/${id#??}"; then
        printf '%s %s\n' "$id" "$2" >>"$cache/paths"
        mv "$cache/copy" "$cache/.build-id/${id%"${id#??}"}/${id#??}/elf"
    else
        rm -f "$cache/copy"
    fi
}

main
