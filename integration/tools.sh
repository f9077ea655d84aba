#!/usr/bin/env bash
# Installs what pinfs's tests and demo need on a Debian host; says nothing but
# one line per thing it installs. Run again it costs nothing.
#
#   tools.sh check   [demo|test|bench]   lists what is missing and how to get it; exit 1
#   tools.sh install [demo|test|bench]   installs it; packages need root
#   tools.sh path                        prints a PATH element for each tool built here
#
# demo: what mounting needs (fuse3, /dev/fuse). test (the default): what `make test`
# needs. bench: the S3 server of `make bench` and those it compares pinfs with.
# Programs built from Go modules and npm packages are kept by version, outside of
# pinfs's go.mod, in ${PINFS_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/pinfs-tools}.
set -euo pipefail

TOOLS=${PINFS_TOOLS:-${XDG_CACHE_HOME:-${HOME:?set HOME or PINFS_TOOLS}/.cache}/pinfs-tools}

# name, version, package: built to $TOOLS/NAME-VERSION/NAME
GO_TOOLS=(
	"versitygw v1.8.0 github.com/versity/versitygw/cmd/versitygw"
	"staticcheck v0.8.2 honnef.co/go/tools/cmd/staticcheck"
	"fake-gcs-server v1.56.1 github.com/fsouza/fake-gcs-server"
	"minio v0.0.0-20260212201848-7aac2a2c5b7c github.com/minio/minio"
)
# Versions that bench/contenders.go has too.
BENCH_TOOLS=(
	"versitygw v1.8.0 github.com/versity/versitygw/cmd/versitygw"
	"rclone v1.76.0 github.com/rclone/rclone"
	"toxiproxy v2.5.0 github.com/Shopify/toxiproxy/v2/cmd/server server"
)
# package, version: installed to $TOOLS/NAME-VERSION/node_modules/NAME
NPM_TOOLS=("azurite 3.37.0")
DEMO_PACKAGES=(fuse3)
BENCH_PACKAGES=(fuse3 s3fs)
TEST_PACKAGES=(fuse3 git rsync sqlite3 tar attr strace iproute2 e2fsprogs python3-numpy python3-torch python3-boto3 nginx-light systemd)

BUILD_SECONDS=900    # a cold build on one busy core takes four minutes
NPM_SECONDS=300      # azurite pulls 300 packages
PACKAGE_SECONDS=1200 # python3-torch pulls 650 MB
POLICY=/usr/sbin/policy-rc.d # says whether a package may start its service

say() { printf '%s\n' "$*"; }
complain() { printf 'tools.sh: %s\n' "$*" >&2; }
usage() { complain "usage: tools.sh check|install [demo|test|bench] | path"; exit 2; }

packages() { # packages GROUP
	case $1 in
	demo) printf '%s\n' "${DEMO_PACKAGES[@]}" ;;
	test) printf '%s\n' "${TEST_PACKAGES[@]}" ;;
	bench) printf '%s\n' "${BENCH_PACKAGES[@]}" ;;
	esac
}

# Node.js may come from elsewhere than Debian: a command that is there will do.
node_packages() { # node_packages GROUP: what its npm tools need
	if [ "$1" != test ]; then return 0; fi
	command -v node >/dev/null || say nodejs
	if [ -n "$(missing_npm_tools "$1")" ]; then command -v npm >/dev/null || say npm; fi
}

go_tools() { # go_tools GROUP: "name version package [what the build is called]" lines
	case $1 in
	test) printf '%s\n' "${GO_TOOLS[@]}" ;;
	bench) printf '%s\n' "${BENCH_TOOLS[@]}" ;;
	esac
}

npm_tools() { # npm_tools GROUP: "name version" lines
	if [ "$1" = test ]; then printf '%s\n' "${NPM_TOOLS[@]}"; fi
}

have_package() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

missing_packages() { # missing_packages GROUP
	local p
	for p in $(packages "$1"); do
		if ! have_package "$p"; then say "$p"; fi
	done
	node_packages "$1"
}

missing_go_tools() { # missing_go_tools GROUP
	local name version module built
	go_tools "$1" | while read -r name version module built; do
		if [ ! -x "$TOOLS/$name-$version/$name" ]; then say "$name $version $module $built"; fi
	done
}

