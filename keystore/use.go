package keystore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// maxSecretUses is of how many secrets of a key the use is known. That of the oldest is forgotten; the key's own is not.
const maxSecretUses = 64

// useRecord is what the file holds of a key's use: outside its record, its version and the feed.
type useRecord struct {
	use
	secrets []secretUse
}

// use counts requests.
type use struct {
	requests uint64
	last     int64 // milliseconds of Unix time; 0: never
}

type secretUse struct {
	number uint16
	use
}

// of returns the use of one secret.
func (u *useRecord) of(number uint16) use {
	for _, s := range u.secrets {
		if s.number == number {
			return s.use
		}
	}
	return use{}
}

// add counts more use of one secret, and of the key.
func (u *useRecord) add(number uint16, more use) {
	u.use.add(more)
	for i := range u.secrets {
		if u.secrets[i].number == number {
			u.secrets[i].add(more)
			return
		}
	}
	if len(u.secrets) == maxSecretUses {
		u.secrets = slices.Delete(u.secrets, 0, 1)
	}
	u.secrets = append(u.secrets, secretUse{number, more})
}

func (u *use) add(more use) {
	u.requests += more.requests
	u.last = max(u.last, more.last)
}

func appendUse(b []byte, u useRecord) []byte {
	b = u.appendTo(b)
	b = fields.AppendCount(b, len(u.secrets))
	for _, s := range u.secrets {
		b = s.appendTo(binary.BigEndian.AppendUint16(b, s.number))
	}
	return b
}

func (u use) appendTo(b []byte) []byte {
	return fields.AppendInt64(binary.BigEndian.AppendUint64(b, u.requests), u.last)
}

func decodeUse(version uint8, b []byte) (useRecord, error) {
	r := fields.NewReader(b)
	u := useRecord{use: readUse(&r)}
	for range r.Byte() {
		u.secrets = append(u.secrets, secretUse{r.Uint16(), readUse(&r)})
	}
	if err := r.Done(version, codecVersion); err != nil {
		return useRecord{}, err
	}
	return u, nil
}

func readUse(r *fields.Reader) use { return use{requests: r.Uint64(), last: r.Int64()} }

// tally counts the requests of the rows of one block since they were last written down.
type tally struct {
	dirty atomic.Bool // some cell may not be zero
	cells [blockRows]cell
}

type cell struct {
	last     atomic.Int64 // milliseconds of Unix time
	requests atomic.Uint32
}

// Use counts an allowed request for the key and the secret that m was found with. It does not wait and does not
// allocate but for the first of many keys; what it counts is in the file within a second while [Store.Run] runs.
func (s *Store) Use(m Match, now time.Time) {
	if m.block != nil {
		m.block.use(m.row, now.UnixMilli())
	}
}

func (b *block) use(row int, at int64) {
	t := b.tally.Load()
	for t == nil {
		b.tally.CompareAndSwap(nil, new(tally))
		t = b.tally.Load()
	}
	c := &t.cells[row]
	for last := c.last.Load(); last < at && !c.last.CompareAndSwap(last, at); {
		last = c.last.Load()
	}
	// First the count, then the mark: collect takes them in the other order, so none is lost.
	c.requests.Add(1)
	if !t.dirty.Load() {
		t.dirty.Store(true)
	}
}

// forgetUse clears what was counted for a row that is given back: the next secret there begins at nothing.
func (x *index) forgetUse(n uint32) {
	b, i := x.place(n)
	if t := b.tally.Load(); t != nil {
		t.cells[i].requests.Store(0)
		t.cells[i].last.Store(0)
	}
}

// collect moves what was counted into pending: key number → use since it was last written.
func (x *index) collect(pending map[uint32]*useRecord) {
	for _, b := range *x.blocks.Load() {
		t := b.tally.Load()
		if t == nil || !t.dirty.Swap(false) {
			continue
		}
		for i := range t.cells {
			c := &t.cells[i]
			n := c.requests.Swap(0)
			if n == 0 || b.rows[i].key == 0 {
				continue
			}
			u := pending[b.rows[i].key]
			if u == nil {
				u = new(useRecord)
				pending[b.rows[i].key] = u
			}
			u.add(b.rows[i].secret, use{uint64(n), c.last.Load()})
		}
	}
}

// Run writes what Use counted once a second, and lets an index that could not follow the file try again, until ctx ends;
// then it writes once more. The error is that of the last write.
func (s *Store) Run(ctx context.Context) error {
	const every = time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.flush()
		case <-tick.C:
		}
		if s.down.Load() != nil {
			if err := s.follow(); err != nil {
				s.log.LogAttrs(ctx, slog.LevelError, "index of keys is behind the file", slog.Any("err", err))
			}
		}
		if err := s.flush(); err != nil {
			s.log.LogAttrs(ctx, slog.LevelError, "use of keys not written", slog.Any("err", err))
		}
	}
}

// flush writes down what was counted. What cannot be written is kept for the next time.
func (s *Store) flush() error {
	s.following.Lock()
	s.index.Load().collect(s.counted)
	counted := s.counted
	s.counted = make(map[uint32]*useRecord)
	s.following.Unlock()

	err := s.writeUses(counted)

	s.following.Lock()
	defer s.following.Unlock()
	for key, u := range counted {
		if more := s.counted[key]; more != nil {
			for _, secret := range more.secrets {
				u.add(secret.number, secret.use)
			}
		}
		s.counted[key] = u
	}
	return err
}

// writeUses adds counted to what the file holds, a piece at a time, and removes from counted what was written.
func (s *Store) writeUses(counted map[uint32]*useRecord) error {
	for len(counted) > 0 {
		piece := make([]uint32, 0, min(len(counted), pieceLength))
		for key := range counted {
			if piece = append(piece, key); len(piece) == pieceLength {
				break
			}
		}
		slices.Sort(piece)
		_, err := s.db.Update(func(tx *store.Tx) error {
			for _, key := range piece {
				u, err := s.uses.Get(tx, number(key))
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return err
				}
				for _, more := range counted[key].secrets {
					u.add(more.number, more.use)
				}
				if err := s.uses.Put(tx, number(key), u); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("writing use of keys: %w", err)
		}
		for _, key := range piece {
			delete(counted, key)
		}
	}
	return nil
}
