package extauthz

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/postern-auth/postern/jwks"
)

// How much may be verified at once, and how long that may take. What finds no place is refused as overload.
const (
	maxProofs       = 2048            // being verified, or waiting for a key set or for their turn
	maxIssuerProofs = maxProofs / 2   // of one issuer: the others' have room whatever it does
	fetchPatience   = 2 * time.Second // of a wait for a key set
	waitPatience    = time.Second     // of a check whose context has no deadline
	answerMargin    = 5 * time.Millisecond
)

var errNoRoom = errors.New("too many tokens are being verified")

// proofs verify tokens on goroutines of their own, as a signature takes as long as many checks: one for each processor, so that their
// stacks have grown already. A token whose keys must be fetched waits for them elsewhere. Those who present the same token share a proof.
type proofs struct {
	memory  *memory
	queue   chan *proof // has room for all that fly
	workers sync.WaitGroup
	fetches sync.WaitGroup // waits for keys

	mu     sync.Mutex // guards what follows, and the proofs of issuers
	flying map[flight]*proof
	begun  uint64
	closed bool
}

// flight is what is proven: a token, by one configuration of its issuer.
type flight struct {
	hash [32]byte
	by   *issuer
}

// proof is the verification of a token, and where its result will be once done is closed.
type proof struct {
	flight
	text *jwks.Token
	set  *jwks.Set // to verify with
	now  time.Time

	done  chan struct{}
	token *verified
	err   error
}

// newProofs returns proofs that must be closed in the end.
func newProofs(m *memory) *proofs {
	p := &proofs{memory: m, queue: make(chan *proof, maxProofs), flying: make(map[flight]*proof)}
	for range runtime.GOMAXPROCS(0) {
		p.workers.Go(func() {
			for one := range p.queue {
				p.prove(one)
			}
		})
	}
	return p
}

// do returns the verified token, or why it is none: an error of package jwks, errNoRoom, or one of ctx.
func (p *proofs) do(ctx context.Context, f flight, t *jwks.Token, now time.Time) (*verified, error) {
	set := f.by.source.Current(now)
	if set != nil && t.KeyID != "" && !set.Has(t.KeyID) {
		set = nil // it may be in a newer one
	}
	one, err := p.join(ctx, &proof{flight: f, text: t, set: set, now: now})
	if err != nil {
		return nil, err
	}
	ctx, cancel := patience(ctx)
	defer cancel()
	select {
	case <-one.done:
		return one.token, one.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// patience bounds a wait so that there is time left to answer in.
func patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-answerMargin))
	}
	return context.WithTimeout(ctx, waitPatience)
}

// join begins a proof, or returns the one that is under way.
func (p *proofs) join(ctx context.Context, one *proof) (*proof, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.flying[one.flight]; other != nil {
		return other, nil
	}
	if p.closed || len(p.flying) >= maxProofs || one.by.proofs >= maxIssuerProofs {
		return nil, errNoRoom
	}
	one.done = make(chan struct{})
	p.flying[one.flight] = one
	one.by.proofs++
	p.begun++
	if one.set != nil {
		p.queue <- one
		return one, nil
	}
	ctx = context.WithoutCancel(ctx) // it goes on when nobody waits for it any more
	p.fetches.Go(func() { p.fetch(ctx, one) })
	return one, nil
}

// fetch waits for the keys of a proof, and ends it where there are none.
func (p *proofs) fetch(ctx context.Context, one *proof) {
	defer func() {
		if v := recover(); v != nil {
			p.land(one, panicked(v))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, fetchPatience)
	defer cancel()
	var err error
	switch one.set, err = one.by.source.Keys(ctx, one.text.KeyID, one.now); {
	case err != nil:
		p.land(one, fmt.Errorf("%w: %w", jwks.ErrUnavailable, err))
	case one.set == nil:
		p.land(one, jwks.ErrUnavailable)
	default:
		p.queue <- one
	}
}

// prove verifies a token whose keys are there. One that crashes gives an answer, too: somebody waits for it.
func (p *proofs) prove(one *proof) {
	defer func() {
		if v := recover(); v != nil {
			p.land(one, panicked(v))
		}
	}()
	v, err := one.verify()
	if v != nil {
		p.memory.put(v)
	}
	if err == nil {
		one.token = v
	}
	p.land(one, err)
}

// panicked is the error of what recover returned, whose text may hold anything.
func panicked(v any) error {
	return fmt.Errorf("%w: panic while verifying: %T", jwks.ErrUnavailable, v)
}

// land ends a flight, for whoever waits.
func (p *proofs) land(one *proof, err error) {
	one.err = err
	p.mu.Lock()
	delete(p.flying, one.flight)
	one.by.proofs--
	p.mu.Unlock()
	close(one.done)
}

// verify returns what is proven, to be kept: beside [jwks.ErrExpired] a token that is over for good.
func (one *proof) verify() (*verified, error) {
	rules := &one.by.rules
	claims, err := rules.VerifyWith(one.set, one.text, one.now)
	v := &verified{hash: one.hash, by: one.by, set: one.set.Generation()}
	if errors.Is(err, jwks.ErrExpired) {
		v.dead.Store(true)
		return v, err
	}
	if err == nil {
		v.grant, err = one.by.grant(&claims)
	}
	if err != nil {
		return nil, err
	}
	v.expires = claims.ExpiresAt.Add(rules.ExpiryLeeway).UnixMilli()
	begins := claims.IssuedAt
	if claims.NotBefore.After(begins) {
		begins = claims.NotBefore
	}
	if !begins.IsZero() {
		v.notBefore = begins.Add(-rules.Leeway).UnixMilli()
	}
	return v, nil
}

// close waits for what is under way, and lets no more begin.
func (p *proofs) close() {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	if closed {
		return
	}
	p.fetches.Wait()
	close(p.queue)
	p.workers.Wait()
}
