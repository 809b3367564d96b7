# ground.sh - the tarball in a folder, used by a Python there; sourced.
# shellcheck shell=sh
# shellcheck disable=SC2154  # here, of the script that reads it

# $1: the tarball, $2: a folder that exists. A blank in the path is one of the tests.
unpack() {
    rm -rf "$2/unpacked here"
    mkdir "$2/unpacked here"
    tar -xf "$1" -C "$2/unpacked here" --strip-components=1
}

# $1: the folder, $2: a Python of this machine.
use() {
    (cd "$1" && env -i PATH="$PATH" LC_ALL=C RUN="$1/unpacked here/bin/pyperf-run" sh "$here/inside" "$2")
}
