#!/usr/bin/env bash
# Installs what pinfs's tests and demo need on a Debian host; says nothing but
# one line per thing it installs. Run again it costs nothing.
#
#   tools.sh check   [demo|test]   lists what is missing and how to get it; exit 1
#   tools.sh install [demo|test]   installs it; packages need root
#   tools.sh path                  prints a PATH element for each tool built here
#
# demo: what mounting needs (fuse3, /dev/fuse). test (the default): everything.
# Programs built from Go modules are kept by version, outside of pinfs's go.mod,
# in ${PINFS_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/pinfs-tools}.
set -euo pipefail

TOOLS=${PINFS_TOOLS:-${XDG_CACHE_HOME:-${HOME:?set HOME or PINFS_TOOLS}/.cache}/pinfs-tools}

# name, version, package: built to $TOOLS/NAME-VERSION/NAME
GO_TOOLS=(
	"versitygw v1.8.0 github.com/versity/versitygw/cmd/versitygw"
	"staticcheck v0.8.2 honnef.co/go/tools/cmd/staticcheck"
)
DEMO_PACKAGES=(fuse3)
TEST_PACKAGES=(fuse3 git rsync sqlite3 tar attr python3-numpy python3-torch python3-boto3)

BUILD_SECONDS=900    # a cold build on one busy core takes four minutes
PACKAGE_SECONDS=1200 # python3-torch pulls 650 MB

say() { printf '%s\n' "$*"; }
complain() { printf 'tools.sh: %s\n' "$*" >&2; }
usage() { complain "usage: tools.sh check|install [demo|test] | path"; exit 2; }

packages() { # packages GROUP
	case $1 in
	demo) printf '%s\n' "${DEMO_PACKAGES[@]}" ;;
	test) printf '%s\n' "${TEST_PACKAGES[@]}" ;;
	esac
}

go_tools() { # go_tools GROUP: "name version package" lines
	if [ "$1" = test ]; then printf '%s\n' "${GO_TOOLS[@]}"; fi
}

have_package() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

missing_packages() { # missing_packages GROUP
	local p
	for p in $(packages "$1"); do
		if ! have_package "$p"; then say "$p"; fi
	done
}

missing_go_tools() { # missing_go_tools GROUP
	local name version module
	go_tools "$1" | while read -r name version module; do
		if [ ! -x "$TOOLS/$name-$version/$name" ]; then say "$name $version $module"; fi
	done
}

check_fuse() { # says what is wrong with /dev/fuse; 1 when something is
	if [ ! -c /dev/fuse ]; then
		complain "/dev/fuse is missing: load the kernel module 'fuse' (modprobe fuse), or give the container --device /dev/fuse"
		return 1
	fi
	if ! (: <>/dev/fuse) 2>/dev/null; then
		complain "/dev/fuse can't be opened: allow user '$(id -un)' to (chmod 0666 /dev/fuse), or run the container with --cap-add SYS_ADMIN --device /dev/fuse"
		return 1
	fi
}

check() { # check GROUP
	local group=$1 bad=0 name version module list
	list=$(missing_packages "$group" | tr '\n' ' ')
	if [ -n "$list" ]; then
		complain "Debian packages are missing: apt-get install ${list% }"
		bad=1
	fi
	while read -r name version module; do
		[ -n "$name" ] || continue
		complain "$name $version is missing: tools.sh install $group, or GOBIN=$TOOLS/$name-$version go install $module@$version"
		bad=1
	done < <(missing_go_tools "$group")
	check_fuse || bad=1
	return $bad
}

apt() { # one more try: a mirror may be busy
	local try
	for try in 1 2; do
		if DEBIAN_FRONTEND=noninteractive timeout "$PACKAGE_SECONDS" \
			apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 -o Dpkg::Use-Pty=0 "$@" \
			</dev/null >"$log" 2>&1; then
			return 0
		fi
		if [ "$try" = 1 ]; then sleep 5; fi
	done
	tail -n 20 "$log" >&2
	complain "apt-get $* did not succeed"
	return 1
}

install_packages() { # install_packages GROUP
	local -a want
	mapfile -t want < <(missing_packages "$1")
	if [ ${#want[@]} -eq 0 ]; then return 0; fi
	if [ "$(id -u)" != 0 ]; then
		complain "Debian packages are missing and only root can install them: sudo apt-get install ${want[*]}"
		return 1
	fi
	say "installing ${want[*]}"
	apt update || true # an old list may do
	apt install -y --no-install-recommends "${want[@]}"
}

build() { # build NAME VERSION PACKAGE
	# Built aside and renamed: a build that is cut off leaves nothing that looks done,
	# and two at once don't see each other's halves.
	local dir="$TOOLS/$1-$2" part try
	say "building $1 $2"
	mkdir -p "$TOOLS" && part=$(mktemp -d "$TOOLS/.$1-XXXXXX") || return 1
	for try in 1 2; do
		if (cd / && GOBIN=$part GOFLAGS='-trimpath -buildvcs=false' GOWORK=off \
			timeout "$BUILD_SECONDS" go install -ldflags '-s -w' "$3@$2") >"$log" 2>&1; then
			mkdir -p "$dir" && mv -f "$part/$1" "$dir/$1" && rm -rf "$part"
			return
		fi
		if [ "$try" = 1 ]; then sleep 2; fi
	done
	rm -rf "$part"
	tail -n 20 "$log" >&2
	complain "$1 $2 could not be built"
	return 1
}

install_go_tools() { # install_go_tools GROUP
	local name version module bad=0
	while read -r name version module; do
		[ -n "$name" ] || continue
		if ! command -v go >/dev/null; then
			complain "go is missing: install Go as go.mod names it (https://go.dev/dl)"
			return 1
		fi
		build "$name" "$version" "$module" || bad=1
	done < <(missing_go_tools "$1")
	return $bad
}

install_group() { # install_group GROUP
	local bad=0
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	install_go_tools "$1" || bad=1
	install_packages "$1" || bad=1
	check_fuse || bad=1
	return $bad
}

path() {
	local name version module
	go_tools test | while read -r name version module; do say "$TOOLS/$name-$version"; done
}

main() {
	local command=${1:-} group=${2:-test}
	case $group in demo | test) ;; *) usage ;; esac
	case $command in
	check) check "$group" ;;
	install) install_group "$group" ;;
	path) path ;;
	*) usage ;;
	esac
}

main "$@"
