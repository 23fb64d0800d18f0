#!/bin/sh
# Looks for statements in new migrations that would keep a shop's tables from its buyers, or break the build before. Exits 1 when there are some.
# Only what goes up is looked at. A statement that is right all the same says so above itself: -- squawk-ignore RULE, with the reason.
set -u
cd "$(dirname "$0")/.." || exit 1

# The newest migration that was there before this linter: nothing had been released, and no table had rows that somebody was waiting for.
baseline=22

squawk=tools/node_modules/.bin/squawk
if ! $squawk --version >/dev/null 2>&1 && [ "$(uname -sm)" != "Linux x86_64" ]; then
	echo "migrations are NOT linted here: tools/package-lock.json has squawk for Linux on x86-64 only" >&2
	exit 0
fi

count=0 code=0
for file in ${*:-db/migrations/*.sql}; do
	number=$(basename "$file" | sed 's/^0*//; s/_.*//')
	[ "$number" -gt $baseline ] || continue
	count=$((count + 1))
	together=--assume-in-transaction
	grep -q '^-- +goose NO TRANSACTION' "$file" && together=--no-assume-in-transaction
	sed '/^-- +goose Down/,$d' "$file" | $squawk --config .squawk.toml $together --stdin-filepath "$file" || code=1
done
[ $code != 0 ] || echo "migrations after $baseline: $count, none of which locks what it should not"
exit $code
