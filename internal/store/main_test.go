package store_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/postern-auth/postern/internal/store"
)

// childEnv names the part that this test binary plays when a test starts it as a process of its own; each part takes its arguments from os.Args[1:].
const childEnv = "POSTERN_STORE_CHILD"

func TestMain(m *testing.M) {
	if part := os.Getenv(childEnv); part != "" {
		if err := children()[part](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func children() map[string]func(args []string) error {
	return map[string]func([]string) error{
		"write until killed": writeUntilKilled,
		"open":               openAndClose,
		"hold":               holdOpen,
		"fill":               fillUp,
		"hide":               hideAndShow,
	}
}

// A note is the record of most tests.
type note struct {
	Name string
	Tags []string
	N    uint64
}

// The tables of most tests: notes are found by a unique name and by tags; tallies are volatile and hold a number.
func noteTable() *store.Table[note] {
	return store.NewTable(store.Schema[note]{
		Name: "notes", Version: 1, Encode: encodeNote, Decode: decodeNote,
		Indexes: []store.Index[note]{
			{Name: "name", Unique: true, Keys: func(n note) [][]byte { return [][]byte{[]byte(n.Name)} }},
			{Name: "tag", Keys: func(n note) (keys [][]byte) {
				for _, t := range n.Tags {
					keys = append(keys, []byte(t))
				}
				return keys
			}},
		},
	})
}

func tallyTable() *store.Table[uint64] {
	return store.NewTable(store.Schema[uint64]{
		Name: "tallies", Version: 1, Volatile: true,
		Encode: binary.BigEndian.AppendUint64,
		Decode: func(_ uint8, b []byte) (uint64, error) {
			if len(b) != 8 {
				return 0, errors.New("a tally has 8 bytes")
			}
			return binary.BigEndian.Uint64(b), nil
		},
	})
}

// blobTable holds bytes as they are.
func blobTable() *store.Table[[]byte] {
	return store.NewTable(store.Schema[[]byte]{
		Name: "blobs", Version: 1,
		Encode: func(dst, r []byte) []byte { return append(dst, r...) },
		Decode: func(_ uint8, b []byte) ([]byte, error) { return append([]byte(nil), b...), nil },
	})
}

func encodeNote(dst []byte, n note) []byte {
	dst = binary.BigEndian.AppendUint64(dst, n.N)
	for _, s := range append([]string{n.Name}, n.Tags...) {
		dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
	}
	return dst
}

func decodeNote(version uint8, b []byte) (n note, err error) {
	if version != 1 || len(b) < 8 {
		return note{}, fmt.Errorf("version %d of %d bytes is no note", version, len(b))
	}
	n.N = binary.BigEndian.Uint64(b)
	var words []string
	for b = b[8:]; len(b) > 2; {
		size := binary.BigEndian.Uint16(b)
		words = append(words, string(b[2:2+size]))
		b = b[2+size:]
	}
	if len(words) > 0 {
		n.Name, n.Tags = words[0], words[1:]
	}
	if len(n.Tags) == 0 {
		n.Tags = nil
	}
	return n, nil
}

// newPath returns where a database may be made, in a folder that is not there yet.
func newPath(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(tb.TempDir(), "data", "postern.db")
}

func newDB(tb testing.TB) *store.DB {
	tb.Helper()
	return openDB(tb, store.Options{Path: newPath(tb)})
}

// openDB opens a database that is closed and verified when the test ends.
func openDB(tb testing.TB, o store.Options) *store.DB {
	tb.Helper()
	db, err := store.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		check(tb, db.Close())
		verify(tb, o.Path)
	})
	return db
}

// verify has bbolt check every page of the file.
func verify(tb testing.TB, path string) {
	tb.Helper()
	bolt, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		tb.Error(err)
		return
	}
	err = bolt.View(func(tx *bbolt.Tx) (err error) {
		for problem := range tx.Check() {
			err = errors.Join(err, problem)
		}
		return err
	})
	check(tb, errors.Join(err, bolt.Close()))
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Error(err)
	}
}

// update returns the revision of a transaction that must succeed.
func update(tb testing.TB, db *store.DB, fn func(*store.Tx) error) uint64 {
	tb.Helper()
	revision, err := db.Update(fn)
	if err != nil {
		tb.Fatal(err)
	}
	return revision
}

// view runs a transaction that must succeed.
func view(tb testing.TB, db *store.DB, fn func(*store.Tx) error) {
	tb.Helper()
	if err := db.View(fn); err != nil {
		tb.Fatal(err)
	}
}

// put puts notes called by their keys.
func put(tb testing.TB, db *store.DB, keys ...string) uint64 {
	tb.Helper()
	return update(tb, db, func(tx *store.Tx) error {
		for _, k := range keys {
			if err := noteTable().Put(tx, []byte(k), note{Name: k}); err != nil {
				return err
			}
		}
		return nil
	})
}

// wantErr reports an error that is not the wanted one.
func wantErr(tb testing.TB, what string, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("%s: %v, want %v", what, err, want)
	}
}
