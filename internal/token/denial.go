package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// denialKind says what a revocation is about.
type denialKind byte

const (
	denyHorizon denialKind = iota // what was trimmed; see [horizon]
	denyToken                     // one token, by its jti
	denySession                   // those of one session
	denyUser                      // those of one user that were issued until then
	denyKey                       // those of one API key that were issued until then
)

// denyName names what is refused. Tenant and environment are those of a user or key, and empty for the others, whose ids are unique.
type denyName struct {
	kind                    denialKind
	tenant, environment, id string
}

// denial is a revocation as it is stored.
type denial struct {
	denyName
	at    time.Time // of the revocation
	until time.Time // when all tokens that it is about have expired
}

// key is where the denial stands in the table.
func (n denyName) key() []byte {
	return fields.AppendLongText([]byte{byte(n.kind)}, n.tenant, n.environment, n.id)
}

// newDenials is the table of revocations. It stands in the feed, so that others who follow the file will know.
func newDenials() *store.Table[denial] {
	return store.NewTable(store.Schema[denial]{Name: "denials", Version: codecVersion, Encode: appendDenial, Decode: decodeDenial})
}

func appendDenial(b []byte, d denial) []byte {
	return fields.AppendTime(append(b, d.key()...), d.at, d.until)
}

func decodeDenial(version uint8, b []byte) (denial, error) {
	r := fields.NewReader(b)
	d := denial{denyName: denyName{denialKind(r.Byte()), r.LongText(), r.LongText(), r.LongText()}, at: r.Time(), until: r.Time()}
	r.Check(d.kind <= denyKey)
	if err := r.Done(version, codecVersion); err != nil {
		return denial{}, err
	}
	return d, nil
}

// shardCount is the number of parts of the deny list, each with a lock of its own.
const shardCount = 32

// A denyList is what is refused, in memory.
type denyList struct {
	seed    maphash.Seed
	counts  [denyKey + 1]atomic.Int64 // by kind
	horizon atomic.Pointer[horizon]
	shards  [shardCount]denyShard
}

type denyShard struct {
	mu      sync.RWMutex
	entries map[denyName]int64 // guarded by mu: name → Unix second of the revocation
}

// A horizon is what remains of revocations that were trimmed: a token that was issued until at and expires until then is refused, whatever the clock says now. Unix seconds.
type horizon struct{ at, until int64 }

func newDenyList() *denyList {
	l := &denyList{seed: maphash.MakeSeed()}
	l.horizon.Store(&horizon{})
	for i := range l.shards {
		l.shards[i].entries = make(map[denyName]int64)
	}
	return l
}

func (l *denyList) shard(n *denyName) *denyShard {
	return &l.shards[maphash.String(l.seed, n.id)%shardCount]
}

func (l *denyList) len() (n int) {
	for i := range l.counts {
		n += int(l.counts[i].Load())
	}
	return n
}

// put adds d. Of two about the same the later counts.
func (l *denyList) put(d *denial) {
	s := l.shard(&d.denyName)
	s.mu.Lock()
	defer s.mu.Unlock()
	was, ok := s.entries[d.denyName]
	if !ok {
		l.counts[d.kind].Add(1)
	}
	s.entries[d.denyName] = max(was, d.at.Unix())
}

