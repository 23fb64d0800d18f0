#!/bin/sh
# Backups of lastunit's PostgreSQL from which any moment since the oldest of them can be restored: docs/backup.md.
#
#   backup.sh wal DIR PATH NAME          PostgreSQL's archive_command: keeps one piece of WAL in DIR
#   backup.sh base DIR [pg_basebackup's options]
#                                        a whole copy into DIR, checked; once a night
#   backup.sh restore DIR DATA TIME      makes the data directory DATA, as the database was at TIME (2026-12-12T12:00:00Z; or end: all there is), out of DIR
#
# It needs PostgreSQL's programs on the PATH, of the same major version as the server, and GNU date.
set -eu

fail() {
	echo "backup.sh: $*" >&2
	exit 1
}

usage() { fail "say one of: wal DIR PATH NAME, base DIR [options], restore DIR DATA TIME"; }

# Once under its name it is whole, on disk, and never changed: PostgreSQL throws its own away then.
wal() {
	mkdir -p "$1/wal"
	kept=$1/wal/$3
	if [ -e "$kept" ]; then
		# It was kept, and the server died before it knew.
		cmp -s "$2" "$kept" && exit 0
		fail "$kept is there already, and is something else: is DIR another server's?"
	fi
	cp "$2" "$kept.part"
	sync "$kept.part"
	mv "$kept.part" "$kept"
	sync "$1/wal"
}

# A copy is called by when it was finished: it can be restored to any moment after that.
base() {
	dir=$1
	shift
	mkdir -p "$dir/base"
	made=$dir/base/part.$$
	trap 'rm -rf "$made"' EXIT
	pg_basebackup --pgdata "$made" --checkpoint fast --wal-method stream --manifest-checksums SHA256 "$@"
	pg_verifybackup --quiet "$made"
	name=$dir/base/$(date -u +%Y%m%dT%H%M%SZ)
	[ ! -e "$name" ] || fail "$name is there already"
	mv "$made" "$name"
	trap - EXIT
	echo "$name"
}

restore() {
	[ ! -e "$2" ] || fail "$2 is there already: nothing is overwritten"
	dir=$(cd "$1" && pwd)
	time=now
	[ "$3" = end ] || time=$3
	last=$(date -u -d "$time" +%Y%m%dT%H%M%SZ) || fail "$3 is no time"
	from=
	for name in "$dir"/base/*Z; do
		# The second in which it was finished may have begun before.
		if [ -d "$name" ] && expr "$(basename "$name")" '<' "$last" >/dev/null; then
			from=$name
		fi
	done
	[ -n "$from" ] || fail "there is no copy from before $3 in $dir/base"
	pg_verifybackup --quiet "$from"
	cp -R "$from" "$2"
	chmod 700 "$2"
	# It has what was streamed along with it; what is newer comes from the archive. Nobody gets in before it is there, and then it is a server of its own.
	cat >>"$2/postgresql.auto.conf" <<-END
		restore_command = 'cp "$dir/wal/%f" "%p"'
		recovery_target_action = 'promote'
		hot_standby = 'off'
		archive_mode = 'off'
	END
	[ "$3" = end ] || echo "recovery_target_time = '$(date -u -d "$3" '+%Y-%m-%d %H:%M:%S.%6N+00')'" >>"$2/postgresql.auto.conf"
	touch "$2/recovery.signal"
	echo "$2 comes from $from: when PostgreSQL, started on it, lets you in, it is as it was then"
}

[ $# -ge 2 ] || usage
do=$1
shift
case $do in
wal) [ $# = 3 ] && wal "$@" || usage ;;
base) base "$@" ;;
restore) [ $# = 3 ] && restore "$@" || usage ;;
*) usage ;;
esac
