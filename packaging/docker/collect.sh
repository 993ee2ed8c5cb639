#!/bin/sh
# SPDX-License-Identifier: MIT
#
# For each program in BIN a tree below OUT: the program, and the libraries it needs that the base image has not, in their
# places. Images need no package manager then, and hold nothing that their program does not use.
#
#	collect.sh BIN OUT
set -eu
bin=$1 out=$2

# What every Debian image has: of the essential packages.
essential=$(dpkg-query -W -f '${Essential} ${Package}\n' | awk '$1 == "yes" { print $2 }'; echo libc6; echo libgcc-s1)

for program in "$bin"/packetscope*; do
	name=$(basename "$program")
	install -D -s "$program" "$out/$name/usr/bin/$name"
	ldd "$program" | awk '$3 ~ /^\// { print $3 }' | while read -r library; do
		library=$(realpath "$(dirname "$library")")/$(basename "$library")
		package=$(dpkg -S "$library" 2>/dev/null | sed 's/:.*//')
		case "
$essential
" in
		*"
$package
"*) continue ;;
		esac
		install -D -m 0644 "$library" "$out/$name$library"
	done
done
