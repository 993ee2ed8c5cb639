#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Installs what Packet Scope needs on Debian 12 or newer and Ubuntu 22.04 or newer: only what is missing, so that it costs
# a moment when all is there.
#
#	packaging/setup.sh [--check] GROUP…      GROUP: build (programs and page), programs, page, run, demo, test, bench, docker, kernels
#	packaging/setup.sh bpftool               prints the path of a bpftool that works on this machine
#
# --check, and a caller who is not root, install nothing: the command to run is printed, and the exit status is 1 if anything
# is missing.
set -euo pipefail

# One package a word; "a|b" are names of the same thing in different releases, "?a" is welcome, but its absence from
# the release is no error.
declare -A GROUPS_OF=(
	[programs]="gcc libc6-dev make cmake ninja-build pkg-config|pkgconf clang llvm
		bpftool|linux-tools-generic libbpf-dev libzmq3-dev libmsgpack-c-dev|libmsgpack-dev
		libmicrohttpd-dev libcjson-dev libcurl4-openssl-dev nettle-dev libpcap-dev zlib1g-dev"
	[page]="npm"
	[run]="iproute2"
	[demo]="iproute2 iputils-ping python3"
	[bench]="libcmocka-dev iproute2 python3 ?nftables ?wrk ?xdp-tools"
	[test]="libcmocka-dev iproute2 iputils-ping ethtool tcpdump tshark curl jq openssl util-linux python3 python3-zmq
		python3-msgpack python3-jsonschema iperf3 tcpreplay
		?mmdebstrap ?libclang-rt-14-dev|libclang-rt-18-dev|libclang-rt-19-dev ?prometheus ?chromium ?fonts-dejavu-core"
	[docker]="docker.io docker-compose mmdebstrap"
	[kernels]="qemu-system-x86 busybox|busybox-static cpio"
)
GROUPS_OF[build]="${GROUPS_OF[programs]} ${GROUPS_OF[page]}"

die() {
	echo "setup: $*" >&2
	exit 1
}

declare -A INSTALLED=()
read_installed() {
	local name status
	while read -r name status; do
		[ "$status" != installed ] || INSTALLED[$name]=1
	done < <(dpkg-query -W -f='${Package} ${db:Status-Status}\n')
}

available() {
	local policy
	policy=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null)
	grep -q '^  Candidate: [^(]' <<<"$policy"
}

# Ubuntu's /usr/sbin/bpftool is a wrapper that works only with the tools of the running kernel; any version of the real program
# generates our skeleton.
working_bpftool() {
	local candidate
	for candidate in "$(command -v bpftool || true)" /usr/sbin/bpftool /usr/local/sbin/bpftool /usr/lib/linux-tools/*/bpftool \
		/usr/lib/linux-tools-*/bpftool; do
		if [ -x "$candidate" ] && "$candidate" version >/dev/null 2>&1; then
			echo "$candidate"
			return 0
		fi
	done
	return 1
}

# Entries of the given groups of which no alternative is installed.
missing_entries() {
	local group entry name found
	for group in "$@"; do
		for entry in ${GROUPS_OF[$group]}; do
			found=
			for name in $(tr '|' ' ' <<<"${entry#\?}"); do
				if [ "$name" = bpftool ] && working_bpftool >/dev/null; then
					found=1
				elif [ "$name" = npm ] && command -v npm >/dev/null; then
					found=1 # Node's own packages bring it along
				elif [ -n "${INSTALLED[$name]:-}" ]; then
					found=1
				fi
			done
			[ -n "$found" ] || echo "$entry"
		done
	done | sort -u
}

# The name that this release has for an entry.
choose() {
	local name
	for name in $(tr '|' ' ' <<<"${1#\?}"); do
		if available "$name"; then
			echo "$name"
			return 0
		fi
	done
	[ "${1:0:1}" = '?' ]
}

# Is any of these to be had, as far as the machine knows without asking?
welcome_only() {
	local entry name
	for entry in "$@"; do
		name=$(choose "$entry")
		[ -z "$name" ] || return 0
	done
	return 1
}

main() {
	local check=
	if [ "${1:-}" = --check ]; then
		check=1
		shift
	fi
	[ $# -gt 0 ] || die "which group? ${!GROUPS_OF[*]}"
	if [ "$1" = bpftool ]; then
		working_bpftool
		return
	fi
	local group
	for group in "$@"; do
		[ -n "${GROUPS_OF[$group]:-}" ] || die "no group named '$group'; there are: ${!GROUPS_OF[*]}"
	done
	command -v dpkg-query >/dev/null || die "only Debian and Ubuntu are known here; install by hand what packaging/setup.sh lists"
	read_installed

	local missing
	mapfile -t missing < <(missing_entries "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	local required=()
	mapfile -t required < <(printf '%s\n' "${missing[@]}" | grep -v '^?' || true)
	[ ${#required[@]} -gt 0 ] || welcome_only "${missing[@]}" || return 0

	if [ -n "$check" ] || [ "$(id -u)" -ne 0 ]; then
		[ ${#required[@]} -gt 0 ] || return 0
		echo "setup: missing: ${required[*]}" >&2
		echo "setup: to install: sudo $0 $*" >&2
		exit 1
	fi

	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update
	local entry name names=()
	for entry in "${missing[@]}"; do
		name=$(choose "$entry") || die "this release has no package for '$entry'"
		[ -z "$name" ] || names+=("$name")
	done
	[ ${#names[@]} -gt 0 ] || return 0
	echo "setup: installing ${names[*]}"
	apt-get -q install -y --no-install-recommends "${names[@]}" </dev/null
	case " $* " in
	*" build "* | *" programs "*) working_bpftool >/dev/null || die "no bpftool that works; install the linux-tools package of this kernel" ;;
	esac
}

main "$@"
