package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// An index is a bucket of its own, "index:TABLE:INDEX":
//
//	unique      key → key of the record
//	otherwise   length of key (2 bytes, big-endian), key, key of the record → nothing
type index[R any] struct {
	Index[R]
	bucket []byte
}

// index returns the index of that name; it panics if there is none: index names are part of the program.
func (t *Table[R]) index(name string) *index[R] {
	for i := range t.indexes {
		if t.indexes[i].Name == name {
			return &t.indexes[i]
		}
	}
	panic(fmt.Sprintf("store: table %q has no index %q", t.schema.Name, name))
}

// keys returns the keys that r claims, each once.
func (i *index[R]) keys(r *R) [][]byte {
	if r == nil {
		return nil
	}
	keys := slices.Clone(i.Keys(*r))
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal)
}

// reindex replaces the index entries of the record in frame old (nil: there was none) by those of r (nil: there will be none). It changes
// nothing unless it can do all of it.
func (t *Table[R]) reindex(bt *view, key, old []byte, r *R) error {
	if len(t.indexes) == 0 {
		return nil
	}
	var was *R
	if old != nil {
		o, err := t.decode(bt.frames, key, old)
		if err != nil {
			return err
		}
		was = &o
	}
	for i := range t.indexes {
		if err := t.indexes[i].admit(bt, key, t.indexes[i].keys(r)); err != nil {
			return err
		}
	}
	for i := range t.indexes {
		if err := t.indexes[i].replace(bt, key, t.indexes[i].keys(was), t.indexes[i].keys(r)); err != nil {
			return err
		}
	}
	return nil
}

// admit refuses keys that are too long, or that another record has in a unique index.
func (i *index[R]) admit(bt *view, key []byte, keys [][]byte) error {
	b := bt.Bucket(i.bucket)
	for _, k := range keys {
		if len(k) == 0 || len(k) > maxKey {
			return fmt.Errorf("index %q: a key has 1 to %d bytes, not %d", i.Name, maxKey, len(k))
		}
		if !i.Unique || b == nil {
			continue
		}
		if owner := b.Get(k); owner != nil && !bytes.Equal(owner, key) {
			return fmt.Errorf("index %q: %w", i.Name, ErrExists)
		}
	}
	return nil
}

func (i *index[R]) replace(bt *view, key []byte, was, is [][]byte) error {
	b, err := makeBucket(bt, i.bucket)
	if err != nil {
		return err
	}
	for _, k := range was {
		if !contains(is, k) {
			if err := b.Delete(i.entry(k, key)); err != nil {
				return err
			}
		}
	}
	for _, k := range is {
		if !contains(was, k) {
			if err := b.Put(i.entry(k, key), i.value(key)); err != nil {
				return err
			}
		}
	}
	return nil
}

// contains reports whether the sorted keys contain k.
func contains(keys [][]byte, k []byte) bool {
	_, ok := slices.BinarySearchFunc(keys, k, bytes.Compare)
	return ok
}

func (i *index[R]) entry(k, key []byte) []byte {
	if i.Unique {
		return k
	}
	return append(prefix(k), key...)
}

func (i *index[R]) value(key []byte) []byte {
	if i.Unique {
		return bytes.Clone(key)
	}
	return nil
}

// prefix is what the entries of k begin with in an index that is not unique.
func prefix(k []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(k)+8), uint16(len(k))), k...) //nolint:gosec // admit bounds k
}

// owner returns the key of the record that the entry under k names.
func (i *index[R]) owner(k, entry, value []byte) []byte {
	if i.Unique {
		return value
	}
	return entry[len(prefix(k)):]
}

// Lookup returns the record that claims k in the index, in an index that is not unique the first of them. The error is ErrNotFound or ErrCorrupt, and comes
// with the zero Row. It panics if the table has no such index.
func (t *Table[R]) Lookup(tx *Tx, index string, k []byte) (Row[R], error) {
	for row, err := range t.ScanIndex(tx, index, k, nil) {
		if err != nil {
			return Row[R]{}, err
		}
		row.Key = bytes.Clone(row.Key)
		return row, nil
	}
	return Row[R]{}, fmt.Errorf("table %q: index %q: %w", t.schema.Name, index, ErrNotFound)
}

// read returns the record under key if it claims k: an index never answers alone.
func (i *index[R]) read(t *Table[R], bt *view, k, key []byte) (R, error) {
	r, err := t.get(bt, key)
	if err == nil && contains(i.keys(&r), k) {
		return r, nil
	}
	var none R
	if err == nil {
		err = fmt.Errorf("%w: it does not claim the key", ErrCorrupt)
	} else {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err) // an index entry without its record
	}
	return none, fmt.Errorf("index %q: %w", i.Name, err)
}