func (l *denyList) remove(n denyName) {
	s := l.shard(&n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[n]; ok {
		delete(s.entries, n)
		l.counts[n.kind].Add(-1)
	}
}

// get returns the second of the revocation of what n names. A name without an id is that of nothing.
func (l *denyList) get(n denyName) (at int64, ok bool) {
	if n.id == "" || l.counts[n.kind].Load() == 0 {
		return 0, false
	}
	s := l.shard(&n)
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, ok = s.entries[n]
	return at, ok
}

// has says whether g is refused.
func (l *denyList) has(g *Grant) bool {
	issued := g.IssuedAt.Unix()
	if h := l.horizon.Load(); issued <= h.at && g.ExpiresAt.Unix() <= h.until {
		return true
	}
	if _, ok := l.get(denyName{kind: denyToken, id: g.ID}); ok {
		return true
	}
	if _, ok := l.get(denyName{kind: denySession, id: g.Session}); ok {
		return true
	}
	return l.until(g) >= issued
}

// until is the second up to which tokens of the user and the key of g are refused; less than all seconds if none are.
func (l *denyList) until(g *Grant) int64 {
	const never = -1 << 62
	last := int64(never)
	if at, ok := l.get(denyName{denyUser, g.Tenant, g.Environment, cmp.Or(g.Subject, g.Tenant)}); ok { // as in the claim sub
		last = at
	}
	if at, ok := l.get(denyName{denyKey, g.Tenant, g.Environment, g.KeyID}); ok {
		last = max(last, at)
	}
	return last
}

// aheadAtMost is how far a token may be issued ahead of the clock: gates let iat lie 30 s ahead.
const aheadAtMost = 20 // seconds

// after is the time at which a token that says g is issued: now, or, when those of its user or key, or all, were revoked as of this second or a little later, the
// second after that.
func (l *denyList) after(g *Grant, now time.Time) time.Time {
	last := max(l.until(g), l.horizon.Load().at)
	if ahead := last - now.Unix(); ahead >= 0 && ahead < aheadAtMost {
		return time.Unix(last+1, 0)
	}
	return now
}

// Revoked says whether the token that makes the grant is refused. It allocates nothing.
func (a *Authority) Revoked(g *Grant) bool { return a.denied.has(g) }

// loadDenials reads the deny list.
func (a *Authority) loadDenials() error {
	for row, err := range a.denials.Walk(a.db, nil) {
		if err != nil {
			return fmt.Errorf("reading revocations: %w", err)
		}
		if d := &row.Record; d.kind == denyHorizon {
			a.denied.horizon.Store(&horizon{d.at.Unix(), d.until.Unix()})
		} else {
			a.denied.put(d)
		}
	}
	return nil
}

// deny stores denials and what else fn does in the same transaction, and puts them in force: also if the transaction failed in the end, or what comes after it did, as
// then they may be on the disk.
func (a *Authority) deny(ctx context.Context, denials []denial, now time.Time, fn func(*store.Tx) (*Event, error)) error {
	a.revoked.Lock()
	defer a.revoked.Unlock()
	written := false
	err := a.change(ctx, now, func(tx *store.Tx) (e *Event, err error) {
		defer func() { written = err == nil }()
		for _, d := range denials {
			if err := a.keep(tx, d); err != nil {
				return nil, err
			}
		}
		return fn(tx)
	})
	if written {
		for i := range denials {
			a.denied.put(&denials[i])
		}
	}
	return err
}

// keep stores d, unless what is there says more.
func (a *Authority) keep(tx *store.Tx, d denial) error {
	was, err := a.denials.Get(tx, d.key())
	switch {
	case err == nil && was.at.After(d.at):
		d.at = was.at
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	}
	if was.until.After(d.until) {
		d.until = was.until
	}
	return a.denials.Put(tx, d.key(), d)
}

// trimPiece is how many records one transaction deletes.
const trimPiece = 1000

// trimDenials forgets what is about no token that could be alive.
func (a *Authority) trimDenials(ctx context.Context, now time.Time) error {
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		old, err := a.oldDenials(now)
		if err != nil {
			return err
		}
		more = len(old) == trimPiece
		if len(old) > 0 {
			if err := a.forget(old); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Authority) oldDenials(now time.Time) (old []denial, err error) {
	for row, err := range a.denials.Walk(a.db, []byte{byte(denyToken)}) {
		if err != nil {
			return nil, err
		}
		if !now.Before(row.Record.until) {
			if old = append(old, row.Record); len(old) == trimPiece {
				break
			}
		}
	}
	return old, nil
}

// forget deletes denials, and keeps the horizon that they leave. What was added again meanwhile stays.
func (a *Authority) forget(old []denial) error {
	a.revoked.Lock()
	defer a.revoked.Unlock()
	var gone []denial
	h := *a.denied.horizon.Load()
	_, err := a.db.Batch(func(tx *store.Tx) error {
		gone = gone[:0]
		for _, d := range old {
			is, err := a.denials.Get(tx, d.key())
			if err != nil {
				return err
			}
			if !is.at.Equal(d.at) || !is.until.Equal(d.until) {
				continue
			}
			if err := a.denials.Delete(tx, d.key()); err != nil {
				return err
			}
			gone = append(gone, d)
			h.at, h.until = max(h.at, d.at.Unix()), max(h.until, d.until.Unix())
		}
		left := denial{denyName{kind: denyHorizon}, time.Unix(h.at, 0), time.Unix(h.until, 0)}
		return a.denials.Put(tx, left.key(), left)
	})
	if err != nil {
		return err
	}
	a.denied.horizon.Store(&h)
	for _, d := range gone {
		a.denied.remove(d.denyName)
	}
	return nil
}
