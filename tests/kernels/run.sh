#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The kernel part on Debian's kernels: each is booted in qemu, without KVM if need be, with an initramfs that holds the programs
# of tests/bpf, the product's own, and the libraries they link. The former load the object and send packets through it; product.sh starts the
# latter, which attach it.
#
#	[ARCH=arm64] tests/kernels/run.sh [BUILD] [SUITE…]	default: build, and bullseye bookworm trixie
#
# ARCH=arm64 on a machine that is not takes what packaging/arm64.sh has built (build/arm64), without KVM. PS_CPU is the processor that qemu is to be: arm64's
# kernels translate our atomic operations in one way for those since ARMv8.1 (neoverse-n1, the default) and in another for those before (cortex-a72).
#
# Kernels come from the machine's own package sources with the suite's name in place. Prints a line a kernel and program; fails
# if one of a kernel that must pass fails.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
native=$(dpkg --print-architecture)
arch=${ARCH:-$native}
case $arch in
amd64)
	suites=(bullseye bookworm trixie)
	qemu=qemu-system-x86_64 machine=(-cpu "${PS_CPU:-max}") console="ttyS0 mitigations=off"
	;;
arm64)
	suites=(bookworm trixie)
	qemu=qemu-system-aarch64 machine=(-M virt -cpu "${PS_CPU:-neoverse-n1}") console=ttyAMA0
	;;
*)
	echo "ARCH=$arch is not known here: amd64, arm64" >&2
	exit 1
	;;
esac
if [ "$arch" = "$native" ]; then
	build=${1:-build}
	sysroot='' busybox=$(command -v busybox || true) strip=strip ldd=(ldd)
else
	build=${1:-build/$arch}
	sysroot=$(realpath "$build/root") busybox=$build/root/bin/busybox strip=aarch64-linux-gnu-strip
	ldd=(qemu-aarch64-static -L "$sysroot" "$sysroot/lib/ld-linux-aarch64.so.1" --list)
fi
shift || true
[ $# -eq 0 ] || suites=("$@")
read -ra programs <<<"${PS_PROGRAMS:-bpf_verifier bpf_parse bpf_conn bpf_tcp bpf_icmp bpf_rules}"
product=(packetscope packetscope-collector packetscope-aggregator packetscope-gateway packetscope-ai-worker)
for tool in "$qemu" "${ldd[0]}" "${busybox:-busybox}" $strip cpio dpkg-deb; do
	command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed (packaging/setup.sh kernels, and arm64 for ARCH=arm64)"; exit 77; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A suite's newest kernel, through the sources of this machine under another suite's name.
fetch() {
	local suite=$1 dir=$work/$1
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/unpacked"
	local from
	for from in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
		[ ! -f "$from" ] || break
	done
	if [[ $from == *.sources ]]; then
		awk -v RS= 'NR == 1' "$from" | sed "s/^Suites:.*/Suites: $suite/" >"$dir/from.sources"
	else
		grep -m1 '^deb ' "$from" | awk -v s="$suite" '{ $3 = s; print }' >"$dir/from.list"
	fi
	local options=(-qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$dir" -o Dir::State::Lists="$dir/lists"
		-o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false)
	apt-get "${options[@]}" update 2>/dev/null || return 1
	local package
	package=$(apt-cache "${options[@]}" depends "linux-image-$arch" | awk '/Depends: linux-image-/ { print $2; exit }')
	[ -n "$package" ] || return 1
	(cd "$dir" && apt-get "${options[@]}" download "$package") || return 1
	dpkg-deb -x "$dir"/*.deb "$dir/unpacked"
	ls "$dir"/unpacked/boot/vmlinuz-*
}

# The modules of this suite's kernel that a veth interface and its hooks need, as one more initramfs.
modules() {
	local root=$work/$1/initramfs module
	mkdir -p "$root/modules"
	for module in veth sch_ingress cls_bpf; do
		find "$work/$1/unpacked" -name "$module.ko*" -exec cp {} "$root/modules" \;
	done
	find "$root/modules" -name '*.xz' -exec xz -d {} +
	(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1
}

# The initramfs: busybox, the programs, their libraries, an init that runs the tests one by one.
pack() {
	local root=$work/root program library
	mkdir -p "$root"/{bin,proc,sys,dev,tmp,run,tests,lib64}
	cp "$busybox" "$root/bin/busybox"
	cp "$here/product.sh" "$root/tests/product"
	for program in "${programs[@]}" "${product[@]}"; do
		local to=$root/tests
		[ -x "$build/bin/$program" ] || { echo "$build/bin/$program is not there: build first" >&2; exit 1; }
		[[ $program == bpf_* ]] || to=$root/bin
		$strip -o "$to/$program" "$build/bin/$program"
		"${ldd[@]}" "$build/bin/$program" | grep -o '/[^ ]*' | while read -r library; do
			library=${library#"$sysroot"}
			mkdir -p "$root$(dirname "$library")"
			cp -nL "$sysroot$library" "$root$library"
		done
	done
	cat >"$root/init" <<-'INIT'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev
		mount -t bpf bpf /sys/fs/bpf
		mkdir -p /var/lib && ip link set lo up
		for module in /modules/*.ko; do insmod $module; done
		echo "kernel $(uname -r)"
		for program in /tests/*; do
			PS_FLOOD=20000 PS_FUZZ_FRAMES=2000 $program >/tmp/out 2>&1
			echo "result $(basename $program) $?"
			tail -n 25 /tmp/out | sed 's/^/  | /'
		done
		echo finished
		poweroff -f
	INIT
	chmod +x "$root/init"
	(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 >"$work/initramfs"
}

boot() {
	local accel=tcg
	if [ -w /dev/kvm ] && [ "$arch" = "$native" ]; then
		accel=kvm
		machine+=(-cpu host)
	fi
	timeout "${PS_BOOT_SECONDS:-600}" "$qemu" "${machine[@]}" -accel $accel -m 1024 -smp 2 -nographic -no-reboot -nic none \
		-kernel "$1" -initrd "$2" -append "console=$console quiet panic=-1" 2>/dev/null | tr -d '\r'
}

pack
failed=0
for suite in "${suites[@]}"; do
	kernel=$(fetch "$suite") || { echo "skipped: $suite: its kernel can't be had from here"; continue; }
	log=$work/$suite.log
	cat "$work/initramfs" <(modules "$suite") >"$work/$suite/both"
	boot "$kernel" "$work/$suite/both" >"$log" || true
	version=$(grep -ao 'kernel [0-9][^ ]*' "$log" | awk '{ print $2; exit }')
	echo "== $suite: ${version:-did not boot}"
	grep -q '^finished' "$log" || { tail -5 "$log"; failed=1; }
	while read -r _ program status; do
		known=$(awk -v s="$suite" -v p="$program" '$1 == s && ($2 == p || $2 == "*") { $1 = $2 = ""; print; exit }' "$here/limits.txt")
		if [ "$status" -eq 0 ]; then
			echo "ok   $program"
		elif [ -n "$known" ]; then
			echo "known $program:$known"
		else
			echo "FAIL $program: status $status"
			awk -v p="$program" '$1 == "result" { on = $2 == p } on && $1 == "|"' "$log" | tail -n 12
			failed=1
		fi
	done < <(grep '^result ' "$log")
done
exit $failed
