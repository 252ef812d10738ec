package authtest

import (
	"path/filepath"
	"testing"

	"github.com/postern-auth/postern/internal/store"
)

// NewDatabase opens a new file in a folder of its own, which is closed when the test ends.
func NewDatabase(tb testing.TB) *store.DB {
	tb.Helper()
	return OpenDatabase(tb, filepath.Join(tb.TempDir(), "data", "postern.db"))
}

// OpenDatabase opens a file, which is closed when the test ends.
func OpenDatabase(tb testing.TB, path string) *store.DB {
	tb.Helper()
	db, err := store.Open(store.Options{Path: path})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}
