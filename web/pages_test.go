package web_test

import (
	"path/filepath"
	"testing"
)

// TestPagesDrift: what is committed as built is what web/pages makes.
func TestPagesDrift(t *testing.T) {
	t.Parallel()
	made := filepath.Join(t.TempDir(), "dist")
	run(t, "npm", "run", "--silent", "--prefix", "pages", "build", "--", "--logLevel", "warn", "--outDir", made)
	run(t, "diff", "-ru", "dist", made)
}

// TestPages turns each of the browser's tests into one of ours.
func TestPages(t *testing.T) {
	t.Parallel()
	buildClient(t)
	for _, file := range testFiles(t, "pages/test") {
		t.Run(testName(file), func(t *testing.T) {
			t.Parallel()
			report(t, runNode(t, file)[testName(file)])
		})
	}
}
