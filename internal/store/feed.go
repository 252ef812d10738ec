package store

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// The bucket "feed" holds the changes: revision (8 bytes, big-endian) and place in it (4 bytes) → frame of deleted (1 byte), length of the table's
// name (1 byte), table, key.
const (
	feedBucket  = "feed"
	feedVersion = 1
	feedPiece   = 1024 // changes read in one transaction
)

// A Change says that a record was put or deleted. It does not hold the record: read the table for its present state.
type Change struct {
	Revision uint64
	Table    string
	Key      []byte
	Deleted  bool
}

// Revision returns the revision of the state that the transaction sees, before its own changes.
func (tx *Tx) Revision() (revision uint64, err error) {
	err = tx.do(func(bt *view) error {
		s, err := getState(bt)
		revision = s.revision
		return err
	})
	return revision, err
}

// Changes calls yield for each change after revision after, oldest first, up to the revision that is current when it is called; of one key in
// one revision there is one change. No transaction is open while yield runs. Each Change is the callee's to keep.
//
// upTo is the last revision that was passed on whole, also with an error: continue from there. The error is that of yield, or
// ErrFellBehind if changes after that revision were dropped or it is in the future, or one of [DB.View].
//
// Who reads the tables anew, in more than one transaction, asks for the revision first: so a change may come twice, but none is missed.
func (db *DB) Changes(after uint64, yield func(Change) error) (upTo uint64, err error) {
	next := binary.BigEndian.AppendUint64(nil, after+1)
	target := uint64(0)
	for upTo = after; ; {
		piece := make([]Change, 0, 16)
		err := db.View(func(tx *Tx) error {
			return tx.do(func(bt *view) (err error) {
				s, err := getState(bt)
				if err != nil {
					return err
				}
				if target == 0 {
					target = s.revision
				}
				if upTo < s.floor || upTo > s.revision {
					return fmt.Errorf("%w: revision %d, held are changes from %d to %d", ErrFellBehind, upTo, s.floor, s.revision)
				}
				piece, next, err = readFeed(bt, piece, next, target)
				return err
			})
		})
		if err != nil {
			return upTo, err
		}
		for i, c := range piece {
			if err := yield(c); err != nil {
				return upTo, err
			}
			if i+1 < len(piece) && piece[i+1].Revision > c.Revision {
				upTo = c.Revision
			}
		}
		if next == nil {
			return target, nil
		}
		upTo = max(upTo, binary.BigEndian.Uint64(next)-1)
	}
}

// readFeed appends to piece up to feedPiece changes from next on, up to revision target, and returns where to read on; nil means that there are no more.
func readFeed(bt *view, piece []Change, next []byte, target uint64) ([]Change, []byte, error) {
	b := bt.Bucket([]byte(feedBucket))
	if b == nil {
		return piece, nil, nil
	}
	c := b.Cursor()
	for k, v := c.Seek(next); k != nil; k, v = c.Next() {
		change, err := openChange(bt.frames, k, v)
		if err != nil {
			return nil, nil, err
		}
		if change.Revision > target {
			break
		}
		if len(piece) == feedPiece {
			return piece, append([]byte(nil), k...), nil
		}
		piece = append(piece, change)
	}
	return piece, nil, nil
}

// record appends the changes to the feed, trims it, and returns the revision that they make; without changes the current one.
func (tx *Tx) record() (revision uint64, err error) {
	err = tx.do(func(bt *view) error {
		s, err := getState(bt)
		revision = s.revision
		if err != nil || len(tx.changes) == 0 {
			return err
		}
		s.revision++
		revision = s.revision
		b, err := makeBucket(bt, []byte(feedBucket))
		if err != nil {
			return err
		}
		b.FillPercent = appendFill
		for i, c := range tx.changes {
			k := changeKey(s.revision, i)
			if err := b.Put(k, encodeChange(bt.frames, k, c)); err != nil {
				return err
			}
		}
		s.held += uint64(len(tx.changes))
		if err := trim(b, &s, tx.db.feedLength); err != nil {
			return err
		}
		return putState(bt, s)
	})
	return revision, err
}

// trim drops whole revisions, oldest first, until at most length changes are held.
func trim(feed *bbolt.Bucket, s *state, length uint64) error {
	var old [][]byte
	c := feed.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		revision := binary.BigEndian.Uint64(k)
		if s.held <= length && revision > s.floor {
			break
		}
		s.floor = revision
		s.held--
		old = append(old, k)
	}
	for _, k := range old {
		if err := feed.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

func changeKey(revision uint64, i int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, revision), uint32(i)) //nolint:gosec // a transaction has fewer changes
}

// encodeChange returns the frame of c, which stands under key.
func encodeChange(f *frames, key []byte, c Change) []byte {
	b := make([]byte, 0, f.size(2+len(c.Table)+len(c.Key)))
	return f.append(b, placeOf(feedBucket), key, feedVersion, func(b []byte) []byte {
		deleted := byte(0)
		if c.Deleted {
			deleted = 1
		}
		b = append(b, deleted, byte(len(c.Table))) //nolint:gosec // NewTable bounds the name
		b = append(b, c.Table...)
		return append(b, c.Key...)
	})
}

// openChange decodes what stands in the feed under key. The error is ErrCorrupt, and comes with the zero Change.
func openChange(f *frames, key, value []byte) (Change, error) {
	version, b, err := f.open(placeOf(feedBucket), key, value)
	if err != nil {
		return Change{}, fmt.Errorf("change %x: %w", key, err)
	}
	if version != feedVersion || len(key) != 12 || len(b) < 2 || b[0] > 1 || len(b) < 2+int(b[1]) {
		return Change{}, fmt.Errorf("change %x: %w: it has no known form", key, ErrCorrupt)
	}
	table, record := b[2:2+int(b[1])], b[2+int(b[1]):]
	return Change{
		Revision: binary.BigEndian.Uint64(key),
		Table:    string(table),
		Key:      append([]byte(nil), record...),
		Deleted:  b[0] == 1,
	}, nil
}
