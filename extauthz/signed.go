package extauthz

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-auth/postern/internal/token"
)

// Bounds of what is signed for upstreams.
const (
	maxIdentities = 4096 // kept, twice over
	maxSignings   = 1024 // under way or waiting
)

var errNoAuthority = errors.New("no tokens of our own are configured")

// identities sign tokens for upstreams, and keep each for half its life. Signing takes as long as many checks, so that it is done on
// goroutines of its own; those who want the same token share it.
type identities struct {
	signed atomic.Uint64
	slots  chan struct{}
	group  sync.WaitGroup

	kept sync.RWMutex // guards new and old
	new  map[identityOf]*identity
	old  map[identityOf]*identity // what was new before, until there is room no more

	mu     sync.Mutex // guards what follows
	flying map[identityOf]*signing
	closed bool
}

// identityOf is all that such a token says of the request, so that what is the same for two requests is one token.
type identityOf struct {
	tenant, environment, key, endUser, permissions string
	provider, external, audience                   string
	organization                                   bool
	until                                          int64 // when that from which it is made expires: Unix seconds; 0: never
}

// identity is a token that was signed.
type identity struct {
	bearer      string // as the value of authorization
	from, until int64  // Unix nanoseconds: while it is handed out
}

// signing is where the result will be, once done is closed.
type signing struct {
	done  chan struct{}
	token *identity
	err   error
}

func newIdentities() *identities {
	return &identities{
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		new:   make(map[identityOf]*identity), flying: make(map[identityOf]*signing),
	}
}

// get returns the value of authorization for who, signed by the authority if there is none that is young enough.
func (s *identities) get(ctx context.Context, by *token.Authority, who identityOf, permissions []string, now time.Time) (string, error) {
	if t := s.young(&who, now); t != nil {
		return t.bearer, nil
	}
	if by == nil {
		return "", errNoAuthority
	}
	one, err := s.join(by, who, permissions, now)
	if err != nil {
		return "", err
	}
	ctx, cancel := patience(ctx)
	defer cancel()
	select {
	case <-one.done:
		if one.err != nil {
			return "", one.err
		}
		return one.token.bearer, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// young returns the token for who that is still handed out.
func (s *identities) young(who *identityOf, now time.Time) *identity {
	s.kept.RLock()
	defer s.kept.RUnlock()
	at := now.UnixNano()
	for _, kept := range [...]map[identityOf]*identity{s.new, s.old} {
		if t := kept[*who]; t != nil && t.from <= at && at < t.until {
			return t
		}
	}
	return nil
}

func (s *identities) join(by *token.Authority, who identityOf, permissions []string, now time.Time) (*signing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.flying[who]; one != nil {
		return one, nil
	}
	if s.closed || len(s.flying) >= maxSignings {
		return nil, fmt.Errorf("signing for an upstream: %w", errNoRoom)
	}
	who.endUser = strings.Clone(who.endUser) // of the message, which may be gone
	one := &signing{done: make(chan struct{})}
	s.flying[who] = one
	s.group.Go(func() {
		s.slots <- struct{}{}
		defer func() { <-s.slots }()
		defer s.land(who, one)
		one.token, one.err = s.sign(by, who, permissions, now)
	})
	return one, nil
}

// land ends a signing, also one that crashed.
func (s *identities) land(who identityOf, one *signing) {
	if v := recover(); v != nil {
		one.token, one.err = nil, fmt.Errorf("signing for an upstream: panic: %T", v)
	}
	s.mu.Lock()
	delete(s.flying, who)
	s.mu.Unlock()
	close(one.done)
}

// sign signs a token for who, and keeps it.
func (s *identities) sign(by *token.Authority, who identityOf, permissions []string, now time.Time) (*identity, error) {
	g := token.Grant{
		Tenant: who.tenant, Organization: who.organization, Environment: who.environment, KeyID: who.key, Subject: who.endUser,
		Provider: who.provider, ExternalID: who.external, Audience: who.audience, Permissions: permissions,
	}
	if who.until != 0 {
		g.NotAfter = time.Unix(who.until, 0)
	}
	text, g, err := by.Identity(g, now)
	if err != nil {
		return nil, err
	}
	s.signed.Add(1)
	t := &identity{bearer: "Bearer " + text, from: g.IssuedAt.UnixNano(), until: now.Add(g.ExpiresAt.Sub(now) / 2).UnixNano()}
	s.kept.Lock()
	defer s.kept.Unlock()
	if len(s.new) >= maxIdentities {
		s.old, s.new = s.new, make(map[identityOf]*identity)
	}
	s.new[who] = t
	return t, nil
}

// close waits for what is under way, and lets no more begin.
func (s *identities) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.group.Wait()
}
