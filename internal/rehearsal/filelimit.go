package rehearsal

import "fmt"

// filesBesides is room for everything that is not a buyer's connection: the operator's connections, a database pool, logs.
const filesBesides = 128

// checkFileLimit refuses a crowd that this process has too few open files for. A server in the same process holds the
// other end of every connection.
func checkFileLimit(buyers int, bothEnds bool) error {
	limit, known := openFileLimit()
	if !known {
		return nil
	}
	need := uint64(buyers) + filesBesides
	if bothEnds {
		need += uint64(buyers)
	}
	if need <= limit {
		return nil
	}
	return fileLimitError(buyers, need, limit)
}

func fileLimitError(buyers int, need, limit uint64) error {
	return fmt.Errorf("%d buyers need %d open files, and the limit of this process (RLIMIT_NOFILE) is %d: raise it with `ulimit -n %d` first, or rehearse with fewer buyers",
		buyers, need, limit, need)
}
