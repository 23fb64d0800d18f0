package world

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// diskBytes is how much the clusters may use.
const diskBytes = 3 << 30

// mount puts the clusters onto a disk of their own in memory, which can be filled. Without the right to do that they lie where everything does.
func (w *World) mount() {
	if err := syscall.Mount("tmpfs", w.dir, "tmpfs", 0, "mode=0755,size="+strconv.Itoa(diskBytes)); err != nil {
		w.Log.Info("the disk can't be filled: mounting one in memory is not allowed here", "error", err)
		return
	}
	w.unmount = func() {
		for range 100 {
			if syscall.Unmount(w.dir, 0) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		_ = syscall.Unmount(w.dir, syscall.MNT_DETACH)
	}
}

// fill leaves nothing of the disk.
func (w *World) fill() error {
	path := filepath.Join(w.dir, "full")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	w.mu.Lock()
	w.filled = append(w.filled, path)
	w.mu.Unlock()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(w.dir, &stat); err != nil {
		return err
	}
	size := int64(stat.Bavail) * stat.Bsize
	for ; size > 1<<16; size -= size / 16 {
		if err := syscall.Fallocate(int(file.Fd()), 0, 0, size); err == nil {
			return nil
		}
	}
	return nil
}

// empty gives the disk back.
func (w *World) empty() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, path := range w.filled {
		_ = os.Remove(path)
	}
	w.filled = nil
}
