package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	clusterName = "postgres"
	userName    = "lastunit"
)

// clusterMajor is the major version that made a cluster, or 0 when there is none yet.
func clusterMajor(cluster string) (int, error) {
	info, err := os.Stat(cluster)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, directoryProblem(cluster, err)
	}
	if !info.IsDir() {
		return 0, problemf(nil, "%s is a file where lastunit keeps its PostgreSQL: move it away, or %s", cluster, tryAnotherDir)
	}
	text, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if errors.Is(err, fs.ErrPermission) {
		return 0, directoryProblem(cluster, notOwner(cluster, err))
	}
	major, notNumber := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil && notNumber == nil && major > 0 {
		return major, nil
	}
	if entries, err := os.ReadDir(cluster); err == nil && len(entries) == 0 {
		return 0, nil
	}
	return 0, problemf(err, "%s is not empty and no PostgreSQL data directory (no valid PG_VERSION), so lastunit leaves it alone: move it away, or %s", cluster, tryAnotherDir)
}

func notOwner(cluster string, err error) error {
	var stat syscall.Stat_t
	if syscall.Stat(cluster, &stat) != nil || int(stat.Uid) == os.Geteuid() {
		return err
	}
	return problemf(err, "%s belongs to %s: run lastunit as that user or as root, or %s", cluster, accountName(int(stat.Uid)), tryAnotherDir)
}

// takeOver makes an existing cluster one that the account may run: PostgreSQL wants to own it, and nobody else to see it.
func takeOver(cluster string, who account) error {
	var stat syscall.Stat_t
	if err := syscall.Stat(cluster, &stat); err != nil {
		return err
	}
	if int(stat.Uid) != who.uid {
		if !who.dropped || stat.Uid != 0 {
			return notOwner(cluster, fs.ErrPermission)
		}
		// Root copied it here, from a backup perhaps.
		err := filepath.WalkDir(cluster, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return who.own(path)
		})
		if err != nil {
			return fmt.Errorf("giving the cluster to %s: %w", who, err)
		}
	}
	if stat.Mode&0o027 != 0 {
		return os.Chmod(cluster, 0o700)
	}
	return nil
}

// makeCluster makes a new cluster beside its place and renames it when it is whole and on disk.
func makeCluster(ctx context.Context, dir string, from programs, who account) error {
	cluster := filepath.Join(dir, clusterName)
	fresh := cluster + ".new"
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return directoryProblem(dir, err)
	}
	if err := who.own(fresh); err != nil {
		return fmt.Errorf("giving the cluster to %s: %w", who, err)
	}
	// initdb syncs what it makes. Checksums cost it nothing that could be measured.
	said, err := run(ctx, who, dir, from.path("initdb"), "--pgdata", fresh, "--username", userName, "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--data-checksums", "--no-instructions")
	if ctx.Err() != nil {
		err = fmt.Errorf("making the cluster: %w", context.Cause(ctx))
	} else if err != nil {
		err = failureProblem(dir, "PostgreSQL's initdb can't make its directory in "+dir, said, err)
	}
	if err != nil {
		_ = removeLeftovers(dir) // else the next start does it
		return err
	}
	if err := os.Remove(cluster); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making room for the cluster: %w", err)
	}
	if err := os.Rename(fresh, cluster); err != nil {
		return fmt.Errorf("putting the cluster in its place: %w", err)
	}
	return syncDirectory(dir)
}

// removeLeftovers removes a cluster that was never finished. Programs that were making it may still be on their way out,
// so it is tried for a while.
func removeLeftovers(dir string) error {
	leftover := filepath.Join(dir, clusterName+".new")
	var err error
	_, _ = poll(context.Background(), 2*time.Second, func() bool {
		err = os.RemoveAll(leftover)
		return err == nil
	})
	return directoryProblem(dir, err)
}

func syncDirectory(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	return nil
}
