package store_test

import (
	"errors"
	"os"
	"testing"

	"github.com/postern-auth/postern/internal/store"
)

// A file that is held stays so when it cannot be opened: otherwise a process that waits for it would have it under the feet of whoever replaces it.
func TestAHeldFileThatCannotBeOpenedStaysLocked(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	sealed := store.Options{Path: path, MACKey: macKey(1), LockTimeout: -1}
	check(t, openDB(t, sealed).Close())
	held, err := store.Hold(path, -1)
	check(t, err)
	for _, test := range []struct {
		key  []byte
		want error
	}{{nil, store.ErrMAC}, {macKey(2), store.ErrMACKey}} {
		if _, err := held.Open(store.Options{MACKey: test.key}); !errors.Is(err, test.want) || errors.Is(err, store.ErrLocked) {
			t.Errorf("%v, want %v", err, test.want)
		}
		_, err := store.Open(sealed)
		wantErr(t, "another one", err, store.ErrLocked)
	}
	check(t, held.Close())

	held, err = store.Hold(path, -1)
	check(t, err)
	check(t, os.Rename(path, path+".away"))
	check(t, openDB(t, sealed).Close())
	if _, err := held.Open(store.Options{MACKey: macKey(1)}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("%v, of a file that another one replaced", err)
	}
	check(t, held.Close())
}
