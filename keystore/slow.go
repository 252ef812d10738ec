package keystore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// A slow secret is one of which only a bcrypt or Argon2id hash is known. No hash of what is presented can find it, so it is found by
// what its key begins with, and compared with. That takes long: it is done on goroutines of its own, so many at once, and so many
// may wait. The first success replaces it by a secret that is found by hash; from then on the key is like any other.
//
// What this costs: whoever knows how a slow key begins can have Postern compare. Such attempts can only delay each other: they
// wait in a queue that is bounded, in all and for each start, and what finds no place is refused at once. A text that begins like no
// slow secret costs nothing more than before.
const (
	minSlowStart = 6 // characters
	maxSameStart = 4 // slow secrets with the same start

	maxAttempts       = 64 // being compared or waiting
	maxStartAttempts  = 16 // the same, for texts of one start
	verifyingPatience = 30 * time.Second
)

// slowStarts finds the slow secrets of an index. Anyone may find; put and remove are for the one writer of the index.
type slowStarts struct {
	count atomic.Int64 // secrets
	alone atomic.Int64 // keys that have no other secrets

	mu      sync.RWMutex         // guards what follows
	lengths uint64               // a bit for each length that a start has, or had
	rows    map[string][]slowRow // by start
	keys    map[uint32][]slowRow // by number
	lonely  map[uint32]struct{}  // the keys that have no other secrets
}

// slowRow is a slow secret.
type slowRow struct {
	start  string
	sum    [sha256.Size]byte // of the hash as text
	key    uint32            // number
	secret uint16            // number within the key
	flags  rowFlags
}

