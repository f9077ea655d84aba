#!/bin/bash
# Shows pinfs at work on a real directory; needs no server. DEMO_SRC is the
# directory to track: the Go toolchain's own source tree unless set. It is copied
# first, since one of its files gets changed.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin/pinfs
src=${DEMO_SRC:-$(go env GOROOT)/src}
work=$(mktemp -d "${TMPDIR:-/tmp}/pinfs-demo.XXXXXX")
data=$work/data v0=$work/v0 fresh=$work/fresh both=$work/both

cleanup() {
  for dir in "$v0" "$fresh" "$both"; do
    if mountpoint -q "$dir" 2>/dev/null; then "$bin" umount --lazy "$dir" || true; fi
  done
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() { echo "\$ pinfs $*"; "$bin" "$@"; }
fail() { echo "demo: $*" >&2; exit 1; }

export PINFS_REGISTRY=file://$work/registry PINFS_CACHE_DIR=$work/cache PINFS_PROJECT=demo
mkdir -p "$data" "$v0" "$fresh" "$both"

say "A real directory: $src"
[ -d "$src" ] || fail "DEMO_SRC is no directory: $src"
cp -r "$src/." "$data"
odd=$(find "$data" ! -type f ! -type d -print -delete | tr -dc '\n' | wc -c)
[ "$odd" = 0 ] || echo "left out: $odd symbolic links and special files; put refuses what it can't track, and names it"
find "$data" -mindepth 1 -type d -empty -delete # a version is a list of files
files=$(find "$data" -type f | wc -l)
[ "$files" != 0 ] || fail "no file is in $src"
echo "$files files, $(du -sh "$data" | cut -f1)"

say "Track it: the data stays where it is, the version is a list of pins"
run put --name demo/source --type dataset --max-objects 0 "$data"

say "Mount v0 and compare every file with the source"
run mount demo/source:v0 "$v0"
diff -r "$data" "$v0" || fail "the mount differs from the source"
[ "$(find "$v0" -type f | wc -l)" = "$files" ] || fail "the mount has another number of files"
echo "$files files are the same"

say "Change one file at the source, track again: v1"
victim=$(cd "$data" && find . -type f ! -name $'*\n*' -printf '%P\n' | LC_ALL=C sort | sed -n 1p)
cp "$data/$victim" "$work/before"
printf 'changed after v0 was recorded\n' >>"$data/$victim"
run put --name demo/source --type dataset --max-objects 0 "$data"
run diff demo/source:v0 demo/source:v1

say "The mount of v0 has read the old content before: it stays readable"
cmp "$v0/$victim" "$work/before" || fail "the cached file of v0 is not the recorded one"
echo "$victim: as recorded in v0"

say "On a host that never read it, v0's file is refused: never a wrong byte"
run --cache-dir "$work/cache2" mount demo/source:v0 "$fresh"
if cat "$fresh/$victim" >/dev/null; then fail "a changed file was served as v0"; fi
run --cache-dir "$work/cache2" status "$fresh" | sed -n '/rror/,$p'
echo "\$ pinfs get demo/source:v0 --path-prefix $victim"
if "$bin" get demo/source:v0 --root "$work/got" --path-prefix "$victim"; then fail "get took a changed file"; fi

say "All versions at once: name:vN directories, aliases as symlinks"
run mount demo "$both"
ls -l "$both"
cmp "$both/source:latest/$victim" "$data/$victim" || fail "latest is not the new content"

say "Clean up"
for dir in "$both" "$fresh" "$v0"; do run umount "$dir"; done
echo "demo: done"
