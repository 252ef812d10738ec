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
	proofPatience   = 2 * time.Second // of a verification, with the wait for a key set
	waitPatience    = time.Second     // of a check whose context has no deadline
	answerMargin    = 5 * time.Millisecond
)

var errNoRoom = errors.New("too many tokens are being verified")

// proofs verify tokens on goroutines of their own: a signature takes as long as many checks. Those who present the same token share
// a proof.
type proofs struct {
	memory *memory
	slots  chan struct{} // one for each processor: a wait for keys holds none
	group  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	flying  map[flight]*proof
	waiting map[*issuer]int
	begun   uint64
	closed  bool
}

// flight is what is proven: a token, by one configuration of its issuer.
type flight struct {
	hash [32]byte
	by   *issuer
}

// proof is where the result will be, once done is closed.
type proof struct {
	done  chan struct{}
	token *verified
	err   error
}

func newProofs(m *memory) *proofs {
	return &proofs{
		memory: m, slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		flying: make(map[flight]*proof), waiting: make(map[*issuer]int),
	}
}

// do returns the verified token, or why it is none: an error of package jwks, errNoRoom, or one of ctx.
func (p *proofs) do(ctx context.Context, f flight, t *jwks.Token, now time.Time) (*verified, error) {
	one, err := p.join(ctx, f, t, now)
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

func (p *proofs) join(ctx context.Context, f flight, t *jwks.Token, now time.Time) (*proof, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.flying[f]; one != nil {
		return one, nil
	}
	if p.closed || len(p.flying) >= maxProofs || p.waiting[f.by] >= maxIssuerProofs {
		return nil, errNoRoom
	}
	one := &proof{done: make(chan struct{})}
	p.flying[f] = one
	p.waiting[f.by]++
	p.begun++
	ctx = context.WithoutCancel(ctx) // it goes on when nobody waits for it any more
	p.group.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, proofPatience)
		defer cancel()
		defer p.land(f, one)
		one.token, one.err = p.verify(ctx, f, t, now)
	})
	return one, nil
}

// land ends a flight, also one that crashed: whoever waits must get an answer.
func (p *proofs) land(f flight, one *proof) {
	if v := recover(); v != nil {
		one.token, one.err = nil, fmt.Errorf("%w: panic while verifying: %T", jwks.ErrUnavailable, v)
	}
	p.mu.Lock()
	delete(p.flying, f)
	if p.waiting[f.by]--; p.waiting[f.by] == 0 {
		delete(p.waiting, f.by)
	}
	p.mu.Unlock()
	close(one.done)
}

// verify waits for the keys, then for its turn.
func (p *proofs) verify(ctx context.Context, f flight, t *jwks.Token, now time.Time) (*verified, error) {
	set, err := f.by.source.Keys(ctx, t.KeyID, now)
	if err != nil || set == nil {
		return nil, fmt.Errorf("%w: %w", jwks.ErrUnavailable, err)
	}
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	v := &verified{hash: f.hash, by: f.by, set: set.Generation()}
	verifier := jwks.Verifier{Rules: f.by.rules, Source: jwks.Fixed(set)}
	claims, _, err := verifier.Verify(ctx, t, now)
	if errors.Is(err, jwks.ErrExpired) { // it is proven, and over for good
		v.dead.Store(true)
		p.memory.put(v)
	}
	if err != nil {
		return nil, err
	}
	if v.grant, err = f.by.grant(&claims); err != nil {
		return nil, err
	}
	v.expires = claims.ExpiresAt.Add(f.by.rules.ExpiryLeeway).UnixMilli()
	begins := claims.IssuedAt
	if claims.NotBefore.After(begins) {
		begins = claims.NotBefore
	}
	if !begins.IsZero() {
		v.notBefore = begins.Add(-f.by.rules.Leeway).UnixMilli()
	}
	p.memory.put(v)
	return v, nil
}

// close waits for what is under way, and lets no more begin.
func (p *proofs) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.group.Wait()
}
