#!/bin/sh
# archive.sh DATA DEBUGDIR OUT.tar.bz2: a profile with all that another machine needs to read it.
# DEBUGDIR: a build-id cache that "perf --buildid-dir DEBUGDIR record --buildid-all" has filled, or
# "-" if there is none: then the files of the profile are taken from their paths.
# archive.sh --ready OUT.tar.bz2: checks before the run that the archive can be made.
#
# perf finds the files in such a cache by their build-ids, for names and for unwinding, whatever is
# at their paths on the other machine. A file without a build-id (some builds of Python) is only
# found by its path; then the archive also has all files by path, for --symfs.
set -eu

calls='/pyperf-[0-9]*-[^/]*\.calls$'

main() {
    [ "$1" != --ready ] || set -- --ready - "$2"
    [ $# = 3 ] || fail 'usage: archive.sh DATA DEBUGDIR OUT.tar.bz2'
    [ "$1" = --ready ] || [ -r "$1" ] || fail "$1: no such profile, or it may not be read"
    [ "$1" = --ready ] || [ "$2" = - ] || [ -d "$2/.build-id" ] || fail "$2 is no build-id cache: perf record has put nothing there"
    name=$(basename -- "$3" .tar.bz2)
    case ${3##*/} in
    ?*.tar.bz2) ;;
    *) fail "$3: the name of an archive must end in .tar.bz2" ;;
    esac
    [ ! -d "$3" ] || fail "$3 is a directory: an archive is one file, name it"
    for program in tar bzip2; do
        command -v $program >/dev/null ||
            fail "$program is not installed: $(sh "${0%/*}/how_to_install.sh" $program)"
    done
    folder=$(readlink -f -- "$(dirname -- "$3")") || fail "$(dirname -- "$3"): no such directory"
    dir=$(mktemp -d "$folder/.archive.XXXXXX" 2>/dev/null) ||
        fail "cannot write to $folder: name another place for the archive"
    trap 'rm -rf "$dir"' EXIT
    trap 'exit 1' HUP INT TERM
    [ "$1" != --ready ] || exit 0
    top=$dir/$name
    mkdir "$top"
    link_or_copy "$1" "$top/perf.data"
    perf buildid-list -i "$top/perf.data" >"$dir/identified" 2>"$dir/log" ||
        fail "perf cannot read $1: $(tail -n 1 "$dir/log")"
    cache=$2
    [ "$2" != - ] || collect
    # Copies, no links: perf hard-links the system's files there, and tar complains when another
    # perf links one while it reads.
    cp -a "$(readlink -f -- "$cache")" "$top/debug"
    tell_missing
    list_unidentified
    if [ -s "$dir/unidentified" ] || perf_looks_by_path; then
        arrange_by_path
    fi
    explain >"$top/READ-ME"
    pack
    mv -f "$dir/packed" "$folder/$name.tar.bz2"
}

say() {
    printf 'pyperf-run: %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

link_or_copy() {
    source=$(readlink -f -- "$1")
    ln "$source" "$2" 2>/dev/null || cp -p "$source" "$2"
}

# perf takes only a file that still has the profile's build-id into its cache.
collect() {
    cache=$dir/collected
    mkdir -p "$cache/.build-id"
    running=$(perf buildid-list -k 2>/dev/null) || running=
    while read -r id path; do
        case $path in
        /*) [ "$(perf buildid-list -i "$path" 2>/dev/null)" != "$id" ] ||
            perf --buildid-dir "$cache" buildid-cache -a "$path" 2>/dev/null || : ;;
        '[kernel.kallsyms]') [ "$id" != "$running" ] || collect_kernel ;;
        esac
    done <"$dir/identified"
}

# As perf record would: perf has no command for it.
collect_kernel() {
    mkdir -p "$cache/$path/$id" "$cache/.build-id/${id%"${id#??}"}"
    cat /proc/kallsyms >"$cache/$path/$id/kallsyms"
    ln -s "../../$path/$id" "$cache/.build-id/${id%"${id#??}"}/${id#??}"
}

# $1: a build-id
cached() {
    printf '%s\n' "$top/debug/.build-id/${1%"${1#??}"}/${1#??}/elf"
}

tell_missing() {
    missing=
    while read -r id path; do
        case $path in
        /tmp/perf-vdso.so-*) ;; # a file that perf made for the time it ran
        /*) [ -e "$(cached "$id")" ] || missing="$missing $path" ;;
        esac
    done <"$dir/identified"
    [ -z "$missing" ] ||
        say "not in the archive, since perf did not keep them, so names may be missing:$missing"
}

# Perf 7.2 unwinds by the files that are at the program's paths where it reads, and has no names for another kernel
# than the running one, though both are in its cache.
perf_looks_by_path() {
    case $(perf --version) in
    'perf version '[1-6].*) return 1 ;;
    esac
}

# Files with code that still exist and have no build-id.
list_unidentified() {
    sed 's/^[^ ]* //' "$dir/identified" | sort -u >"$dir/known"
    perf script -i "$top/perf.data" --fields comm --show-mmap-events 2>/dev/null </dev/null |
        sed -n 's/.*PERF_RECORD_MMAP.*: [r-][w-]x[ps] \(\/.*\)$/\1/p' | sort -u |
        comm -23 - "$dir/known" >"$dir/mapped"
    grep -v "$calls" "$dir/mapped" |
        while read -r path; do
            [ ! -f "$path" ] || printf '%s\n' "$path"
        done >"$dir/unidentified"
    keep_calls
}

# The lists of calls that table.py reads (running.py).
keep_calls() {
    grep "$calls" "$dir/mapped" | while read -r path; do
        mkdir -p "$top/calls"
        [ ! -f "$path" ] || link_or_copy "$path" "$top/calls/${path##*/}"
    done
}

