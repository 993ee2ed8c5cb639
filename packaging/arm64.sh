#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Everything for arm64, built on a machine that is not: by Debian's cross compiler, with the libraries of a Debian arm64 tree.
#
#	packaging/arm64.sh [BUILD] [TARGET…]		default: build/arm64, all targets
#
# The tree, 0.6 GB, is made once in BUILD/root from the machine's own package sources; nothing in it is run or configured, and this machine's
# packages stay as they are.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-build/arm64}
shift || true
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
root=$build/root

"$here/packaging/setup.sh" --check programs arm64

if [ ! -e "$root/usr/lib/aarch64-linux-gnu/libbpf.so" ]; then
	for from in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
		[ ! -f "$from" ] || break
	done
	mkdir -p "$build"
	rm -rf --one-file-system "$root.new"
	mmdebstrap --quiet --architectures=arm64 --variant=extract \
		--include=libc6-dev,libbpf-dev,libzmq3-dev,libmsgpack-dev,libmicrohttpd-dev,libcjson-dev,libcurl4-openssl-dev,nettle-dev,libpcap-dev,zlib1g-dev,libcmocka-dev,busybox-static \
		"$suite" "$root.new" "$from" </dev/null
	rm -rf --one-file-system "$root"
	mv "$root.new" "$root"
fi
root=$(cd "$root" && pwd)
cmake -S "$here" -B "$build" -G Ninja --toolchain "$here/packaging/arm64.cmake" -DPS_SYSROOT="$root" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	-DBPFTOOL="$("$here/packaging/setup.sh" bpftool)" >/dev/null
cmake --build "$build" -j "${JOBS:-$(nproc)}" ${1:+--target "$@"}
