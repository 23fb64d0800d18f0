# What the scripts beside this one share: the programs pgbench and psql, and sql, which runs psql on $url and stops at the first error.

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

sql() {
	"$psql" -XqAt -v ON_ERROR_STOP=1 "$@" "$url"
}
