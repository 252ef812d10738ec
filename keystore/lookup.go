package keystore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// Match is a valid key. Its zero value comes with every error.
type Match struct {
	Key      *Key   // shared: read only
	Tier     string // of the tenant, at this moment
	Prepared any    // of the [Prepare] given; nil without one
	Imported bool   // a foreign key, found by hash: its text says nothing about prefix or environment

	block *block // where its use is counted
	row   int
}

// Prepare makes what a caller wants kept beside the cached record of a key, such as the headers of its replies.
//
// It is the caller's generation too: what one Prepare made is never given out for another.
type Prepare struct {
	fn func(*Key) (value any, size int)
}

// NewPrepare returns a Prepare that calls fn, which may run on any goroutine and gives the value and its size in bytes.
func NewPrepare(fn func(*Key) (value any, size int)) *Prepare { return &Prepare{fn: fn} }

// Lookup finds the valid key whose printed form text is: the hot path, without allocation when the record is cached.
//
// text is the bare credential; it may alias a message, as nothing of it is kept. p may be nil. Time is bounded by ctx's
// deadline, less a few milliseconds to answer in, or else by a second. Errors: [ErrUnknown], [ErrDisabled],
// [ErrExpired], [ErrRevoked], [ErrTenantSuspended], and [ErrUnavailable] with its cause.
func (s *Store) Lookup(ctx context.Context, text string, p *Prepare, now time.Time) (Match, error) {
	var f finding
	if err := s.prove(text, now, &f); err != nil {
		if s.readOnly {
			return s.lookupInFile(text, p, now)
		}
		return s.lookupByStart(ctx, text, p, now, err)
	}
	if c, ok := s.cache.Get(uint64(f.key)); ok && c.version == f.version && c.prepare == p {
		return f.match(c), nil
	}
	return s.lookupSlowly(ctx, text, p, now)
}

// finding is what the index alone says of a key.
type finding struct {
	row
	number uint32 // of the row; 0: there is none
	index  *index // where it is
	owner  *tenantRow
}

func (f *finding) match(c *Cached) Match {
	b, i := f.index.place(f.number)
	return Match{
		Key: c.key, Tier: *f.owner.tier.Load(), Prepared: c.prepared, Imported: f.flags&flagForeign != 0,
		block: b, row: i,
	}
}

// prove finds the row of a printed key and judges it.
func (s *Store) prove(text string, now time.Time, f *finding) error {
	if down := s.down.Load(); down != nil {
		return *down
	}
	h := s.hashers.get()
	defer s.hashers.put(h)
	f.index = s.index.Load()
	return s.find(h, text, now, f)
}

// find takes the same number of hashes and compares for all that it refuses; the malformed are excepted for as long as
// there are no foreign keys (R-KEY-1).
func (s *Store) find(h *hasher, text string, now time.Time, f *finding) error {
	foreign := f.index.imported.Load() > 0
	if len(text) == 0 || len(text) > maxPrintedLength {
		return ErrUnknown
	}
	value := h.load(text)
	prefix, wellFormed := split(value)
	if !wellFormed && !foreign {
		return ErrUnknown
	}
	if wellFormed {
		f.number = f.index.byID(value[prefix:prefix+idLength], &f.row)
	}
	err := s.judge(f, h.equal(h.minted(value), &f.hash), now)
	if err == nil || !foreign {
		return err
	}
	// Whatever the first gave: nobody shall learn from the time which of the two it was that refused.
	g := finding{index: f.index}
	hash := h.foreign(sha256.Sum256(value))
	g.number = f.index.byHash(hash, &g.row)
	foreignErr := s.judge(&g, h.equal(hash, &g.hash), now)
	if !errors.Is(err, ErrUnknown) {
		return err
	}
	*f = g
	return foreignErr
}

// judge says whether the secret found is good for anything at now, in the order that the contracts give.
func (s *Store) judge(f *finding, proven bool, now time.Time) error {
	f.owner = s.owners.get(f.tenant)
	switch {
	case !proven || f.number == 0 || f.flags&flagStaged != 0:
		return ErrUnknown
	case f.state == codeRevoked:
		return ErrRevoked
	case f.state != codeActive:
		return ErrDisabled
	case f.end != 0 && now.UnixMilli() >= f.end:
		return ErrExpired
	case f.owner == nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, errNoTenant)
	case f.owner.suspended.Load():
		return ErrTenantSuspended
	}
	return nil
}

// lookupSlowly is Lookup for a record that must be read. The record counts only at the version that the index has: when
// they differ, because the key changes meanwhile, it begins again.
func (s *Store) lookupSlowly(ctx context.Context, text string, p *Prepare, now time.Time) (Match, error) {
	ctx, cancel := patience(ctx)
	defer cancel()
	for range maxReadAttempts {
		var f finding
		if err := s.prove(text, now, &f); err != nil {
			return Match{}, err
		}
		c, err := s.reads.do(ctx, flight{number: f.key, prepare: p}, func() (*Cached, error) { return s.read(f.key, f.version, p) })
		if err != nil {
			return Match{}, fmt.Errorf("%w: reading key %d: %w", ErrUnavailable, f.key, err)
		}
		if c.version == f.version {
			return f.match(c), nil
		}
		if c.version > f.version {
			if err := s.followWithin(ctx); err != nil {
				return Match{}, err
			}
		}
	}
	return Match{}, fmt.Errorf("%w: %w", ErrUnavailable, errAttempts)
}

// patience bounds the time for a read so that there is some left to answer in.
func patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-answerMargin))
	}
	return context.WithTimeout(ctx, readPatience)
}

// read prepares the record of a key and offers it to the cache. It reads the file only if the cache does not have the
// record at that version, prepared for somebody else.
func (s *Store) read(n, version uint32, p *Prepare) (*Cached, error) {
	c := &Cached{number: n, prepare: p}
	if had, ok := s.cache.Get(uint64(n)); ok && had.version == version {
		c.key, c.at = had.key, had.at
	} else {
		k, at, err := s.fetch(n)
		if err != nil {
			return nil, err
		}
		c.key, c.at = &k, at
	}
	c.version = c.key.Version
	size := c.key.size()
	if p != nil {
		value, n := p.fn(c.key)
		c.prepared, size = value, size+int64(n)
	}
	s.cache.Set(uint64(n), c, size)
	return c, nil
}

// fetch reads a key from the file.
func (s *Store) fetch(n uint32) (Key, whereabouts, error) {
	var r record
	err := s.db.View(func(tx *store.Tx) (err error) {
		r, err = s.keys.Get(tx, number(n))
		return err
	})
	if err != nil {
		return Key{}, whereabouts{}, err
	}
	t := s.owners.get(r.tenant)
	if r.number != n || t == nil {
		return Key{}, whereabouts{}, errNoTenant
	}
	return r.view(t, time.Time{}), r.whereabouts(), nil // the state that counts is the index's
}
