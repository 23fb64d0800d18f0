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
. ./programs.sh

sql --single-transaction -f setup.sql -f receive.sql
code=0
# Few buyers, and one key in ten one of few, so that the same keys meet.
"$pgbench" --no-vacuum --protocol=prepared --client="$clients" --jobs=2 --time="$seconds" \
	-D products=4 -D most_units=4 -D buyers=10 -D few_keys=10 -D least_hold_ms=50 -D most_hold_ms=2000 -D from_position=0 \
	--file=claim.sql@6 --file=release.sql@2 --file=expire.sql@1 "$url" || code=$?
told=$(sql -f check.sql)
echo "$told"
[ "$told" = "0 violations" ] || code=1
exit $code
