#!/bin/sh
# SPDX-License-Identifier: MIT
#
# For each program in BIN a tree below OUT: the program, and the libraries it needs that the base image has not, in their
# places. Images need no package manager then, and hold nothing that their program does not use.
#
#	collect.sh BIN OUT
set -eu
bin=$1 out=$2

# What dpkg knows is the base image's, since setup.sh --unpack tells it of nothing. Asked once: for each library it takes seconds.
known=$(mktemp)
dpkg-query --show --showformat='${binary:Package}\n' | xargs dpkg-query --listfiles >"$known"

for program in "$bin"/packetscope*; do
	name=$(basename "$program")
	install -D -s "$program" "$out/$name/usr/bin/$name"
	ldd "$program" | awk '$3 ~ /^\// { print $3 }' | while read -r library; do
		library=$(realpath "$(dirname "$library")")/$(basename "$library")
		! grep -Fxq -e "$library" -e "${library#/usr}" "$known" || continue # some by the name of before /lib was a link
		install -D -m 0644 "$library" "$out/$name$library"
	done
done
rm -f "$known"
