package world

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// How much the clusters may use, of each disk.
const (
	dataBytes = 2 << 30
	walBytes  = 3 << 30
)

// mount puts the clusters' data and their WAL onto disks of their own in memory, each of which can be filled. Without the right to do that they lie where everything does.
func (w *World) mount() {
	var mounted []string
	w.unmount = func() {
		for _, dir := range mounted {
			unmount(dir)
		}
	}
	for _, disk := range []struct {
		dir   string
		bytes int
	}{{w.dataDir(), dataBytes}, {w.walDir(), walBytes}} {
		if err := syscall.Mount("tmpfs", disk.dir, "tmpfs", 0, "mode=0755,size="+strconv.Itoa(disk.bytes)); err != nil {
			w.Log.Info("disks can't be filled: mounting them in memory is not allowed here", "error", err)
			w.unmount()
			w.unmount = nil
			return
		}
		mounted = append(mounted, disk.dir)
	}
}

func unmount(dir string) {
	for range 100 {
		if syscall.Unmount(dir, 0) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = syscall.Unmount(dir, syscall.MNT_DETACH)
}

// fill leaves nothing of the disk that a directory is.
func (w *World) fill(dir string) error {
	path := filepath.Join(dir, "full")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	w.mu.Lock()
	w.filled = append(w.filled, path)
	w.mu.Unlock()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return err
	}
	// What others write meanwhile leaves less, so it is taken piece by piece, each behind the last.
	for at, size := int64(0), int64(stat.Bavail)*stat.Bsize; size >= stat.Bsize; {
		if err := syscall.Fallocate(int(file.Fd()), 0, at, size); err == nil {
			at += size
			continue
		}
		size /= 2
	}
	return nil
}

// empty gives the disks back.
func (w *World) empty() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, path := range w.filled {
		_ = os.Remove(path)
	}
	w.filled = nil
}
