package federation

import (
	"container/list"
	"errors"
	"sync"
	"time"

	"github.com/postern-auth/postern/jwks"
)

const (
	// defaultKeySets is how many key sets are held unless Options say otherwise.
	defaultKeySets = 1024

	// idleAfter is how long a key set is held that nobody needs, and on until another one is made. It is as long as a set is believed when its provider is away.
	idleAfter = 24 * time.Hour
)

var errNoKeySets = errors.New("opened without key sets")

// KeySet is where the keys of one provider come from. After Close it has none.
type KeySet interface {
	jwks.Source
	Status(now time.Time) jwks.Status
	Close()
}

// sources are the key sets of providers, one for each that has needed one lately.
type sources struct {
	open func(o Owner, jwksURI, issuer string) (KeySet, error)
	max  int

	mu    sync.Mutex               // guards what follows
	live  map[string]*list.Element // key of the provider → its *source
	order list.List                // of *source, the one that was needed last first
}

// source is a key set, and what it is the set of.
type source struct {
	KeySet
	key     string
	tenant  string
	jwksURI string
	issuer  string
	made    time.Time // the provider
	used    time.Time
}

// fits reports whether the set is that of p as it is.
func (x *source) fits(p *providerRecord) bool {
	return x.jwksURI == p.JWKSURI && x.issuer == p.Issuer && x.made.Equal(p.CreatedAt) && !p.deleted
}

// of returns the key set of p.
func (s *sources) of(p *providerRecord, now time.Time) (jwks.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := string(p.key())
	if e, ok := s.live[key]; ok {
		if x := sourceIn(e); x.fits(p) {
			x.used = now
			s.order.MoveToFront(e)
			return x, nil
		}
		s.drop(e)
	}
	if s.open == nil {
		return nil, errNoKeySets
	}
	for e := s.order.Back(); e != nil && now.Sub(sourceIn(e).used) > idleAfter; e = s.order.Back() {
		s.drop(e)
	}
	if len(s.live) >= s.max {
		s.drop(s.surplus())
	}
	set, err := s.open(p.owner, p.JWKSURI, p.Issuer)
	if err != nil {
		return nil, err
	}
	x := &source{KeySet: set, key: key, tenant: p.owner.Tenant, jwksURI: p.JWKSURI, issuer: p.Issuer, made: p.CreatedAt, used: now}
	if s.live == nil {
		s.live = make(map[string]*list.Element)
	}
	s.live[key] = s.order.PushFront(x)
	return x, nil
}

func sourceIn(e *list.Element) *source {
	return e.Value.(*source) // the list holds nothing else
}

// fresh is a key set for p that nothing is known of yet. It is the caller's to close.
func (s *sources) fresh(p *providerRecord) (KeySet, error) {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	if open == nil {
		return nil, errNoKeySets
	}
	return open(p.owner, p.JWKSURI, p.Issuer)
}

// surplus is the set to give up for another one: of the tenant that has the most, the one that was not needed for the longest time. So nobody loses
// sets to a tenant that has more.
func (s *sources) surplus() *list.Element {
	count := make(map[string]int)
	most := 0
	for e := s.order.Front(); e != nil; e = e.Next() {
		tenant := sourceIn(e).tenant
		count[tenant]++
		most = max(most, count[tenant])
	}
	e := s.order.Back()
	for count[sourceIn(e).tenant] < most {
		e = e.Prev()
	}
	return e
}

// follow gives up the set of a provider that is not what it was.
func (s *sources) follow(p *providerRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.live[string(p.key())]; ok && !sourceIn(e).fits(p) {
		s.drop(e)
	}
}

// drop needs the lock.
func (s *sources) drop(e *list.Element) {
	x := sourceIn(e)
	s.order.Remove(e)
	delete(s.live, x.key)
	x.Close()
}

func (s *sources) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

// close gives up all sets.
func (s *sources) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = nil
	for e := s.order.Front(); e != nil; e = s.order.Front() {
		s.drop(e)
	}
}
