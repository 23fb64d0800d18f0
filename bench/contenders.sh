#!/bin/sh
# What others would do to claim a unit, and ours, in turn: claims of one hot product, by the statements alone. After each turn the rows are
# counted; exits 1 when they don't add up. The database must be migrated, and everything in it is deleted.
#
# pgbench has no lane: nobody gathers claims that arrive meanwhile, so a client has one transaction after the other, each with its own commit.
# claim.sql is therefore not what lastunit does, but what its statements cost when each claim is alone. tokens_batch.sql comes near to the
# lane: it is what a lane sends for claims that are there already. Its first turn has 64 in each transaction of each client, which are more
# buyers than the others have, and as many lanes as clients; its second has as many buyers as the others, behind a single connection. Neither
# has Go, HTTP or the waiting for a batch in it, which `make bench` has.
set -eu

if [ $# -lt 1 ]; then
	echo "usage: bench/contenders.sh URL [clients] [seconds] [script.sql ...]" >&2
	echo "UNITS in the environment: how many units are put on sale for each second (10000), and five times as many for batches;" >&2
	echo "TRANSACTIONS: how many each client has, however long that takes" >&2
	exit 2
fi
url=$1 clients=${2:-32} seconds=${3:-10} per_second=${UNITS:-10000}
if [ $# -gt 3 ]; then
	shift 3
else
	set -- counter_update.sql counter_lock.sql units_in_place.sql claim.sql tokens_batch.sql
fi
cd "$(dirname "$0")"
. ./programs.sh
LC_ALL=C
# Without sequential scans (ClaimSettings) a plan that reads the one row of selling seems dear enough to be compiled, for 0.3 s each time.
PGOPTIONS="$PGOPTIONS -c jit=off"
export LC_ALL PGOPTIONS

# turn SCRIPT CLIENTS BATCH prints a line of the table, and what doesn't add up.
turn() {
	counter=0 units=0 tokens=0
	case $1 in
	counter_*) counter=$((per_second * seconds)) ;;
	units_*) units=$((per_second * seconds)) ;;
	tokens_batch*) tokens=$((per_second * seconds * 5)) ;;
	*) tokens=$((per_second * seconds)) ;;
	esac
	stock=$((counter + units + tokens))
	before=$(sql -v counter=$counter -v units=$units -v tokens=$tokens \
		-c BEGIN -f setup.sql -f claims/contenders.sql -f contenders_setup.sql -f receive.sql -c COMMIT \
		-f contenders_quiet.sql -f contenders_left.sql -c '\echo :left')
	"$pgbench" --no-vacuum --protocol=prepared --client="$2" --jobs=2 "$limit" \
		-D products=1 -D most_units=1 -D buyers=50000 -D few_keys=0 -D least_hold_ms=600000 -D most_hold_ms=600000 -D from_position=0 -D batch="$3" \
		--file="$1" "$url" >"$said" 2>&1 || {
		code=1
		cat "$said" >&2
	}
	transactions=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$said")
	per_second_now=$(awk -v batch="$3" '/^tps = / { printf "%.1f", $3 * batch }' "$said")
	first=${first:-$per_second_now}
	awk -v script="$1" -v clients="$2" -v batch="$3" -v now="${per_second_now:-0}" -v first="${first:-0}" \
		'BEGIN { printf "%-20s %7d %12d %10.0f %7.2f\n", script, clients, batch, now, (first > 0 ? now / first : 0) }'
	[ $tokens = 0 ] && ours= || ours='-f check.sql'
	# shellcheck disable=SC2086 # it is two words or none
	told=$(sql -v claims=$((${transactions:-0} * $3)) -v before="$before" -v stock=$stock -f contenders_left.sql -f contenders_check.sql $ours)
	told=$(echo "$told" | grep -vx '0 violations' || true)
	if [ -n "$told" ]; then
		code=1
		echo "$told" | sed 's/^/  /'
	fi
}

said=$(mktemp)
trap 'rm -f "$said"' EXIT
code=0 first=
limit=--time=$seconds length="$seconds s a turn"
[ -z "${TRANSACTIONS:-}" ] || limit=--transactions=$TRANSACTIONS length="$TRANSACTIONS transactions a client"
sql -c "SELECT 'PostgreSQL ' || current_setting('server_version') || ', synchronous_commit ' || current_setting('synchronous_commit')
	|| ', fsync ' || current_setting('fsync') || ', $length'"
printf '%-20s %7s %12s %10s %7s\n' script clients 'claims each' 'claims/s' ratio
for script; do
	turn "$script" "$clients" "$([ "$script" = tokens_batch.sql ] && echo 64 || echo 1)"
	[ "$script" != tokens_batch.sql ] || turn "$script" 1 "$clients"
done
[ $code != 0 ] || echo "0 violations"
exit $code
