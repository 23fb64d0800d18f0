#!/bin/sh
# Checks that what is named on the command line is here: go, cc, postgresql, node, chromium, redis, haproxy, prometheus. What is missing is installed, when we are
# root on Debian or one of its kin and a package brings it; else one line each says what to install.
set -u
here=$(cd "$(dirname "$0")" && pwd)
missing=0
updated=

say() {
	echo "$*" >&2
	missing=1
}

# The command that installs a package here: $1 is its name on Debian, $2 on Fedora, $3 with Homebrew.
how() {
	sudo=sudo
	[ "$(id -u)" = 0 ] && sudo=
	if command -v apt-get >/dev/null; then
		echo "run: ${sudo:+$sudo }apt-get install -y $1"
	elif command -v dnf >/dev/null; then
		echo "run: ${sudo:+$sudo }dnf install -y $2"
	elif command -v brew >/dev/null || [ "$(uname)" = Darwin ]; then
		echo "run: brew install $3"
	else
		echo "install the package that is called $1 on Debian, $2 on Fedora"
	fi
}

# Installs Debian packages, when we may.
debian() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
	echo "installing $*" >&2
	if [ -z "$updated" ]; then
		apt-get update -qq >/dev/null || return 1
		updated=yes
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}

# Is the dotted version $1 at least $2?
newer() {
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -t. -k1,1n -k2,2n | head -n 1)" = "$2" ]
}

have_go() {
	# In our module, so that a Go that can fetch a newer one of itself does.
	version=$(cd "$here/.." && go env GOVERSION 2>/dev/null) && newer "${version#go}" 1.26
}

have_cc() {
	# A compiler without the C library's headers is no use either.
	printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | ${CC:-$(go env CC 2>/dev/null || echo cc)} -x c -o /dev/null - 2>/dev/null
}

have_node() {
	version=$(node --version 2>/dev/null) && newer "${version#v}" 20.0 && command -v npm >/dev/null
}

# Where the tests look for it too (web/pages/test/browser.js).
have_chromium() {
	for program in "${LASTUNIT_CHROMIUM:-}" /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome \
		"/Applications/Chromium.app/Contents/MacOS/Chromium" "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
		[ -x "$program" ] && return
	done
	return 1
}

# The programs of a server, which Debian keeps off the PATH; the service looks in more places than these.
have_postgresql() {
	for dir in $(echo "$PATH" | tr : ' ') /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /usr/local/pgsql/bin \
		/opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin /Applications/Postgres.app/Contents/Versions/*/bin; do
		if [ -x "$dir/initdb" ] && version=$("$dir/postgres" --version 2>/dev/null); then
			newer "$(echo "$version" | sed 's/[^0-9]*\([0-9.]*\).*/\1/')" 15 && return
		fi
	done
	return 1
}

for what; do
	case $what in
	go) have_go || say "Go 1.26 or newer is missing: get it from https://go.dev/dl/" ;;
	cc) have_cc || { debian gcc libc6-dev && have_cc; } ||
		say "A C compiler is missing (the race detector needs it): $(if [ "$(uname)" = Darwin ]; then echo run: xcode-select --install; else how 'gcc libc6-dev' gcc gcc; fi)" ;;
	postgresql) have_postgresql || { debian postgresql && have_postgresql; } ||
		say "PostgreSQL 15 or newer is missing: $(how postgresql postgresql-server postgresql@17)" ;;
	node) have_node || # Debian 12 brings an older one
		say "Node.js 20 or newer, with npm, is missing: get it from https://nodejs.org/" ;;
	chromium) have_chromium || { debian chromium && have_chromium; } ||
		say "Chromium is missing (the pages are tested in it): $(how chromium chromium '--cask chromium')" ;;
	redis) command -v redis-server >/dev/null || { debian redis-server && command -v redis-server >/dev/null; } ||
		say "Redis is missing (it is only compared with): $(how redis-server redis redis)" ;;
	haproxy) command -v haproxy >/dev/null || { debian haproxy && command -v haproxy >/dev/null; } ||
		say "HAProxy is missing (one test has servers behind it, and is skipped without): $(how haproxy haproxy haproxy)" ;;
	prometheus) command -v prometheus >/dev/null || { debian prometheus && command -v prometheus >/dev/null; } ||
		say "Prometheus is missing (alerts are tried with it): $(how prometheus golang-github-prometheus prometheus)" ;;
	*) say "prerequisites.sh knows go, cc, postgresql, node, chromium, redis, haproxy and prometheus, not $what" ;;
	esac
done
exit $missing
