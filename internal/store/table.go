package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"
)

// A Schema declares a table of records R.
type Schema[R any] struct {
	// Name of the table in the file and in the feed: 1 to 32 of a-z, 0-9 and _.
	Name string

	// Version of the encoding that Encode writes. Older ones stay readable if Decode knows them.
	Version uint8

	// Volatile tables stand outside revision and feed.
	Volatile bool

	// Encode appends the encoding of r to dst and returns it.
	Encode func(dst []byte, r R) []byte

	// Decode returns the record that b encodes in the given version. b points into the file and is gone when Decode returns: copy what is kept.
	// An error makes the record ErrCorrupt.
	Decode func(version uint8, b []byte) (R, error)

	// Indexes over the records. One that is added later does not know the records that are there.
	Indexes []Index[R]
}

// An Index finds records by something else than their key.
type Index[R any] struct {
	// Name of the index: 1 to 32 of a-z, 0-9 and _.
	Name string

	// Unique refuses a record that claims a key which another record has.
	Unique bool

	// Keys returns the keys by which r is found, 1 to 16,383 bytes each; none leaves it out of the index. The store keeps none of the slices.
	Keys func(r R) [][]byte
}

// A Table is where the records of a schema are kept, in the order of their keys, which are 1 to 16,383 bytes. It holds no state, and fits any DB.
type Table[R any] struct {
	schema  Schema[R]
	bucket  []byte
	place   place
	indexes []index[R]
}

// A Row is a record with its key.
type Row[R any] struct {
	Key    []byte
	Record R
}

// appendFill is how full bbolt leaves pages of buckets whose keys mostly rise. (A random order fills its pages to about 70 % whatever is left.)
const appendFill = 0.9

// maxKey is the length of the longest key: two of them, and the length of one, make an index entry that bbolt still takes.
const maxKey = (bbolt.MaxKeySize - 2) / 2

// NewTable returns the table of s. It panics if s is not one: schemas are part of the program.
func NewTable[R any](s Schema[R]) *Table[R] {
	checkName(s.Name)
	if s.Encode == nil || s.Decode == nil {
		panic(fmt.Sprintf("store: schema %q lacks Encode or Decode", s.Name))
	}
	bucket := []byte("table:" + s.Name)
	t := &Table[R]{schema: s, bucket: bucket, place: placeOf(string(bucket))}
	for _, i := range s.Indexes {
		checkName(i.Name)
		t.indexes = append(t.indexes, index[R]{Index: i, bucket: []byte("index:" + s.Name + ":" + i.Name)})
	}
	return t
}

func checkName(s string) {
	if s == "" || len(s) > 32 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		panic(fmt.Sprintf("store: %q does not name a table or index", s))
	}
}

// Number returns n as a key of 8 bytes, so that keys sort as numbers do.
func Number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Name returns the name by which the feed calls the table.
func (t *Table[R]) Name() string { return t.schema.Name }

// Get returns the record under key. The error is ErrNotFound or ErrCorrupt, and comes with the zero R.
func (t *Table[R]) Get(tx *Tx, key []byte) (r R, err error) {
	err = tx.do(func(bt *view) (err error) {
		r, err = t.get(bt, key)
		return err
	})
	return r, t.wrap(key, err)
}

func (t *Table[R]) get(bt *view, key []byte) (R, error) {
	if b := bt.Bucket(t.bucket); b != nil {
		if v := b.Get(key); v != nil {
			return t.decode(bt.frames, key, v)
		}
	}
	var none R
	return none, ErrNotFound
}

func (t *Table[R]) decode(f *frames, key, frame []byte) (R, error) {
	var none R
	version, payload, err := f.open(t.place, key, frame)
	if err != nil {
		return none, err
	}
	r, err := t.schema.Decode(version, payload)
	if err != nil {
		return none, fmt.Errorf("%w: decoding version %d: %w", ErrCorrupt, version, err)
	}
	return r, nil
}

// Put keeps r under key, in the place of what was there. The error is ErrExists if another record has a key that r claims in a unique index; ErrCorrupt
// if what was there cannot be read; ErrReadOnly. Then nothing was changed.
func (t *Table[R]) Put(tx *Tx, key []byte, r R) error {
	if len(key) == 0 || len(key) > maxKey {
		return fmt.Errorf("table %q: a key has 1 to %d bytes, not %d", t.schema.Name, maxKey, len(key))
	}
	err := tx.write(func(bt *view) error {
		b, err := makeBucket(bt, t.bucket)
		if err != nil {
			return err
		}
		b.FillPercent = appendFill
		old := b.Get(key)
		if err := t.reindex(bt, key, old, &r); err != nil {
			return err
		}
		encode := func(dst []byte) []byte { return t.schema.Encode(dst, r) }
		tx.scratch = bt.frames.append(tx.scratch[:0], t.place, key, t.schema.Version, encode)
		return b.Put(key, bytes.Clone(tx.scratch)) // bbolt keeps the value until the commit
	})
	if err != nil {
		return t.wrap(key, err)
	}
	t.note(tx, key, false)
	return nil
}

// Insert is Put for a key that is not taken: otherwise it returns ErrExists.
func (t *Table[R]) Insert(tx *Tx, key []byte, r R) error {
	err := tx.do(func(bt *view) error {
		if b := bt.Bucket(t.bucket); b != nil && b.Get(key) != nil {
			return ErrExists
		}
		return nil
	})
	if err != nil {
		return t.wrap(key, err)
	}
	return t.Put(tx, key, r)
}

// Delete removes the record under key. The error is ErrNotFound, ErrCorrupt or ErrReadOnly; then nothing was changed.
func (t *Table[R]) Delete(tx *Tx, key []byte) error {
	err := tx.write(func(bt *view) error {
		b := bt.Bucket(t.bucket)
		if b == nil {
			return ErrNotFound
		}
		old := b.Get(key)
		if old == nil {
			return ErrNotFound
		}
		if err := t.reindex(bt, key, old, nil); err != nil {
			return err
		}
		return b.Delete(key)
	})
	if err != nil {
		return t.wrap(key, err)
	}
	t.note(tx, key, true)
	return nil
}

func (t *Table[R]) note(tx *Tx, key []byte, deleted bool) {
	if !t.schema.Volatile {
		tx.note(t.schema.Name, key, deleted)
	}
}

// NextSequence returns 1, 2, 3 … for the table. A number that was returned in a transaction that committed never comes again.
func (t *Table[R]) NextSequence(tx *Tx) (n uint64, err error) {
	err = tx.write(func(bt *view) error {
		b, err := makeBucket(bt, t.bucket)
		if err != nil {
			return err
		}
		n, err = b.NextSequence()
		return err
	})
	return n, t.wrap(nil, err)
}

// wrap names table and key in err.
func (t *Table[R]) wrap(key []byte, err error) error {
	switch {
	case err == nil || errors.Is(err, ErrClosed):
		return err
	case key == nil:
		return fmt.Errorf("table %q: %w", t.schema.Name, err)
	}
	return fmt.Errorf("table %q: record %x: %w", t.schema.Name, key, err)
}
