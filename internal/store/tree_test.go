package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/postern-auth/postern/internal/store"
)

const damageRounds = 60

// openDamaged opens the file, reads all of it and writes into it. Nothing may panic or go on for ever, every error is ErrCorrupt, and no record
// may come that was not put. It returns whether the file was opened.
func openDamaged(tb testing.TB, path string, file []byte) bool {
	tb.Helper()
	writeFile(tb, path, file)
	db, err := store.Open(store.Options{Path: path, LockTimeout: time.Second})
	if err != nil {
		wantErr(tb, "Open", err, store.ErrCorrupt)
		return false
	}
	defer func() { check(tb, db.Close()) }()
	rows := 0
	for row, err := range noteTable().Walk(db, nil) {
		switch {
		case err != nil:
			wantErr(tb, "Walk", err, store.ErrCorrupt)
		case !cmp.Equal(row.Record, goodNote(row.Record.N)) || string(row.Key) != row.Record.Name:
			tb.Errorf("%q: %v was never put", row.Key, row.Record)
		}
		if rows++; rows > 2*goodNotes {
			tb.Fatal("Walk does not end")
		}
	}
	err = db.View(func(tx *store.Tx) error {
		for _, err := range noteTable().ScanIndex(tx, "tag", []byte("t1"), nil) {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		wantErr(tb, "ScanIndex", err, store.ErrCorrupt)
	}
	_, err = db.Changes(0, func(store.Change) error { return nil })
	if err != nil {
		wantErr(tb, "Changes", err, store.ErrCorrupt)
	}
	_, err = db.Update(func(tx *store.Tx) error {
		for i := range uint64(goodNotes / 7) {
			n := goodNote(i * 7)
			if err := noteTable().Put(tx, []byte(n.Name), n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrExists) { // a key of the index may have become that of another note
		wantErr(tb, "Update", err, store.ErrCorrupt)
	}
	return true
}

// R-STORE-2
func TestDamagedPagesAreRefusedOrHarmless(t *testing.T) {
	t.Parallel()
	good, path := goodFile(t), newPath(t)
	pages := len(good) / 4096
	page := func(b []byte, i int) []byte { return b[i*4096 : (i+1)*4096] }
	for name, damage := range map[string]func(b []byte){
		"a bit flipped":          func(b []byte) { b[8192+rand.IntN(len(b)-8192)] ^= 1 << rand.IntN(8) },
		"a page's head flipped":  func(b []byte) { page(b, 2+rand.IntN(pages-2))[rand.IntN(16)] ^= 1 << rand.IntN(8) },
		"an element flipped":     func(b []byte) { page(b, 2+rand.IntN(pages-2))[16+rand.IntN(400)] ^= 1 << rand.IntN(8) },
		"a page zeroed":          func(b []byte) { clear(page(b, 2+rand.IntN(pages-2))) },
		"two pages as one":       func(b []byte) { copy(page(b, 2+rand.IntN(pages-2)), page(b, 2+rand.IntN(pages-2))) },
		"a page of random bytes": func(b []byte) { fill(page(b, 2+rand.IntN(pages-2))) },
		"two pages changed": func(b []byte) {
			x, y := page(b, 2+rand.IntN(pages-2)), page(b, 2+rand.IntN(pages-2))
			was := bytes.Clone(x)
			copy(x, y)
			copy(y, was)
		},
	} {
		t.Run(name, func(t *testing.T) {
			opened := 0
			for range damageRounds {
				bad := bytes.Clone(good)
				damage(bad)
				if openDamaged(t, path, bad) {
					opened++
				}
				if t.Failed() {
					keep(t, bad)
				}
			}
			t.Logf("%d of %d were opened", opened, damageRounds)
		})
	}
}

// R-STORE-2: an element lies on its page, and not on the next one too.
func TestAnElementThatReachesIntoTheNextPageIsRefused(t *testing.T) {
	t.Parallel()
	good, path := goodFile(t), newPath(t)
	for _, id := range leaves(t, good) {
		bad := bytes.Clone(good)
		page := bad[id*4096:]
		last := 16 * int(binary.NativeEndian.Uint16(page[10:])) // its element, behind the head of the page
		size := page[last+12:]
		binary.NativeEndian.PutUint32(size, binary.NativeEndian.Uint32(size)+4096)
		writeFile(t, path, append(bad, make([]byte, 8192)...))
		_, err := store.Open(store.Options{Path: path, LockTimeout: time.Second})
		wantErr(t, fmt.Sprintf("page %d", id), err, store.ErrCorrupt)
	}
}

// leaves returns the leaf pages of a file that are not empty, whatever bucket they belong to.
func leaves(tb testing.TB, file []byte) (ids []int) {
	tb.Helper()
	path := newPath(tb)
	writeFile(tb, path, file)
	bolt, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		tb.Fatal(err)
	}
	err = bolt.View(func(tx *bbolt.Tx) error {
		for id := range len(file) / 4096 {
			info, err := tx.Page(id)
			if err != nil {
				return err
			}
			if info.Type == "leaf" && info.Count > 0 {
				ids = append(ids, id)
			}
		}
		return nil
	})
	check(tb, errors.Join(err, bolt.Close()))
	if len(ids) == 0 {
		tb.Fatal("no leaf pages")
	}
	return ids
}

// keep keeps a file that a test failed with, and ends the test.
func keep(t *testing.T, file []byte) {
	t.Helper()
	path := filepath.Join(os.TempDir(), "postern-damaged.db")
	t.Fatalf("the file is kept as %s: %v", path, os.WriteFile(path, file, 0o600))
}

func fill(b []byte) {
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
}

// R-STORE-2
func FuzzFile(f *testing.F) {
	good := goodFile(f)
	dir := f.TempDir()
	f.Add(uint32(0), []byte(nil), uint32(len(good)))
	f.Add(uint32(4096), make([]byte, 4096), uint32(len(good)))
	f.Add(uint32(8192+8), []byte{1, 0, 3}, uint32(len(good)))
	f.Add(uint32(3*4096+16), []byte{255, 255, 255, 255}, uint32(len(good)))
	f.Add(uint32(0), []byte(nil), uint32(9000))
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, size uint32) {
		file := bytes.Clone(good)
		copy(file[int(at)%len(file):], patch)
		path := filepath.Join(dir, "data", "postern.db")
		openDamaged(t, path, file[:min(len(file), int(size))])
	})
}
