//go:build !unix

package rehearsal

func openFileLimit() (limit uint64, known bool) { return 0, false }

func isFileLimit(error) bool { return false }

func isRefusedConnection(error) bool { return false }
