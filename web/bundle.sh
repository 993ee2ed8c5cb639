#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes the web page: what package-lock.json names is fetched by npm, and esbuild puts it and src/ into two files.
#
#	web/bundle.sh modules DIR      DIR/node_modules, as the lock file has it; needs the npm registry, or npm's cache
#	web/bundle.sh page DIR         DIR/page: app.js app.css index.html icon.svg licenses.txt; needs no network
#
# DIR belongs to one build: nothing is written beside the sources, and builds don't meet. esbuild's program is called itself, so that
# the age of the machine's node does not matter.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

usage() {
	sed -n 's/^#	//p' "$0" >&2
	exit 2
}

modules() {
	mkdir -p "$1"
	cp "$here/package.json" "$here/package-lock.json" "$1/"
	# A cache of our own: with sudo, npm would leave files of root's in the caller's.
	if ! (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --cache "$1/npm-cache" >npm.log 2>&1); then
		tail -n 20 "$1/npm.log" >&2
		cat >&2 <<EOF

The web page is bundled from npm packages, and npm could not fetch them (the whole log: $1/npm.log).
  - is the npm registry reachable from here, or is a mirror set? npm config get registry; npm ping
  - a page that was built elsewhere does as well: cmake -DPS_PAGE=DIR, with the directory web/page of a build
  - cmake -DPS_PAGE=OFF builds the gateway without a page
EOF
		exit 1
	fi
}

# The licences of what is in the bundle, for those who pass it on.
licenses() {
	for package in preact @preact/signals @preact/signals-core uplot d3-sankey d3-array d3-shape d3-path; do
		for file in "$1/node_modules/$package"/LICEN[SC]E*; do
			printf '%s\n\n' "== $package"
			cat "$file"
			echo
		done
	done
}

page() {
	out=$1/page
	set -- "$1" "$1"/node_modules/@esbuild/*/bin/esbuild
	[ -x "$2" ] || { echo "bundle: there is no esbuild in $1/node_modules for this machine" >&2; exit 1; }
	mkdir -p "$out"
	NODE_PATH=$1/node_modules "$2" "$here/src/main.jsx" --bundle --format=esm --target=es2022 --jsx=automatic --jsx-import-source=preact \
		--minify --legal-comments=none --log-level=warning --outfile="$out/app.js"
	cp "$here/index.html" "$here/icon.svg" "$out/"
	licenses "$1" >"$out/licenses.txt"
}

[ $# -eq 2 ] || usage
case $1 in
modules | page) "$1" "$2" ;;
*) usage ;;
esac
