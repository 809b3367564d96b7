#!/bin/sh
# how_to_install.sh WHAT: prints how WHAT is installed on this distribution. WHAT is perf, or a package's name that
# all distributions share.
set -u

what=$1
system=
for file in /etc/os-release /usr/lib/os-release; do
    [ ! -r "$file" ] || { system=$(sed -n 's/^ID="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$file"); break; }
done 2>/dev/null
for tool in apt-get dnf yum apk zypper pacman none; do
    ! command -v "$tool" >/dev/null || break
done
case $tool:$system:$what in
apt-get:ubuntu:perf) what=linux-tools-$(uname -r) ;;
apt-get:*:perf) what=linux-perf ;;
esac
case $tool in
none) echo "install your distribution's package of $what" ;;
apk) echo "apk add $what" ;;
pacman) echo "pacman -S $what" ;;
*) echo "$tool install $what" ;;
esac
