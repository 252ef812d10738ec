package store

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/bbolt"
)

// walkPiece is the number of rows that Walk reads in one transaction.
const walkPiece = 1024

// Scan yields the rows from key from on (nil: all) in the order of their keys. The loop may write to the table: what it changes ahead of the
// scan is seen changed. Key is valid until the next row.
//
// A record that cannot be read is yielded as its key and ErrCorrupt, and the scan goes on if the loop does; an error without a key ends it.
func (t *Table[R]) Scan(tx *Tx, from []byte) iter.Seq2[Row[R], error] {
	return func(yield func(Row[R], error) bool) {
		var row Row[R]
		var err error
		c := cursor{tx: tx, bucket: t.bucket, at: bytes.Clone(from)}
		read := func(bt *view, key, frame []byte) { row.Record, err = t.decode(bt.frames, key, frame) }
		for {
			more, broken := c.next(read)
			if broken != nil {
				yield(Row[R]{}, t.wrap(nil, broken))
				return
			}
			row.Key = c.at
			if !more || !yield(row, t.wrap(row.Key, err)) {
				return
			}
		}
	}
}

// ScanIndex is [Table.Scan] over the rows that claim k in the index. It panics if the table has no such index.
func (t *Table[R]) ScanIndex(tx *Tx, index string, k, from []byte) iter.Seq2[Row[R], error] {
	i := t.index(index)
	return func(yield func(Row[R], error) bool) {
		var row Row[R]
		var err error
		c := cursor{tx: tx, bucket: i.bucket, at: bytes.Clone(i.entry(k, from)), within: i.entry(k, nil)}
		read := func(bt *view, entry, owner []byte) {
			row.Key = bytes.Clone(i.owner(k, entry, owner))
			row.Record, err = i.read(t, bt, k, row.Key)
		}
		for {
			more, broken := c.next(read)
			if broken != nil {
				yield(Row[R]{}, t.wrap(nil, broken))
				return
			}
			if !more || i.Unique && (len(c.at) > len(k) || bytes.Compare(row.Key, from) < 0) || !yield(row, t.wrap(row.Key, err)) {
				return
			}
		}
	}
}

// Walk is [Table.Scan] without a transaction around it: each piece of 1,024 rows is read in one of its own, and none is open while the loop runs. It
// suits long tables and slow loops. Each row is yielded as it was at some moment since Walk began. Key is the loop's to keep.
func (t *Table[R]) Walk(db *DB, from []byte) iter.Seq2[Row[R], error] {
	type item struct {
		row Row[R]
		err error
	}
	return func(yield func(Row[R], error) bool) {
		next, piece := bytes.Clone(from), []item(nil)
		for more := true; more; {
			piece = piece[:0]
			err := db.View(func(tx *Tx) error {
				for row, err := range t.Scan(tx, next) {
					if err != nil && row.Key == nil {
						return err
					}
					row.Key = bytes.Clone(row.Key)
					if piece = append(piece, item{row, err}); len(piece) == walkPiece {
						break
					}
				}
				return nil
			})
			for _, i := range piece {
				if !yield(i.row, i.err) {
					return
				}
			}
			if err != nil {
				yield(Row[R]{}, err)
				return
			}
			if more = len(piece) == walkPiece; more {
				next = append(slices.Clip(piece[len(piece)-1].row.Key), 0) // the key itself is the loop's
			}
		}
	}
}

// A cursor moves through a bucket in steps, each guarded, and finds its place again when something was written in between.
type cursor struct {
	tx     *Tx
	bucket []byte
	within []byte // what the entries begin with
	at     []byte // key of the last entry, at first where to begin

	bolt  *bbolt.Cursor
	begun bool
	steps int // of tx when bolt was last moved
}

// next moves to the next entry and calls read with it, whose slices end with read. At the end it returns false.
func (c *cursor) next(read func(bt *view, key, value []byte)) (more bool, err error) {
	err = c.tx.do(func(bt *view) error {
		first := !c.begun
		k, v := c.move(bt)
		if k == nil || !bytes.HasPrefix(k, c.within) {
			return nil
		}
		if order := bytes.Compare(k, c.at); order < 0 || order == 0 && !first { // a broken page could lead in circles
			return fmt.Errorf("%w: keys are out of order", ErrCorrupt)
		}
		more = true
		c.at = append(c.at[:0], k...)
		read(bt, k, v)
		return nil
	})
	return more && err == nil, err
}

func (c *cursor) move(bt *view) (k, v []byte) {
	if c.begun && c.steps == c.tx.steps {
		return c.bolt.Next()
	}
	b := bt.Bucket(c.bucket)
	if b == nil {
		return nil, nil
	}
	c.bolt, c.steps = b.Cursor(), c.tx.steps
	k, v = c.bolt.Seek(c.at)
	if c.begun && bytes.Equal(k, c.at) {
		k, v = c.bolt.Next()
	}
	c.begun = true
	return k, v
}
