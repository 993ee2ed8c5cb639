#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Installs what Packet Scope needs on Debian 12 or newer and Ubuntu 22.04 or newer: only what is missing, so that it costs
# a moment when all is there.
#
#	packaging/setup.sh [--check | --unpack] GROUP…
#			GROUP: build (programs and page), programs, page, certificates, run, demo, test, bench, docker, kernels, arm64
#	packaging/setup.sh bpftool               prints the path of a bpftool that works on this machine
#
# --check, and a caller who is not root, install nothing: the command to run is printed, and the exit status is 1 if anything
# is missing. --unpack is for the build stages of an image, which are thrown away: new packages are unpacked side by side, and
# dpkg does not know of them.
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
	[certificates]="ca-certificates"
	[docker]="docker.io docker-compose mmdebstrap"
	[kernels]="qemu-system-x86 busybox|busybox-static cpio"
	[arm64]="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm qemu-user-static cpio mmdebstrap"
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

# A package that is there already is brought up to date by dpkg: nothing may run while its libraries change places. Of the new ones
# dpkg's database, scripts and triggers would be three quarters of the time. msgpack's C++ part brings Boost's 14,000 headers.
unpack() {
	local older=()
	mapfile -t older < <(apt-get -qs install --no-install-recommends "$@" | awk '$1 == "Inst" && $3 ~ /^\[/ { print $2 }')
	[ ${#older[@]} -eq 0 ] || apt-get -q install -y --no-install-recommends "${older[@]}" </dev/null
	local archives
	archives=$(mktemp -d)
	mkdir "$archives/partial"
	apt-get -q install -y --no-install-recommends --download-only -o Dir::Cache::Archives="$archives" "$@" </dev/null
	# shellcheck disable=SC2016 # each of the shells below has packages of its own
	find "$archives" -name '*.deb' -print0 | xargs -0 -n 4 -P "$(nproc)" bash -c '
		set -e -o pipefail
		for archive; do
			dpkg-deb --fsys-tarfile "$archive" | tar -x -C / --keep-directory-symlink --exclude=./usr/include/boost \
				--exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale
		done' unpack
	rm -rf "$archives"
	ldconfig
	# What the scripts of ca-certificates would have made.
	local authorities=(/usr/share/ca-certificates/mozilla/*.crt)
	[ ! -e "${authorities[0]}" ] || cat "${authorities[@]}" >/etc/ssl/certs/ca-certificates.crt
}

main() {
	local check="" install=(apt-get -q install -y --no-install-recommends)
	case "${1:-}" in
	--check) check=1 && shift ;;
	--unpack) install=(unpack) && shift ;;
	esac
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
	"${install[@]}" "${names[@]}" </dev/null
	case " $* " in
	*" build "* | *" programs "*) working_bpftool >/dev/null || die "no bpftool that works; install the linux-tools package of this kernel" ;;
	esac
}

main "$@"
