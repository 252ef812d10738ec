package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/store"
)

func TestASnapshotIsTheStateOfOneMoment(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	put(t, db, "a", "b")
	path := newPath(t)
	err := db.Snapshot(0, func(s *store.Snapshot) error {
		for range 30 { // what it frees must not be written over
			put(t, db, "c")
			update(t, db, func(tx *store.Tx) error { return noteTable().Delete(tx, []byte("c")) })
		}
		put(t, db, "d")
		var copied bytes.Buffer
		if err := s.Copy(t.Context(), &copied); err != nil {
			return err
		}
		if int64(copied.Len()) != s.Size() {
			t.Errorf("the copy has %d bytes, and %d were announced", copied.Len(), s.Size())
		}
		writeFile(t, path, copied.Bytes())
		pages, err := s.Examine(t.Context())
		if int64(pages)*4096 != s.Size() {
			t.Errorf("%d pages in %d bytes", pages, s.Size())
		}
		return err
	})
	check(t, err)
	restored := openDB(t, store.Options{Path: path})
	if diff := cmp.Diff([]string{"a", "b"}, keysOf(t, restored)); diff != "" {
		t.Error(diff)
	}
	put(t, restored, "e") // and goes on from there
	if diff := cmp.Diff([]string{"a", "b", "d"}, keysOf(t, db)); diff != "" {
		t.Error(diff)
	}
}

// A commit that must enlarge the map does not wait for a snapshot that is open for long.
func TestASnapshotGivesWayToACommitThatNeedsRoom(t *testing.T) {
	t.Parallel()
	db := openDB(t, store.SmallMap(store.Options{Path: newPath(t)}))
	written := make(chan struct{})
	err := db.Snapshot(0, func(s *store.Snapshot) error {
		go func() {
			defer close(written)
			update(t, db, func(tx *store.Tx) error { return blobTable().Put(tx, []byte("a"), make([]byte, 1<<20)) })
		}()
		<-s.Interrupted() // or the commit waits for ever
		return s.Copy(t.Context(), io.Discard)
	})
	wantErr(t, "Copy", err, store.ErrInterrupted)
	<-written
	check(t, db.Snapshot(0, func(s *store.Snapshot) error { return s.Copy(t.Context(), io.Discard) }))
}

func TestASnapshotEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db, _ := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, pause := range []time.Duration{0, time.Hour} {
		wantErr(t, "Copy", db.Snapshot(pause, func(s *store.Snapshot) error { return s.Copy(ctx, io.Discard) }), context.Canceled)
	}
}

// R-STORE-2: a file that is truncated while it is copied is an error, not a short copy.
func TestACopyOfATruncatedFile(t *testing.T) {
	t.Parallel()
	db, path := filled(t)
	for _, size := range []int64{1 << 19, 4096} {
		err := db.Snapshot(0, func(s *store.Snapshot) error {
			if err := os.Truncate(path, size); err != nil {
				return err
			}
			_, err := s.Examine(t.Context())
			wantErr(t, "Examine", err, store.ErrCorrupt)
			return s.Copy(t.Context(), io.Discard)
		})
		wantErr(t, "Copy", err, store.ErrCorrupt)
	}
}

func TestADraftAppearsWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "copy.db")
	names := func() (names []string) {
		entries, err := os.ReadDir(dir)
		check(t, err)
		for _, e := range entries {
			name, _, _ := strings.Cut(e.Name(), ".new-")
			if name != e.Name() {
				name += ".new"
			}
			names = append(names, name)
		}
		return names
	}
	want := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, names()); diff != "" {
			t.Error(diff)
		}
	}
	db, _ := filled(t)
	draft := func() *store.Draft {
		t.Helper()
		d, err := store.NewDraft(path)
		if err != nil {
			t.Fatal(err)
		}
		check(t, db.Snapshot(0, func(s *store.Snapshot) error { return s.Copy(t.Context(), d) }))
		return d
	}
	first, second := draft(), draft() // both live: neither sweeps the other's file
	want("copy.db.new", "copy.db.new")
	check(t, first.Discard())
	check(t, first.Discard())
	want("copy.db.new")
	opened, err := second.Open(store.Options{})
	check(t, err)
	put(t, opened, "in the copy")
	check(t, opened.Close())
	check(t, second.Publish())
	check(t, second.Discard())
	want("copy.db")
	info, err := os.Stat(path)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	was := readFile(t, path)
	third := draft()
	if err := third.Publish(); !errors.Is(err, os.ErrExist) {
		t.Errorf("Publish onto a file: %v", err)
	}
	check(t, third.Discard())
	want("copy.db")
	if !bytes.Equal(was, readFile(t, path)) {
		t.Error("the file was changed")
	}
	fourth := draft()
	check(t, fourth.Replace(path+".old"))
	want("copy.db", "copy.db.old")
	if !bytes.Equal(was, readFile(t, path+".old")) {
		t.Error("the file that was replaced is not what it was")
	}
	writeFile(t, path+".new-123", []byte("left by a process that was killed"))
	writeFile(t, path+".new-mine", []byte("somebody's"))
	check(t, draft().Discard())
	want("copy.db", "copy.db.new", "copy.db.old")
}
