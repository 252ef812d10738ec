package keystore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/postern-auth/postern/internal/store"
)

// pieceLength is how many records one transaction reads or writes, so that none is open for long.
const pieceLength = 1024

// follow brings index and tenants up to the file. While it cannot, nothing is looked up: a change that it does not know
// might be a revocation.
func (s *Store) follow() error {
	if s.readOnly {
		return *s.down.Load()
	}
	s.following.Lock()
	defer s.following.Unlock()
	if err := s.catchUp(); err != nil {
		err = fmt.Errorf("%w: following the file: %w", ErrUnavailable, err)
		s.down.Store(&err)
		return err
	}
	s.down.Store(nil)
	return nil
}

// followWithin is follow on another goroutine, for those who have less time than the publication of an import may take.
func (s *Store) followWithin(ctx context.Context) error {
	if _, err := s.reads.do(ctx, flight{}, func() (*Cached, error) { return nil, s.follow() }); err != nil {
		return fmt.Errorf("%w: index of keys: %w", ErrUnavailable, err)
	}
	return nil
}

// catchUp applies what changed since s.revision. It needs the following lock, as do all below.
func (s *Store) catchUp() error {
	var c changes
	revision, err := s.db.Changes(s.revision, func(change store.Change) error {
		c.note(s, change)
		return nil
	})
	if errors.Is(err, store.ErrFellBehind) {
		return s.rebuild()
	}
	if err != nil {
		return err
	}
	if err := s.apply(&c); err != nil {
		return err
	}
	s.revision = revision
	return nil
}

// changes are the numbers of what changed, in any order and more than once.
type changes struct {
	tenants []uint32
	gone    []uint32 // keys that were deleted
	ended   []uint32 // imports that were published, or given up
	keys    []uint32
}

func (c *changes) note(s *Store, change store.Change) {
	n := numberOf(change.Key)
	switch {
	case change.Table == s.tenants.Name():
		c.tenants = append(c.tenants, n)
	case change.Table == s.keys.Name() && change.Deleted:
		c.gone = append(c.gone, n)
	case change.Table == s.keys.Name():
		c.keys = append(c.keys, n)
	case change.Table == s.imports.Name() && change.Deleted:
		c.ended = append(c.ended, n)
	}
}

// apply reads what changed as it is now. What an import that was given up had staged is deleted before that import ends,
// so it cannot come into force.
func (s *Store) apply(c *changes) error {
	if err := s.loadTenants(c.tenants); err != nil {
		return err
	}
	x := s.index.Load()
	for _, n := range c.gone {
		x.remove(n)
	}
	for _, n := range c.ended {
		if err := errors.Join(s.loadKeys(x, n), s.loadTenants(s.owners.madeBy(n))); err != nil {
			return err
		}
	}
	slices.Sort(c.keys)
	for piece := range slices.Chunk(slices.Compact(c.keys), pieceLength) {
		if err := s.reloadKeys(x, piece); err != nil {
			return err
		}
	}
	return nil
}

// loadTenants reads the tenants of these numbers.
func (s *Store) loadTenants(numbers []uint32) error {
	if len(numbers) == 0 {
		return nil
	}
	return s.db.View(func(tx *store.Tx) error {
		staged := s.staged(tx)
		for _, n := range numbers {
			t, err := s.tenants.Get(tx, number(n))
			switch {
			case errors.Is(err, store.ErrNotFound):
				s.owners.remove(n)
			case err != nil:
				return err
			default:
				s.owners.put(&t, staged(t.batch))
			}
		}
		return nil
	})
}

// reloadKeys reads the keys of these numbers.
func (s *Store) reloadKeys(x *index, numbers []uint32) error {
	var h head
	heads := headsOf(&h)
	return s.db.View(func(tx *store.Tx) error {
		staged := s.staged(tx)
		for _, n := range numbers {
			_, err := heads.Get(tx, number(n))
			switch {
			case errors.Is(err, store.ErrNotFound):
				x.remove(n)
				continue
			case err != nil:
				return err
			}
			if err := s.load(tx, x, n, &h, staged); err != nil {
				return err
			}
		}
		return nil
	})
}

// loadKeys reads all keys from number from on.
func (s *Store) loadKeys(x *index, from uint32) error {
	var h head
	heads := headsOf(&h)
	for more := true; more; {
		err := s.db.View(func(tx *store.Tx) error {
			staged, left := s.staged(tx), pieceLength
			for row, err := range heads.Scan(tx, number(from)) {
				if err != nil {
					return err
				}
				if left--; left < 0 {
					return nil
				}
				n := numberOf(row.Key)
				if err := s.load(tx, x, n, &h, staged); err != nil {
					return err
				}
				from = n + 1
			}
			more = false
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// load is put for a head that was found under number n.
func (s *Store) load(tx *store.Tx, x *index, n uint32, h *head, staged func(batch uint32) bool) error {
	if h.number != n || n == 0 {
		return fmt.Errorf("%w: key %d stands where key %d should", store.ErrCorrupt, h.number, n)
	}
	flags := rowFlags(0)
	if staged(h.batch) {
		flags = flagStaged
	}
	x.put(h, flags)
	return s.loadSlow(tx, x, h, flags)
}

// isStaged says whether batch is an import under way, in the state that tx sees. When in doubt it is.
func (s *Store) isStaged(tx *store.Tx, batch uint32) bool {
	if batch == 0 {
		return false
	}
	_, err := s.imports.Get(tx, number(batch))
	return !errors.Is(err, store.ErrNotFound)
}

// staged is isStaged with a memory, for many rows in one transaction.
func (s *Store) staged(tx *store.Tx) func(batch uint32) bool {
	known := make(map[uint32]bool)
	return func(batch uint32) bool {
		yes, ok := known[batch]
		if !ok {
			yes = s.isStaged(tx, batch)
			known[batch] = yes
		}
		return yes
	}
}

// rebuild reads everything into a new index, then what changed meanwhile.
func (s *Store) rebuild() error {
	revision, err := s.db.Revision()
	if err != nil {
		return err
	}
	x := newIndex()
	if err := s.loadAllTenants(); err != nil {
		return err
	}
	if err := s.loadKeys(x, 1); err != nil {
		return err
	}
	if old := s.index.Swap(x); old != nil {
		old.collect(s.counted)
	}
	s.revision = revision
	return s.catchUp()
}

func (s *Store) loadAllTenants() error {
	staged := make(map[uint32]bool) // by import; one that ends meanwhile is in the feed
	for row, err := range s.tenants.Walk(s.db, nil) {
		if err != nil {
			return err
		}
		t := &row.Record
		if n := numberOf(row.Key); n == 0 || n != t.number {
			return fmt.Errorf("%w: tenant %d stands where tenant %d should", store.ErrCorrupt, t.number, n)
		}
		if _, known := staged[t.batch]; !known {
			err := s.db.View(func(tx *store.Tx) error {
				staged[t.batch] = s.isStaged(tx, t.batch)
				return nil
			})
			if err != nil {
				return err
			}
		}
		s.owners.put(t, staged[t.batch])
	}
	return nil
}
