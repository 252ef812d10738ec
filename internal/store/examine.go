package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// examinePiece is the number of rows that an examination looks at in one transaction.
const examinePiece = 256

// A Fault is something in the database that is not as it was written, or that contradicts something else in it.
type Fault struct {
	Place   string // `table "keys", record 000000000000002a`
	Problem string // a clause without subject: "has no entry in index \"id\""
}

// An Examination looks at everything in a database, in transactions of some 256 rows each, so that a running process is not held up.
type Examination struct {
	DB    *DB
	Pause time.Duration // between two pieces
	Fault func(Fault)   // is called for each fault, in no transaction

	Pages   int // examined so far, with those that are free
	Records int // of tables
	Entries int // of indexes
	Changes int // in the feed

	over bool // nothing can be read any more
}

// File examines what no table owns: the pages, the facts about the file, and the feed. The error says that the examination could not go on.
func (e *Examination) File(ctx context.Context) error {
	if err := e.DB.Check(); err != nil {
		e.over = true
		return e.take("file", err)
	}
	return errors.Join(e.take("file", e.pages(ctx)), e.take("file", e.feed()))
}

// problem is err without what all damage has in common.
func problem(err error) string {
	return strings.ReplaceAll(strings.ReplaceAll(err.Error(), ErrCorrupt.Error()+": ", ""), "\n", ": ")
}

// take makes damage a fault: what else there is is still looked at.
func (e *Examination) take(place string, err error) error {
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	e.Fault(Fault{place, problem(err)})
	return nil
}

// pages walks the page tree.
func (e *Examination) pages(ctx context.Context) error {
	for range maxTries {
		err := e.DB.Snapshot(e.Pause, func(s *Snapshot) (err error) {
			e.Pages, err = s.Examine(ctx)
			return err
		})
		if !errors.Is(err, ErrInterrupted) {
			return err
		}
	}
	return ErrInterrupted
}

// feed reads the feed and the facts in one transaction: the feed is bounded.
func (e *Examination) feed() error {
	var faults []Fault
	err := e.DB.View(func(tx *Tx) error {
		return tx.do(func(bt *view) error {
			faults = append(faults, factFaults(bt)...)
			s, err := getState(bt)
			if err != nil {
				return err
			}
			f := feedFaults(bt, s, &e.Changes)
			faults = append(faults, f...)
			return nil
		})
	})
	e.report(faults)
	return err
}

func (e *Examination) report(faults []Fault) {
	for _, f := range faults {
		e.Fault(f)
	}
}

// factFaults finds facts about the file that cannot be read.
func factFaults(bt *view) (faults []Fault) {
	c := bt.Bucket([]byte(metaBucket)).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if _, _, err := bt.frames.open(placeOf(metaBucket), k, v); err != nil {
			faults = append(faults, Fault{fmt.Sprintf("fact %q", k), problem(err)})
		}
	}
	return faults
}

// feedFaults finds changes that cannot be read, or are not those that the state says are held.
func feedFaults(bt *view, s state, held *int) (faults []Fault) {
	*held = 0
	b := bt.Bucket([]byte(feedBucket))
	if b == nil {
		return nil
	}
	var last []byte
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		*held++
		change, err := openChange(bt.frames, k, v)
		switch {
		case err != nil:
			faults = append(faults, Fault{fmt.Sprintf("feed, change %x", k), problem(err)})
		case change.Revision <= s.floor || change.Revision > s.revision:
			faults = append(faults, Fault{"feed", fmt.Sprintf("holds revision %d, and says that it holds %d to %d", change.Revision, s.floor+1, s.revision)})
		case bytes.Compare(k, last) <= 0:
			faults = append(faults, Fault{"feed", fmt.Sprintf("change %x is out of order", k)})
			return faults
		}
		last = append(last[:0], k...)
	}
	if uint64(*held) != s.held { //nolint:gosec // a length
		faults = append(faults, Fault{"feed", fmt.Sprintf("holds %d changes, and says %d", *held, s.held)})
	}
	return faults
}

