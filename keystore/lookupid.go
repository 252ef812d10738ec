package keystore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// LookupID finds the valid key of that id: what [Store.Lookup] says of a printed key at this moment, for those who hold something
// that was made with it, such as a token. Nothing is allocated when the record is cached.
//
// A key that has ended, in whatever way, is refused as Lookup refuses it. One secret of several that has ended says nothing about
// its key. [Store.Use] of the Match counts for the newest secret: old ones, which are watched until nobody uses them, are not the
// ones that tokens keep alive. A key of which only slow hashes are known is [ErrUnknown]: nobody has used it, so that nobody can
// hold what was made with it.
func (s *Store) LookupID(ctx context.Context, id string, p *Prepare, now time.Time) (Match, error) {
	if down := s.down.Load(); down != nil {
		if s.readOnly {
			return s.lookupIDInFile(id, p, now)
		}
		return Match{}, *down
	}
	f := finding{index: s.index.Load()}
	if n := s.numberByID(id, &f); n != 0 {
		if c, ok := s.cache.Get(uint64(n)); ok && c.prepare == p && c.key.ID == id && c.place(&f) && c.version == f.version {
			if err := s.judgeKey(c, &f, now); err != nil {
				return Match{}, err
			}
			return f.match(c), nil
		}
	}
	return s.lookupIDSlowly(ctx, id, p, now)
}

// LookupTenant says what a tenant is, if it is active at this moment: for those who act for one without a key of it. It answers from
// memory, without allocation. Errors: [ErrUnknown], [ErrTenantSuspended], and [ErrUnavailable].
func (s *Store) LookupTenant(id string) (Kind, error) {
	if down := s.down.Load(); down != nil && !s.readOnly {
		return "", *down
	}
	t := s.owners.byID(id)
	switch {
	case t == nil:
		return "", ErrUnknown
	case t.suspended.Load():
		return "", ErrTenantSuspended
	}
	return t.kind, nil
}

// whereabouts say where the index has a row of a key, and when the key itself ends.
type whereabouts struct {
	id      [idLength]byte // the lookup id of the newest secret that has a row; zero where that is found by hash
	hash    *[32]byte      // of it; nil: found by id, or there is none
	expires int64          // milliseconds of Unix time; 0: never
}

// whereabouts are where h says that its rows are.
func (h *head) whereabouts() whereabouts {
	w := whereabouts{expires: h.expires}
	for i := len(h.secrets) - 1; i >= 0; i-- {
		switch c := &h.secrets[i]; c.kind {
		case kindMinted:
			w.id = c.id
			return w
		case kindSHA256:
			w.hash = new(c.hash)
			return w
		case kindBcrypt, kindArgon2id:
		}
	}
	return w
}

// place copies the row of c's key into f, unless it is there, and reports whether there is one where c says.
func (c *Cached) place(f *finding) bool {
	if f.number != 0 && f.key == c.number && f.id == c.at.id && c.at.hash == nil {
		return true
	}
	f.number = 0
	switch {
	case c.at.hash != nil:
		f.number = f.index.byHash(c.at.hash, &f.row)
	case c.at.id != [idLength]byte{}:
		f.number = f.index.byID(c.at.id[:], &f.row)
	}
	return f.number != 0 && f.key == c.number
}

// judgeKey is judge for a key as a whole, by the row that c was placed at: when a secret of it ends does not matter.
func (s *Store) judgeKey(c *Cached, f *finding, now time.Time) error {
	f.end = c.at.expires
	return s.judge(f, true, now)
}

// numberByID is the number of the key that has that id, as far as memory knows it; 0: it does not. The caller compares the id.
func (s *Store) numberByID(id string, f *finding) uint32 {
	if len(id) == idLength {
		var text [idLength]byte
		copy(text[:], id)
		if f.number = f.index.byID(text[:], &f.row); f.number != 0 { // the first secret of a minted key has its id
			return f.key
		}
	}
	return s.known.get(id)
}

// lookupIDSlowly is LookupID for what must be read. As in lookupSlowly, a record counts only at the version that the index has.
func (s *Store) lookupIDSlowly(ctx context.Context, id string, p *Prepare, now time.Time) (Match, error) {
	ctx, cancel := patience(ctx)
	defer cancel()
	id = strings.Clone(id) // the read may outlast the message that it came in
	for range maxReadAttempts {
		if down := s.down.Load(); down != nil {
			return Match{}, *down
		}
		c, err := s.reads.do(ctx, flight{id: id, prepare: p}, func() (*Cached, error) { return s.readByID(id, p) })
		switch {
		case errors.Is(err, store.ErrNotFound):
			return Match{}, ErrUnknown
		case err != nil:
			return Match{}, fmt.Errorf("%w: reading key %q: %w", ErrUnavailable, id, err)
		case c.at.hash == nil && c.at.id == [idLength]byte{}:
			return Match{}, ErrUnknown
		}
		f := finding{index: s.index.Load()}
		if placed := c.place(&f); placed && c.version == f.version {
			if err := s.judgeKey(c, &f, now); err != nil {
				return Match{}, err
			}
			return f.match(c), nil
		} else if !placed || c.version > f.version {
			if err := s.followWithin(ctx); err != nil {
				return Match{}, err
			}
		}
	}
	return Match{}, fmt.Errorf("%w: %w", ErrUnavailable, errAttempts)
}

// readByID reads and prepares the record of the key that has that id, and remembers its number.
func (s *Store) readByID(id string, p *Prepare) (*Cached, error) {
	var r record
	err := s.db.View(func(tx *store.Tx) (err error) {
		r, err = s.findKey(tx, id)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	s.known.put(id, r.number)
	return s.read(r.number, r.version, p)
}

// lookupIDInFile is LookupID without an index.
func (s *Store) lookupIDInFile(id string, p *Prepare, now time.Time) (Match, error) {
	c, err := s.readByID(id, p)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Match{}, ErrUnknown
	case err != nil:
		return Match{}, fmt.Errorf("%w: reading key %q: %w", ErrUnavailable, id, err)
	}
	f := finding{index: newIndex()}
	if err := s.reloadKeys(f.index, []uint32{c.number}); err != nil {
		return Match{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !c.place(&f) {
		return Match{}, ErrUnknown
	}
	if err := s.judgeKey(c, &f, now); err != nil {
		return Match{}, err
	}
	return f.match(c), nil
}

// maxKnown is of how many ids that no row has the number is remembered: those of imported keys, and of keys whose first secret has
// long gone.
const maxKnown = 1 << 16

// knownIDs remember the numbers of keys by their ids. Neither ever changes, so what they say is never wrong, if the key is there.
type knownIDs struct {
	mu      sync.RWMutex
	numbers map[string]uint32
}

func (k *knownIDs) get(id string) uint32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.numbers[id]
}

func (k *knownIDs) put(id string, number uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.numbers == nil || len(k.numbers) >= maxKnown {
		k.numbers = make(map[string]uint32)
	}
	k.numbers[id] = number
}