// find returns the secrets whose keys begin like text, but for those that are staged.
func (x *slowStarts) find(text string) (found []slowRow) {
	if x.count.Load() == 0 {
		return nil
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	for lengths := x.lengths; lengths != 0; lengths &= lengths - 1 {
		n := bits.TrailingZeros64(lengths)
		if n > len(text) {
			break
		}
		for _, r := range x.rows[text[:n]] {
			if r.flags&flagStaged == 0 {
				found = append(found, r)
			}
		}
	}
	return found
}

// sharing returns the secrets of exactly this start, staged ones too.
func (x *slowStarts) sharing(start string) []slowRow {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Clone(x.rows[start])
}

// put makes the slow secrets of a key these. first is the number of a row that it has beside them, or 0.
func (x *slowStarts) put(key uint32, rows []slowRow, first uint32) {
	if len(rows) == 0 && x.count.Load() == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rows == nil {
		x.rows, x.keys, x.lonely = make(map[string][]slowRow), make(map[uint32][]slowRow), make(map[uint32]struct{})
	}
	for _, r := range x.keys[key] {
		left := slices.DeleteFunc(x.rows[r.start], func(o slowRow) bool { return o.key == key && o.secret == r.secret })
		if x.rows[r.start] = left; len(left) == 0 {
			delete(x.rows, r.start)
		}
	}
	for _, r := range rows {
		x.rows[r.start] = append(x.rows[r.start], r)
		x.lengths |= 1 << len(r.start)
	}
	x.count.Add(int64(len(rows) - len(x.keys[key])))
	delete(x.keys, key)
	delete(x.lonely, key)
	if len(rows) > 0 {
		x.keys[key] = rows
		if first == 0 {
			x.lonely[key] = struct{}{}
		}
	}
	x.alone.Store(int64(len(x.lonely)))
}

// loadSlow is put for a key that the index has just loaded.
func (s *Store) loadSlow(tx *store.Tx, x *index, h *head, flags rowFlags) error {
	var rows []slowRow
	if h.slow() {
		r, err := s.keys.Get(tx, number(h.number))
		if err != nil {
			return err
		}
		for i := range r.secrets {
			if c := &r.secrets[i]; c.kind.slow() {
				rows = append(rows, c.row(h.number, flags))
			}
		}
	}
	x.slow.put(h.number, rows, x.first.get(h.number))
	return nil
}

// row is what is known in memory of a slow secret.
func (s *secret) row(key uint32, flags rowFlags) slowRow {
	return slowRow{start: s.start, sum: sha256.Sum256([]byte(s.slow)), key: key, secret: s.number, flags: flags}
}

var errStagedTwin = errors.New("an import under way brings this key once more")

// attempts compare texts with slow hashes. Those who present the same text share an attempt.
type attempts struct {
	compare func(kind secretKind, hash string, text []byte) bool
	slots   chan struct{}
	group   sync.WaitGroup

	mu     sync.Mutex // guards what follows
	flying map[[sha256.Size]byte]*attempt
	starts map[string]int // attempts of each start
	begun  uint64
	closed bool
}

// attempt is one under way, or one that waits for a slot.
type attempt struct {
	done chan struct{}
	err  error // set when done is closed
}

func newAttempts() *attempts {
	return &attempts{
		compare: compareSlow, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		flying: make(map[[sha256.Size]byte]*attempt), starts: make(map[string]int),
	}
}

// join returns the attempt with that hash. If there is none it begins one, for texts of that start; it goes on when nobody waits
// for it any more, so that the next one to present the text finds it done.
func (a *attempts) join(hash [sha256.Size]byte, start string, try func() error) (*attempt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.flying[hash]; t != nil {
		return t, nil
	}
	switch {
	case a.closed:
		return nil, errClosed
	case len(a.flying) >= maxAttempts, a.starts[start] >= maxStartAttempts:
		return nil, ErrOverloaded
	}
	t := &attempt{done: make(chan struct{})}
	a.flying[hash] = t
	a.starts[start]++
	a.begun++
	a.group.Go(func() {
		a.slots <- struct{}{}
		defer func() { <-a.slots }()
		defer a.land(hash, start, t)
		t.err = errClosed
		if !a.isClosed() {
			t.err = try()
		}
	})
	return t, nil
}

// land ends an attempt, also one that crashed: whoever waits must get an answer.
func (a *attempts) land(hash [sha256.Size]byte, start string, t *attempt) {
	if p := recover(); p != nil {
		t.err = fmt.Errorf("%w: comparing: panic: %v", ErrUnavailable, p)
	}
	a.mu.Lock()
	delete(a.flying, hash)
	if a.starts[start]--; a.starts[start] == 0 {
		delete(a.starts, start)
	}
	a.mu.Unlock()
	close(t.done)
}

func (a *attempts) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// close waits for what is being compared, gives up what waits, and lets no more begin.
func (a *attempts) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.group.Wait()
}

// lookupByStart is Lookup for a text that was refused so far: another error than [ErrUnknown] stays. Starts are looked up whatever it
// is: the time shall not tell which.
func (s *Store) lookupByStart(ctx context.Context, text string, p *Prepare, now time.Time, refused error) (Match, error) {
	rows := s.index.Load().slow.find(text)
	if len(rows) == 0 || !errors.Is(refused, ErrUnknown) {
		return Match{}, refused
	}
	within, cancel := patience(ctx)
	defer cancel()
	if err := s.proveSlowly(within, text, rows, now); err != nil {
		return Match{}, err
	}
	return s.lookupSlowly(ctx, text, p, now)
}

// proveSlowly compares an unknown text with the slow secrets that begin like it. Without error there is no slow secret for it any
// more: it is found by hash.
func (s *Store) proveSlowly(ctx context.Context, text string, rows []slowRow, now time.Time) error {
	if len(rows) == 0 || len(text) > maxPrintedLength {
		return ErrUnknown
	}
	h := s.hashers.get()
	hash := *h.foreign(sha256.Sum256(h.load(text)))
	s.hashers.put(h)
	value := []byte(text)                              // which may be gone when the attempt begins
	own := WithActor(context.WithoutCancel(ctx), self) // nobody asked for the change that may come of it
	t, err := s.attempts.join(hash, rows[0].start, func() error {
		defer clear(value)
		return s.tryRows(own, value, hash, rows, now)
	})
	if err != nil {
		return fmt.Errorf("%w: comparing with a slow hash: %w", ErrUnavailable, err)
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		return fmt.Errorf("%w: comparing with a slow hash: %w", ErrUnavailable, ctx.Err())
	}
	if t.err != nil && !errors.Is(t.err, ErrUnknown) {
		return fmt.Errorf("%w: comparing with a slow hash: %w", ErrUnavailable, t.err)
	}
	return t.err
}

