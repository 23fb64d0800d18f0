package pgserver

import (
	"fmt"
	"maps"
	"os"
	"slices"
)

const port = "5432"

// settings are given on the command line, where they win over whatever the files in the cluster say.
func settings(socketDir string, memory uint64, extra map[string]string) []string {
	all := map[string]string{
		// An answer that was given stays given, whatever loses its power.
		"fsync":              "on",
		"full_page_writes":   "on",
		"synchronous_commit": "on",

		"listen_addresses":        "",
		"unix_socket_directories": `"` + socketDir + `"`,
		"unix_socket_permissions": "0700",
		"port":                    port,
		"max_connections":         "200",

		// Claims reach their indexes at random places, by buyer and key: once those don't fit, each claim reads and evicts pages (docs/claims.md).
		"shared_buffers":       mebibytes(memory/4, 64, 8192),
		"effective_cache_size": mebibytes(memory/2, 256, 65536),
		"maintenance_work_mem": mebibytes(memory/64, 32, 256),
		"min_wal_size":         "128MB",
		"max_wal_size":         "2GB",
		"wal_compression":      "on",
		"random_page_cost":     "1.1",
		"jit":                  "off",
		// Rows that are taken from the head of a queue die fast; a look every minute lets too many of them pile up.
		"autovacuum_naptime": "10s",

		"lc_messages":       "C", // the language we read its messages in
		"timezone":          "UTC",
		"log_timezone":      "UTC",
		"log_destination":   "stderr",
		"logging_collector": "off",
		"log_line_prefix":   "%m [%p] %q%a ",
		"log_checkpoints":   "off",
		"cluster_name":      "lastunit",
	}
	maps.Copy(all, extra)
	args := make([]string, 0, 2*len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}

// mebibytes writes a size as PostgreSQL reads it, kept between the least and the most.
func mebibytes(bytes, least, most uint64) string {
	return fmt.Sprintf("%dMB", min(max(bytes>>20, least), most))
}

// environment is what PostgreSQL's programs see of ours: enough to run, and none of our secrets. LC_ALL does for
// initdb's messages what lc_messages does for the server's (and keeps macOS from starting threads in the postmaster); a known TZ spares initdb
// the search for the machine's.
func environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
