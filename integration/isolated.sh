#!/usr/bin/env bash
# Runs a command where every packet that leaves this host vanishes silently, as
# behind a firewall that drops: a network namespace with the loopback interface, and
# a default route to nowhere, name servers included. Needs root and iproute2.
#
#   isolated.sh COMMAND...
#
# Whoever asks the outside for something, a name, a cloud's metadata, hangs there
# until he gives up. At the end it says how many packets tried; 1 when any did.
set -euo pipefail

enter() { # in the namespaces: makes the hole and runs the command
	local code=0 sent
	ip link set lo up
	ip link add hole type veth peer name bottom address 02:00:00:00:00:02
	echo 1 | tee /proc/sys/net/ipv6/conf/{hole,bottom}/disable_ipv6 >/dev/null # it says hello unasked
	ip addr add 192.0.2.1/24 dev hole # TEST-NET-1 of RFC 5737
	ip link set bottom up
	ip link set hole up
	ip neigh add 192.0.2.2 dev hole lladdr 02:00:00:00:00:02
	ip route add default via 192.0.2.2 dev hole
	resolv=$(mktemp)
	trap 'rm -f "$resolv"' EXIT
	echo 'nameserver 192.0.2.53' >"$resolv"
	mount --make-rprivate /
	mount --bind "$resolv" /etc/resolv.conf
	"$@" || code=$?
	sent=$(awk '$1 == "hole:" { print $11 }' /proc/net/dev)
	if [ "$sent" -gt 0 ]; then
		echo "isolated.sh: $sent packets were sent to the outside" >&2
		[ "$code" != 0 ] || code=1
	fi
	return "$code"
}

if [ "${1:-}" = --inside ]; then
	shift
	enter "$@"
	exit
fi
[ $# -gt 0 ] || { echo "usage: isolated.sh COMMAND..." >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "isolated.sh: making a network namespace needs root" >&2; exit 1; }
command -v ip unshare >/dev/null || { echo "isolated.sh: apt-get install iproute2 util-linux" >&2; exit 1; }
exec unshare --net --mount "$0" --inside "$@"