missing_npm_tools() { # missing_npm_tools GROUP
	local name version
	npm_tools "$1" | while read -r name version; do
		if [ ! -f "$TOOLS/$name-$version/node_modules/$name/package.json" ]; then say "$name $version"; fi
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
	local group=$1 bad=0 name version module built list
	list=$(missing_packages "$group" | tr '\n' ' ')
	if [ -n "$list" ]; then
		complain "Debian packages are missing: apt-get install ${list% }"
		bad=1
	fi
	while read -r name version module built; do
		[ -n "$name" ] || continue
		complain "$name $version is missing: tools.sh install $group, or GOBIN=$TOOLS/$name-$version go install $module@$version"
		bad=1
	done < <(missing_go_tools "$group")
	while read -r name version; do
		[ -n "$name" ] || continue
		complain "$name $version is missing: tools.sh install $group, or npm install --ignore-scripts --prefix $TOOLS/$name-$version $name@$version"
		bad=1
	done < <(missing_npm_tools "$group")
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
	case " ${want[*]} " in
	*" nginx-light "* | *" systemd "*) without_services apt install -y --no-install-recommends "${want[@]}" ;;
	*) apt install -y --no-install-recommends "${want[@]}" ;;
	esac
}

# The tests start their own nginx, and ask systemd only what it thinks of unit files: the
# system's own must not run, now or at the next start. A policy that is there already
# is the host's own: it stays.
without_services() { # without_services COMMAND...
	local rc=0
	if [ ! -e "$POLICY" ]; then
		trap 'rm -f "$POLICY" "$log"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$POLICY" && chmod 755 "$POLICY"
		"$@" || rc=$?
		rm -f "$POLICY"
		trap 'rm -f "$log"' EXIT
	else
		"$@" || rc=$?
	fi
	if [ -d /run/systemd/system ]; then timeout 30 systemctl --quiet disable nginx >/dev/null 2>&1 || true; fi
	return "$rc"
}

build() { # build NAME VERSION PACKAGE [BUILT]: BUILT is what go calls the program
	# Built aside and renamed: a build that is cut off leaves nothing that looks done,
	# and two at once don't see each other's halves.
	local dir="$TOOLS/$1-$2" part try
	say "building $1 $2"
	mkdir -p "$TOOLS" && part=$(mktemp -d "$TOOLS/.$1-XXXXXX") || return 1
	for try in 1 2; do
		if (cd / && GOBIN=$part GOFLAGS='-trimpath -buildvcs=false' GOWORK=off \
			timeout "$BUILD_SECONDS" go install -ldflags '-s -w' "$3@$2") >"$log" 2>&1; then
			mkdir -p "$dir" && mv -f "$part/${4:-$1}" "$dir/$1" && rm -rf "$part"
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
	local name version module built bad=0
	while read -r name version module built; do
		[ -n "$name" ] || continue
		if ! command -v go >/dev/null; then
			complain "go is missing: install Go as go.mod names it (https://go.dev/dl)"
			return 1
		fi
		build "$name" "$version" "$module" "$built" || bad=1
	done < <(missing_go_tools "$1")
	return $bad
}

build_npm() { # build_npm NAME VERSION: aside and renamed, like build
	local dir="$TOOLS/$1-$2" part try
	say "installing $1 $2"
	mkdir -p "$TOOLS" || return 1
	for try in 1 2; do
		part=$(mktemp -d "$TOOLS/.$1-XXXXXX") || return 1
		if (cd "$part" && timeout -k 10 "$NPM_SECONDS" npm install --prefix "$part" --no-audit --no-fund --ignore-scripts \
			--no-update-notifier "$1@$2" </dev/null) >"$log" 2>&1; then
			chmod 755 "$part" && rm -rf "$dir" && mv "$part" "$dir"
			return
		fi
		rm -rf "$part"
		if [ "$try" = 1 ]; then sleep 2; fi
	done
	tail -n 20 "$log" >&2
	complain "$1 $2 could not be installed"
	return 1
}

install_npm_tools() { # install_npm_tools GROUP
	local name version bad=0
	while read -r name version; do
		[ -n "$name" ] || continue
		build_npm "$name" "$version" || bad=1
	done < <(missing_npm_tools "$1")
	return $bad
}

install_group() { # install_group GROUP
	local bad=0
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	install_go_tools "$1" || bad=1
	install_packages "$1" || bad=1
	install_npm_tools "$1" || bad=1
	check_fuse || bad=1
	return $bad
}

path() {
	local name version module
	{ go_tools test; go_tools bench; } | sort -u | while read -r name version module; do say "$TOOLS/$name-$version"; done
}

main() {
	local command=${1:-} group=${2:-test}
	case $group in demo | test | bench) ;; *) usage ;; esac
	case $command in
	check) check "$group" ;;
	install) install_group "$group" ;;
	path) path ;;
	*) usage ;;
	esac
}

main "$@"
