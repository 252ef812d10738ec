package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/postern-auth/postern/internal/store"
)

func macKey(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// R-STORE-3: a file is opened only as it was written, with the key that it was written with.
func TestAFileHasMACsOrNone(t *testing.T) {
	t.Parallel()
	plain, sealed := newPath(t), newPath(t)
	for path, key := range map[string][]byte{plain: nil, sealed: macKey(1)} {
		db := openDB(t, store.Options{Path: path, MACKey: key})
		put(t, db, "a")
		update(t, db, func(tx *store.Tx) error { return store.SetMeta(tx, "fact", []byte("value")) })
		_, faults, err := examined(t.Context(), db)
		if err != nil || len(faults) > 0 {
			t.Errorf("%v, %v", faults, err)
		}
		check(t, db.Close())
	}
	for name, test := range map[string]struct {
		path string
		key  []byte
		want error
	}{
		"none with a key":    {plain, macKey(1), store.ErrMAC},
		"MACs without a key": {sealed, nil, store.ErrMAC},
		"with another key":   {sealed, macKey(2), store.ErrMACKey},
		"with its key":       {sealed, macKey(1), nil},
	} {
		for _, readOnly := range []bool{true, false} {
			db, err := store.Open(store.Options{Path: test.path, MACKey: test.key, ReadOnly: readOnly})
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
			if err == nil {
				check(t, db.Close())
			}
		}
	}
}

// R-STORE-3: whatever is written into the file by somebody who has no key is refused when it is read: a record, a fact, a change.
func TestWhatIsWrittenWithoutTheKeyIsNotRead(t *testing.T) {
	t.Parallel()
	path, other := newPath(t), newPath(t)
	for p, key := range map[string][]byte{path: macKey(1), other: macKey(2)} {
		db := openDB(t, store.Options{Path: p, MACKey: key})
		put(t, db, "a")
		update(t, db, func(tx *store.Tx) error { return store.SetMeta(tx, "fact", []byte("value")) })
		check(t, db.Close())
	}
	forged := func(bucket string) (k, v []byte) { // as a Postern with another pepper would have written it
		bolt, err := bbolt.Open(other, 0o600, nil)
		check(t, err)
		check(t, bolt.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket([]byte(bucket)).Cursor()
			k, v = c.Last()
			k, v = bytes.Clone(k), bytes.Clone(v)
			return nil
		}))
		check(t, bolt.Close())
		return k, v
	}
	good := readFile(t, path)
	for bucket, read := range map[string]func(db *store.DB) error{
		"table:notes": func(db *store.DB) error {
			return db.View(func(tx *store.Tx) error { _, err := noteTable().Get(tx, []byte("a")); return err })
		},
		"meta": func(db *store.DB) error {
			return db.View(func(tx *store.Tx) error { _, err := store.Meta(tx, "fact"); return err })
		},
		"feed": func(db *store.DB) error { _, err := db.Changes(0, func(store.Change) error { return nil }); return err },
	} {
		writeFile(t, path, good)
		k, v := forged(bucket)
		bolt, err := bbolt.Open(path, 0o600, nil)
		check(t, err)
		check(t, errors.Join(bolt.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put(k, v) }), bolt.Close()))
		db, err := store.Open(store.Options{Path: path, MACKey: macKey(1)})
		if err != nil {
			t.Fatal(err)
		}
		wantErr(t, bucket, read(db), store.ErrCorrupt)
		if _, faults, err := examined(t.Context(), db); err != nil || len(faults) != 1 {
			t.Errorf("%s: %v, %v", bucket, faults, err)
		}
		check(t, db.Close())
	}
}

func TestAFileIsRewritten(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][2][]byte{"as it is": {nil, nil}, "to have MACs": {nil, macKey(1)}, "to have others": {macKey(1), macKey(2)}, "to have none": {macKey(2), nil}} {
		path := newPath(t)
		db := openDB(t, store.Options{Path: path, MACKey: keys[0]})
		for i := range 30 {
			put(t, db, fmt.Sprint("key", i))
		}
		update(t, db, func(tx *store.Tx) error {
			_, err := noteTable().NextSequence(tx)
			return errors.Join(err, blobTable().Put(tx, []byte("large"), make([]byte, 1<<20)), store.SetMeta(tx, "fact", []byte("value")))
		})
		update(t, db, func(tx *store.Tx) error { return blobTable().Delete(tx, []byte("large")) })
		d, err := store.NewDraft(path)
		check(t, err)
		check(t, db.Rewrite(t.Context(), d, keys[1]))
		check(t, d.Replace(""))
		before, revision := keysOf(t, db), uint64(32)
		info, err := os.Stat(path)
		check(t, err)
		if info.Size() > 1<<19 {
			t.Errorf("%s: %d bytes are left", name, info.Size())
		}
		check(t, db.Close())
		db, err = store.Open(store.Options{Path: path, MACKey: keys[1]})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(before, keysOf(t, db)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if r, err := db.Revision(); r != revision || err != nil {
			t.Errorf("%s: revision %d, %v", name, r, err)
		}
		view(t, db, func(tx *store.Tx) error {
			fact, err := store.Meta(tx, "fact")
			if string(fact) != "value" {
				t.Errorf("%s: %q", name, fact)
			}
			return err
		})
		update(t, db, func(tx *store.Tx) error {
			n, err := noteTable().NextSequence(tx)
			if n != 2 {
				t.Errorf("%s: number %d came again", name, n)
			}
			return err
		})
		if _, faults, err := examined(t.Context(), db); err != nil || len(faults) > 0 {
			t.Errorf("%s: %v, %v", name, faults, err)
		}
		check(t, db.Close())
	}
}

func TestADamagedFileIsNotRewritten(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := openDB(t, store.Options{Path: path})
	put(t, db, "a")
	check(t, db.Close())
	bolt, err := bbolt.Open(path, 0o600, nil)
	check(t, err)
	good := readFile(t, path)
	check(t, errors.Join(bolt.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("table:notes")).Put([]byte("b"), []byte("noise")) }), bolt.Close()))
	db, err = store.Open(store.Options{Path: path})
	check(t, err)
	d, err := store.NewDraft(path)
	check(t, err)
	wantErr(t, "Rewrite", db.Rewrite(t.Context(), d, macKey(1)), store.ErrCorrupt)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "Rewrite", db.Rewrite(ctx, d, nil), context.Canceled)
	check(t, errors.Join(d.Discard(), db.Close()))
	writeFile(t, path, good)
}
