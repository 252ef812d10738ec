package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	copyPiece  = 64 << 10               // bytes read at once
	mapStep    = 1 << 30                // by which bbolt's map grows
	mapMargin  = 64 << 20               // of the map that one commit may need at most, beside what its writes need
	stepMargin = 64 << 10               // what one write may need
	stallTime  = 100 * time.Millisecond // how long a commit may wait for a snapshot
)

// ErrInterrupted is returned by [DB.Snapshot] when the file had to be mapped anew, for which all reads must end. It may be tried again at once.
var ErrInterrupted = errors.New("interrupted: the file had to grow")

// A Snapshot is one state of the file, whatever is written meanwhile. Its pages are read from the file and not from the memory map, where each could
// be a page fault that holds up the whole process.
type Snapshot struct {
	file  io.ReaderAt
	meta  meta
	ended chan struct{}
	pause time.Duration
}

// Snapshot calls fn with the present state, and returns its error. The Snapshot ends with fn.
//
// It may be open for long, and so must not keep a commit from enlarging the map: when one waits, the next step of the Snapshot is [ErrInterrupted]. pause is
// the time between two pieces of 64 KiB, so that what else the process does is not held up; zero for a process that does nothing else.
func (db *DB) Snapshot(pause time.Duration, fn func(*Snapshot) error) error {
	s := &Snapshot{file: db.file, ended: make(chan struct{}), pause: pause}
	db.snapshots.add(s.ended) // before there is a transaction that a commit may wait for
	defer db.snapshots.remove(s.ended)
	for range maxTries {
		tx, err := db.begin(readTx)
		if err != nil {
			return err
		}
		m, ok := metaOf(db.metas, commitOf(tx.bolt))
		if !ok { // two commits since
			tx.end()
			continue
		}
		defer tx.end() // it keeps the pages of s from being overwritten
		s.meta = m
		return fn(s)
	}
	return ErrInterrupted
}

// Interrupted is closed when a commit waits for the Snapshot to end, for who may be waiting for something else.
func (s *Snapshot) Interrupted() <-chan struct{} { return s.ended }

// Size returns the size of a copy, in bytes.
func (s *Snapshot) Size() int64 { return int64(s.meta.pages) * pageSize } //nolint:gosec // the file has as many

// Copy writes a database of this state to w, as a file that can be opened.
func (s *Snapshot) Copy(ctx context.Context, w io.Writer) error {
	if _, err := w.Write(s.meta.pair()); err != nil {
		return err
	}
	piece := make([]byte, copyPiece)
	for at := int64(2 * pageSize); at < s.Size(); at += copyPiece {
		piece = piece[:min(copyPiece, s.Size()-at)]
		if err := s.rest(ctx); err != nil {
			return err
		}
		if err := s.read(piece, at); err != nil {
			return err
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// rest pauses before the next piece, if there may be one.
func (s *Snapshot) rest(ctx context.Context) error {
	if s.pause > 0 {
		select {
		case <-ctx.Done():
		case <-s.ended:
		case <-time.After(s.pause):
		}
	}
	select {
	case <-s.ended:
		return ErrInterrupted
	default:
		return ctx.Err()
	}
}

// read fills b.
func (s *Snapshot) read(b []byte, at int64) error {
	_, err := s.file.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the file was truncated", ErrCorrupt)
	}
	if err != nil {
		return fmt.Errorf("reading the file: %w", err)
	}
	return nil
}

// Examine walks the pages, and returns their number, with those that are free. The error is ErrCorrupt where one is not what it should be.
func (s *Snapshot) Examine(ctx context.Context) (pages int, err error) {
	defer recovered(&err)
	t := newTree(&window{Snapshot: s, ctx: ctx}, s.meta)
	return int(s.meta.pages), t.examine() //nolint:gosec // as above
}

// A window shows a tree the pages of a snapshot.
type window struct {
	*Snapshot
	ctx   context.Context //nolint:containedctx // of one walk
	spare [][]byte        // pages that nobody looks at any more
	reads int
}

// page returns the page and what follows of it, until done.
func (w *window) page(id, overflow uint64) (page, error) {
	size := int(overflow+1) * pageSize //nolint:gosec // own bounds it
	var b []byte
	if n := len(w.spare); n > 0 && size == pageSize {
		b, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		b = make([]byte, size)
	}
	if w.reads++; w.reads%(copyPiece/pageSize) == 0 {
		if err := w.rest(w.ctx); err != nil {
			return nil, err
		}
	}
	return b, w.read(b, int64(id)*pageSize) //nolint:gosec // likewise
}

// done gives a page back.
func (w *window) done(p page) {
	if len(p) == pageSize {
		w.spare = append(w.spare, p[:pageSize:pageSize])
	}
}

// snapshots are those that are open: each is told to end by closing its channel.
type snapshots struct {
	mu   sync.Mutex
	open []chan struct{} // guarded by mu
}

func (s *snapshots) add(c chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, c)
}

func (s *snapshots) remove(c chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = slices.DeleteFunc(s.open, func(o chan struct{}) bool { return o == c })
}

// interrupt tells all that are open to end.
func (s *snapshots) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		close(c)
	}
	s.open = nil
}

// relent has snapshots end if the commit of tx waits for them, as it does when it must enlarge the map. It returns what to call after the commit.
func (db *DB) relent(tx *Tx) (after func()) {
	need := tx.bolt.Size() + mapMargin + int64(tx.steps)*stepMargin
	if need < db.mapped {
		return func() {}
	}
	waiting := time.AfterFunc(stallTime, db.snapshots.interrupt)
	return func() {
		waiting.Stop()
		if m, err := look(db.metas); err == nil {
			if size := int64(m.pages+1) * pageSize; size > db.mapped { //nolint:gosec // the file has as many
				db.mapped = (size + mapStep - 1) / mapStep * mapStep
			}
		}
	}
}

// metaOf returns the meta page of that commit, if it is one of the two.
func metaOf(file []byte, commit uint64) (m meta, ok bool) {
	for i := range 2 {
		m, err := readMeta(file[i*pageSize+pageHead:])
		if err == nil && m.commit == commit {
			return m, true
		}
	}
	return meta{}, false
}

// pair returns the two meta pages of a file that is in the state m: m, and below it one of the commit before that leads to the same pages.
func (m meta) pair() []byte {
	pages := make([]byte, 2*pageSize)
	for _, commit := range []uint64{m.commit, m.commit - 1} {
		id := commit % 2
		p := pages[id*pageSize:]
		e := binary.NativeEndian
		e.PutUint64(p, id)
		e.PutUint16(p[8:], metaPage)
		b := p[pageHead:]
		e.PutUint32(b, boltMagic)
		e.PutUint32(b[4:], boltVersion)
		e.PutUint32(b[8:], pageSize)
		e.PutUint64(b[16:], m.root)
		e.PutUint64(b[24:], m.sequence)
		e.PutUint64(b[32:], m.freelist)
		e.PutUint64(b[40:], m.pages)
		e.PutUint64(b[48:], commit)
		sum := fnv.New64a()
		_, _ = sum.Write(b[:56])
		e.PutUint64(b[56:], sum.Sum64())
	}
	return pages
}
