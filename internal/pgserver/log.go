package pgserver

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

const (
	logName     = "postgres.log"
	logMaxBytes = 16 << 20
)

// openLog opens PostgreSQL's log for appending and returns how long it is already. PostgreSQL writes the file itself, so
// it can still say why it ended when we are gone.
func openLog(dir string) (*os.File, int64, error) {
	if err := boundLog(dir); err != nil {
		return nil, 0, err
	}
	file, err := os.OpenFile(filepath.Join(dir, logName), os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, 0, err
	}
	likeParent(file)
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// boundLog keeps the log and the one before it below the limit. The log is copied away and emptied in place: a running
// PostgreSQL goes on appending to the same file.
func boundLog(dir string) error {
	path := filepath.Join(dir, logName)
	from, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil || info.Size() < logMaxBytes {
		return err
	}
	if to, err := os.OpenFile(path+".1", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600); err == nil {
		likeParent(to)
		_, _ = io.Copy(to, io.NewSectionReader(from, max(0, info.Size()-logMaxBytes), logMaxBytes))
		to.Close()
	}
	return from.Truncate(0)
}

// logSince returns the end of what was logged after an offset.
func logSince(dir string, offset int64) string {
	file, err := os.Open(filepath.Join(dir, logName))
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil {
		offset = max(offset, info.Size()-64<<10)
	}
	text, err := io.ReadAll(io.NewSectionReader(file, offset, 64<<10))
	if err != nil {
		return ""
	}
	return string(text)
}

// likeParent gives a file that root made to the owner of its directory, who may want to run us without root next time.
func likeParent(file *os.File) {
	var stat syscall.Stat_t
	if os.Geteuid() == 0 && syscall.Stat(filepath.Dir(file.Name()), &stat) == nil {
		_ = file.Chown(int(stat.Uid), int(stat.Gid))
	}
}