// tryRows compares text with one secret after the other, and replaces the one that it is.
func (s *Store) tryRows(ctx context.Context, text []byte, hash [sha256.Size]byte, rows []slowRow, now time.Time) error {
	for _, row := range rows {
		var was secret
		err := s.db.View(func(tx *store.Tx) error {
			r, err := s.keys.Get(tx, number(row.key))
			if err != nil {
				return err
			}
			if i := r.slowSecret(row); i >= 0 {
				was = r.secrets[i]
			}
			return nil
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if was.kind.slow() && s.attempts.compare(was.kind, was.slow, text) {
			return s.upgrade(ctx, row, hash, now)
		}
	}
	return ErrUnknown
}

// slowSecret is the place of the secret that row stands for, or -1 if that has been replaced or has gone.
func (r *record) slowSecret(row slowRow) int {
	return slices.IndexFunc(r.secrets, func(c secret) bool {
		return c.kind.slow() && c.number == row.secret && sha256.Sum256([]byte(c.slow)) == row.sum
	})
}

// upgrade replaces a slow secret by one that is found by hash. Nothing else of the key changes, and its state does not matter: a
// revoked one is refused under its new hash as it was before.
func (s *Store) upgrade(ctx context.Context, row slowRow, hash [sha256.Size]byte, now time.Time) error {
	s.hashing.Lock()
	defer s.hashing.Unlock()
	return s.change(ctx, now, func(tx *store.Tx) (*Record, error) {
		var found finding
		if s.index.Load().byHash(&hash, &found.row) != 0 {
			if found.flags&flagStaged != 0 {
				return nil, errStagedTwin
			}
			return nil, nil // it is another key's too, and is found as that
		}
		r, err := s.keys.Get(tx, number(row.key))
		if err != nil {
			return nil, err
		}
		i := r.slowSecret(row)
		if i < 0 {
			return nil, nil // somebody was faster, or ended it
		}
		r.secrets[i].kind, r.secrets[i].hash, r.secrets[i].slow = kindSHA256, hash, ""
		if err := s.update(tx, &r, r.UpdatedAt); err != nil {
			return nil, err
		}
		return s.ofKey(tx, "key.upgrade", &r)
	})
}

// proveSlowlyInFile is proveSlowly, and what prove makes of it, without an index and without a change.
func (s *Store) proveSlowlyInFile(text string, now time.Time, f *finding) error {
	var candidates []record
	err := s.db.View(func(tx *store.Tx) error {
		var there head
		for row, err := range headsOf(&there).Scan(tx, nil) {
			if err != nil {
				return err
			}
			if !there.slow() || s.isStaged(tx, there.batch) {
				continue
			}
			r, err := s.keys.Get(tx, row.Key)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(r.secrets, func(c secret) bool { return c.kind.slow() && strings.HasPrefix(text, c.start) }) {
				candidates = append(candidates, r)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for _, r := range candidates {
		for i := range r.secrets {
			if c := &r.secrets[i]; c.kind.slow() && strings.HasPrefix(text, c.start) && compareSlow(c.kind, c.slow, []byte(text)) {
				f.index = newIndex()
				f.index.add(&r.head, c, flagForeign)
				f.number = f.index.first.get(r.number)
				f.row = *f.index.row(f.number)
				return s.judge(f, true, now)
			}
		}
	}
	return ErrUnknown
}

// slow says whether some secret is slow.
func (h *head) slow() bool {
	return slices.ContainsFunc(h.secrets, func(s secret) bool { return s.kind.slow() })
}