// Examine examines the records and indexes of the table. judge, which may be nil, is called for each record that can be read, in its transaction, and says what
// else is wrong with it. The error says that the examination could not go on.
func (t *Table[R]) Examine(ctx context.Context, e *Examination, judge func(tx *Tx, row Row[R]) (problems []string)) error {
	err := e.walk(ctx, t.bucket, func(tx *Tx, bt *view, key, frame []byte) []string {
		e.Records++
		return t.recordProblems(tx, bt, key, frame, judge)
	}, func(key []byte) string { return fmt.Sprintf("table %q, record %x", t.schema.Name, key) })
	for i := range t.indexes {
		if err != nil {
			break
		}
		ix := &t.indexes[i]
		err = e.walk(ctx, ix.bucket, func(_ *Tx, bt *view, entry, value []byte) []string {
			e.Entries++
			return t.entryProblems(bt, ix, entry, value)
		}, func(entry []byte) string {
			return fmt.Sprintf("table %q, index %q, entry %q", t.schema.Name, ix.Name, entry)
		})
	}
	return t.wrap(nil, err)
}

// recordProblems says what is wrong with a record.
func (t *Table[R]) recordProblems(tx *Tx, bt *view, key, frame []byte, judge func(*Tx, Row[R]) []string) (problems []string) {
	r, err := t.decode(bt.frames, key, frame)
	if err != nil {
		return []string{problem(err)}
	}
	for i := range t.indexes {
		ix := &t.indexes[i]
		b := bt.Bucket(ix.bucket)
		for _, k := range ix.keys(&r) {
			entry := ix.entry(k, key)
			if b != nil {
				if c, v := b.Cursor().Seek(entry); bytes.Equal(c, entry) && bytes.Equal(ix.owner(k, c, v), key) {
					continue
				}
			}
			problems = append(problems, fmt.Sprintf("has no entry in index %q", ix.Name))
		}
	}
	if judge != nil {
		problems = append(problems, judge(tx, Row[R]{Key: bytes.Clone(key), Record: r})...)
	}
	return problems
}

// entryProblems says what is wrong with an entry of an index.
func (t *Table[R]) entryProblems(bt *view, ix *index[R], entry, value []byte) []string {
	k, ok := ix.claimed(entry)
	if !ok {
		return []string{"has no known form"}
	}
	owner := ix.owner(k, entry, value)
	switch r, err := t.get(bt, owner); {
	case errors.Is(err, ErrNotFound):
		return []string{fmt.Sprintf("names record %x, which does not exist", owner)}
	case err == nil && !contains(ix.keys(&r), k):
		return []string{fmt.Sprintf("names record %x, which does not claim it", owner)}
	}
	return nil // a record that cannot be read is its own fault
}

// claimed returns the key that a record claims by an entry.
func (i *index[R]) claimed(entry []byte) (k []byte, ok bool) {
	if i.Unique {
		return entry, true
	}
	if len(entry) < 2 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(entry))
	if len(entry) < 2+n {
		return nil, false
	}
	return entry[2 : 2+n], true
}

// walk calls look for each entry of a bucket, a piece in each transaction, and reports what it finds.
func (e *Examination) walk(
	ctx context.Context, bucket []byte, look func(tx *Tx, bt *view, key, value []byte) []string, place func(key []byte) string,
) error {
	for from, more := []byte(nil), !e.over; more; {
		if err := e.rest(ctx); err != nil {
			return err
		}
		var faults []Fault
		err := e.DB.View(func(tx *Tx) error {
			c := cursor{tx: tx, bucket: bucket, at: from}
			for range examinePiece {
				found, err := c.next(func(bt *view, key, value []byte) {
					for _, problem := range look(tx, bt, key, value) {
						faults = append(faults, Fault{place(key), problem})
					}
				})
				if more = found; err != nil || !found {
					return err
				}
			}
			from = append(bytes.Clone(c.at), 0)
			return nil
		})
		e.report(faults)
		if err != nil {
			return e.take(string(bucket), err) // the rest of the bucket cannot be told
		}
	}
	return nil
}

func (e *Examination) rest(ctx context.Context) error {
	if e.Pause == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(e.Pause):
		return nil
	}
}
