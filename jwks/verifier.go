package jwks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Bounds of what rules can ask for.
const (
	maxLeeway  = time.Minute
	maxSubject = 256 // bytes
)

// Rules is what the tokens of one issuer must satisfy. The zero Rules accept nothing.
type Rules struct {
	Issuer      string      // iss, byte for byte; must be set
	Audiences   []string    // aud must hold one of them; without any, and without AnyAudience, nothing is accepted
	AnyAudience bool        // aud must be there, and may hold anything: dangerous, such tokens were meant for somebody else
	Algorithms  []Algorithm // empty: [DefaultAlgorithms]
	Types       []string    // typ must be one of them, compared as media types; empty: any, or none

	SubjectClaim string // the claim that must be a text of 1 to 256 bytes; empty: sub
	AnySubject   bool   // that claim is not looked at: the caller judges it

	// ExpiryLeeway is how long a token lives beyond exp, Leeway how far nbf and iat may lie ahead: each at most one minute.
	ExpiryLeeway, Leeway time.Duration
	// MaxLifetime bounds exp − iat, or exp − now without iat. Zero: no bound.
	MaxLifetime time.Duration
}

// Source gives the key set of one issuer.
type Source interface {
	// Keys returns the set to verify with, waiting for a first or a needed fetch within ctx: when the set in force lacks kid
	// (empty: the token names none) it is fetched again, at most once, and whatever is then in force is returned. The error
	// wraps [ErrUnavailable].
	Keys(ctx context.Context, kid string, now time.Time) (*Set, error)
	// Current returns the set in force, without waiting: nil where there is none, or where it is older than its maximum age.
	Current(now time.Time) *Set
}

// Fixed is a Source of keys that never change.
func Fixed(s *Set) Source { return fixed{s} }

type fixed struct{ set *Set }

func (f fixed) Keys(context.Context, string, time.Time) (*Set, error) { return f.set, nil }

func (f fixed) Current(time.Time) *Set { return f.set }

// Verifier proves the tokens of one issuer. It may be used by several goroutines at once; its fields must not change then.
type Verifier struct {
	Rules
	Source Source
}

// Verify checks algorithm, signature and claims of t, in the order that the package comment gives, and stops at the first that
// does not hold. It returns the claims, and the set that proved them, for caches to name by its generation. ctx bounds how
// long a key set is waited for.
//
// The error is one of the sentinels of this package, in [errors.Is], and comes with zero Claims. It may quote claims, never
// the token.
func (v *Verifier) Verify(ctx context.Context, t *Token, now time.Time) (Claims, *Set, error) {
	if err := v.admits(t); err != nil {
		return Claims{}, nil, err
	}
	set, err := v.keys(ctx, t.KeyID, now)
	if err != nil {
		return Claims{}, nil, err
	}
	c, err := v.prove(t, set, now)
	if err != nil {
		return Claims{}, nil, err
	}
	return c, set, nil
}

// VerifyWith is [Verifier.Verify] with a key set that is there already.
func (r *Rules) VerifyWith(s *Set, t *Token, now time.Time) (Claims, error) {
	if s == nil {
		return Claims{}, ErrUnavailable
	}
	if err := r.admits(t); err != nil {
		return Claims{}, err
	}
	return r.prove(t, s, now)
}

// admits says whether t is worth a key: its algorithm is among ours, its claims can be read.
func (r *Rules) admits(t *Token) error {
	if !r.allows(t.Algorithm) {
		return ErrAlgorithm
	}
	return t.readClaims()
}

// prove checks the signature of t, and then its claims.
func (r *Rules) prove(t *Token, s *Set, now time.Time) (Claims, error) {
	if err := s.verify(t); err != nil {
		return Claims{}, err
	}
	c := t.claims()
	if err := r.judge(&c, t.Type, now); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// keys asks the source, and takes nothing for an answer that is not a set.
func (v *Verifier) keys(ctx context.Context, kid string, now time.Time) (*Set, error) {
	if v.Source == nil {
		return nil, ErrUnavailable
	}
	set, err := v.Source.Keys(ctx, kid, now)
	switch {
	case errors.Is(err, ErrUnavailable):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case set == nil:
		return nil, ErrUnavailable
	}
	return set, nil
}

func (r *Rules) allows(a Algorithm) bool {
	if len(r.Algorithms) == 0 {
		return slices.Contains(DefaultAlgorithms(), a)
	}
	return slices.Contains(r.Algorithms, a)
}

// judge holds the claims of a token whose signature holds against the rules.
func (r *Rules) judge(c *Claims, typ string, now time.Time) error {
	if r.Issuer == "" || c.Issuer != r.Issuer {
		return fmt.Errorf("%w: %.200q is not %q", ErrIssuer, c.Issuer, r.Issuer)
	}
	if len(c.Audience) == 0 || !r.AnyAudience && !slices.ContainsFunc(c.Audience, r.isAudience) {
		return fmt.Errorf("%w: %d, among them %.200q", ErrAudience, len(c.Audience), c.Audience[:min(len(c.Audience), 3)])
	}
	if err := r.judgeTimes(c, now); err != nil {
		return err
	}
	if len(r.Types) != 0 && !slices.ContainsFunc(r.Types, func(t string) bool { return sameType(t, typ) }) {
		return fmt.Errorf("%w: typ is %.200q", ErrClaims, typ)
	}
	if r.AnySubject {
		return nil
	}
	name := r.SubjectClaim
	if name == "" {
		name = "sub"
	}
	if subject, ok := c.Text(name); !ok || subject == "" || len(subject) > maxSubject {
		return fmt.Errorf("%w: %q is no text of 1 to %d bytes", ErrClaims, name, maxSubject)
	}
	return nil
}

func (r *Rules) isAudience(a string) bool { return slices.Contains(r.Audiences, a) }

// judgeTimes reads exp, nbf and iat into c and holds them against the clock: a token is valid from nbf − leeway, and until, not
// at, exp + leeway.
func (r *Rules) judgeTimes(c *Claims, now time.Time) error {
	expires, expFits := c.date("exp")
	notBefore, nbfFits := c.date("nbf")
	issued, iatFits := c.date("iat")
	leeway := min(r.Leeway, maxLeeway)
	switch {
	case !expFits || expires.IsZero():
		return fmt.Errorf("%w: no exp", ErrLifetime)
	case !now.Before(expires.Add(min(r.ExpiryLeeway, maxLeeway))):
		return ErrExpired
	case !nbfFits || !iatFits:
		return fmt.Errorf("%w: nbf or iat is no number", ErrLifetime)
	case now.Before(notBefore.Add(-leeway)):
		return fmt.Errorf("%w: nbf is ahead", ErrNotYet)
	case now.Before(issued.Add(-leeway)):
		return fmt.Errorf("%w: iat is ahead", ErrNotYet)
	}
	begin := issued
	if begin.IsZero() {
		begin = now
	}
	if r.MaxLifetime > 0 && expires.Sub(begin) > r.MaxLifetime {
		return fmt.Errorf("%w: longer than %s", ErrLifetime, r.MaxLifetime)
	}
	c.ExpiresAt, c.NotBefore, c.IssuedAt = expires, notBefore, issued
	return nil
}
