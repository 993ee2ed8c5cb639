#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The programs together, on interfaces of the kernel that was booted: they attach, see traffic, a rule bites, and they go. run.sh
# puts it into the machine as one more program; the shell is busybox's.
set -eu

fail() {
	echo "product: $*"
	exit 1
}

# Tries for a while: the machine may be an emulated one.
within() {
	tries=$1
	shift
	while ! "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 1
	done
}

watched() {
	packetscope status | grep -q 'ps0 (native XDP, egress'
}

blocked() {
	packetscope filters add --rule-type icmp --action drop --enabled true
}

opened() {
	packetscope filters rm 0
}

echoes() {
	packetscope icmp --json | grep -q '"icmp_type": *8'
}

# its peer comes with it, as veth0
ip link add ps0 type veth && ip link set ps0 up && ip link set veth0 up
packetscope up --iface lo,ps0 --interval 0 &
up=$!
trap 'kill -INT $up 2>/dev/null || true' EXIT
within 60 packetscope status || fail "the programs are not up within a minute"
within 20 watched || fail "ps0 is not watched both ways: $(packetscope status)"
within 5 ping -c 1 -W 1 127.0.0.1 || fail "no echo on an open interface"
within 20 echoes || fail "the echo was not seen"
within 10 blocked || fail "no rule can be added"
! ping -c 3 -W 1 127.0.0.1 >/dev/null 2>&1 || fail "an echo passed a rule that drops it"
packetscope filters || true
within 10 opened || fail "the rule can't be removed"
within 5 ping -c 1 -W 1 127.0.0.1 || fail "no echo after the rule is gone"
kill -INT $up
wait $up || fail "the programs ended with status $?"
echo "product: attached, saw, dropped, detached"