arrange_by_path() {
    mkdir "$top/files"
    while read -r path; do
        mkdir -p "$top/files${path%/*}"
        cp -p "$path" "$top/files$path"
    done <"$dir/unidentified"
    while read -r id path; do
        case $path in
        /*) place_cached "$id" "$path" ;;
        '[kernel.kallsyms]') symbols=$(dirname -- "$(cached "$id")")/kallsyms
            [ ! -r "$symbols" ] || link_or_copy "$symbols" "$top/kallsyms" ;;
        esac
    done <"$dir/identified"
}

# $1: a build-id, $2: the file's path on this machine
place_cached() {
    elf=$(cached "$1")
    [ -e "$elf" ] && [ ! -e "$top/files$2" ] || return 0
    mkdir -p "$top/files${2%/*}"
    link_or_copy "$elf" "$top/files$2"
}

explain() {
    quoted=\'$(printf '%s\n' "$name" | sed "s/'/'\\\\''/g")\'
    case $name in
    *[!A-Za-z0-9._+-]*) ;;
    *) quoted=$name ;;
    esac
    # By default perf shows 127 frames of a stack.
    options='--max-stack 4096 --no-inline'
    [ ! -d "$top/files" ] || options="$options --symfs $quoted/files"
    [ ! -e "$top/kallsyms" ] || options="$options --kallsyms $quoted/kallsyms"
    version=$(perf --version)
    cat <<TEXT
A profile with its Python functions (py::...), recorded with libpyperf and $version,
and the files that perf needs to read it. On Linux for the same CPU ($(uname -m)), with perf:

    tar xf $quoted.tar.bz2
    perf --buildid-dir $quoted/debug report -i $quoted/perf.data $options
    perf --buildid-dir $quoted/debug script -i $quoted/perf.data $options

perf.data holds the host's name, the command line, and pieces of the program's stack with whatever
was in them: give it to people who may see that.
TEXT
}

# If root unpacks it, files would belong to the recording user, and perf refuses to read them.
pack() {
    tar -cjf "$dir/packed" --owner=0 --group=0 --mode=u+rwX,a-s -C "$dir" "./$name" 2>"$dir/log" ||
        fail "tar could not write the archive: $(tail -n 1 "$dir/log")"
}

main "$@"
