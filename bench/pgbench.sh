#!/bin/sh
# Claims, releases and expiries, many at once, by the service's own statements without the service; then the rows are counted.
# Exits 1 when they don't add up. The database must be migrated, and everything in it is deleted.
set -eu

if [ $# -lt 1 ] || [ $# -gt 3 ]; then
	echo "usage: bench/pgbench.sh URL [clients] [seconds]" >&2
	exit 2
fi
url=$1 clients=${2:-32} seconds=${3:-10}
cd "$(dirname "$0")"

# Debian keeps the programs off the PATH, or puts a wrapper there that finds none.
program() {
	for found in "$(command -v "$1" || true)" /usr/lib/postgresql/*/bin/"$1" /usr/pgsql-*/bin/"$1" /usr/libexec/postgresql*/"$1" \
		/usr/local/pgsql/bin/"$1" /opt/homebrew/opt/postgresql@*/bin/"$1" /usr/local/opt/postgresql@*/bin/"$1" \
		/Applications/Postgres.app/Contents/Versions/*/bin/"$1"; do
		if [ -x "$found" ] && "$found" --version >/dev/null 2>&1; then
			echo "$found"
			return
		fi
	done
	echo "$1 is missing: apt-get install postgresql (Debian, Ubuntu), dnf install postgresql-contrib (Fedora), brew install postgresql@17 (macOS)" >&2
	return 127
}
pgbench=$(program pgbench)
psql=$(program psql)

PGOPTIONS="${PGOPTIONS:-} -c client_min_messages=warning"
export PGOPTIONS
"$psql" -XqAt -v ON_ERROR_STOP=1 --single-transaction -f setup.sql "$url"
code=0
"$pgbench" --no-vacuum --protocol=prepared --client="$clients" --jobs=2 --time="$seconds" \
	--file=claim.sql@6 --file=release.sql@2 --file=expire.sql@1 "$url" || code=$?
told=$("$psql" -XqAt -v ON_ERROR_STOP=1 -f check.sql "$url")
echo "$told"
[ "$told" = "0 violations" ] || code=1
exit $code
