package token

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// The text of a refresh token behind its prefix: id of the session, number, random digits, and the tag over these.
const (
	sessionDigits = 12
	numberDigits  = 4
	randomDigits  = 16 // 95 bits
	tagDigits     = 11 // 64 bits
	refreshDigits = sessionDigits + numberDigits + randomDigits + tagDigits

	maxNumber = 62*62*62*62 - 1

	// RefreshPrefix is what refresh tokens begin with.
	RefreshPrefix = "mlm_refresh_"
)

// retryFor is how long after its first use a refresh token can be used again, as long as what it gave is unused.
const retryFor = time.Minute

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// randomBase62 draws n digits, each with the same probability: bytes of 248 (4 × 62) and more are thrown away.
func randomBase62(n int) string {
	digits, draw := make([]byte, 0, n), make([]byte, 2*n)
	for len(digits) < n {
		_, _ = rand.Read(draw) // it never fails
		for _, b := range draw {
			if b < 4*62 && len(digits) < n {
				digits = append(digits, base62[b%62])
			}
		}
	}
	return string(digits)
}

// appendBase62 appends v as n digits, most significant first.
func appendBase62(b []byte, v uint64, n int) []byte {
	at := len(b)
	b = append(b, make([]byte, n)...)
	for i := at + n - 1; i >= at; i-- {
		b[i] = base62[v%62]
		v /= 62
	}
	return b
}

func mac(key []byte, text []byte) (sum [32]byte) {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write(text) // it never fails
	h.Sum(sum[:0])
	return sum
}

// refreshToken is a refresh token in its parts.
type refreshToken struct {
	session string
	number  uint32
	hash    [32]byte
}

// parseRefresh takes text apart. ok says that we issued it, at some time.
func (s *secrets) parseRefresh(text string) (t refreshToken, ok bool) {
	digits, ok := strings.CutPrefix(text, RefreshPrefix)
	if !ok || len(digits) != refreshDigits {
		return t, false
	}
	body := []byte(digits[:refreshDigits-tagDigits])
	if !hmac.Equal(s.appendTag(nil, body), []byte(digits[len(body):])) {
		return t, false
	}
	for _, c := range body[sessionDigits : sessionDigits+numberDigits] {
		t.number = t.number*62 + uint32(strings.IndexByte(base62, c)) //nolint:gosec // the tag says that they are digits
	}
	t.session, t.hash = digits[:sessionDigits], mac(s.refresh, []byte(text))
	return t, true
}

func (s *secrets) appendTag(b, body []byte) []byte {
	sum := mac(s.tag, body)
	return appendBase62(b, binary.BigEndian.Uint64(sum[:8]), tagDigits)
}

// issue adds a refresh token to s, and returns its text.
func (a *Authority) issue(s *Session, now time.Time) string {
	body := appendBase62([]byte(s.ID), uint64(s.next), numberDigits)
	body = append(body, randomBase62(randomDigits)...)
	text := RefreshPrefix + string(a.secrets.appendTag(body, body))
	expires := now.UTC().Truncate(time.Millisecond).Add(a.settings.Load().RefreshTTL)
	if expires.After(s.EndsAt) {
		expires = s.EndsAt
	}
	s.ready = append(slices.Clip(s.ready), readyRefresh{s.next, mac(a.secrets.refresh, []byte(text)), expires})
	s.next++
	if surplus := len(s.ready) - maxReady; surplus > 0 {
		s.end(s.ready[:surplus])
		s.ready = s.ready[surplus:]
	}
	return text
}

// end remembers tokens that can no longer be used though they never were.
func (s *Session) end(tokens []readyRefresh) {
	for _, t := range tokens {
		s.ended = append(slices.Clip(s.ended), t.number)
	}
	s.ended = s.ended[max(0, len(s.ended)-maxEnded):]
}

// verdict is what a refresh token is good for.
type verdict int

const (
	verdictUnknown verdict = iota
	verdictUse             // for the first time
	verdictRetry
	verdictReuse
)

// judge says what t is good for at now. It changes nothing.
func (s *Session) judge(t *refreshToken, now time.Time) verdict {
	for _, r := range s.ready {
		if r.number != t.number {
			continue
		}
		if !hmac.Equal(r.hash[:], t.hash[:]) || !now.Before(r.expires) {
			return verdictUnknown
		}
		return verdictUse
	}
	switch {
	case t.number >= s.next || slices.Contains(s.ended, t.number):
		return verdictUnknown
	case t.number == s.spent.number && !hmac.Equal(s.spent.hash[:], t.hash[:]):
		return verdictUnknown
	case t.number == s.spent.number && now.Sub(s.spent.at).Abs() <= retryFor:
		return verdictRetry // its successors are unused, or it would not be the last that was spent
	}
	return verdictReuse
}

// spend makes t the token that was used last, and ends the others that were given in its place.
func (s *Session) spend(t *refreshToken, now time.Time) {
	s.end(slices.DeleteFunc(slices.Clone(s.ready), func(r readyRefresh) bool { return r.number == t.number }))
	s.ready = nil
	s.spent = spentRefresh{t.number, t.hash, now.UTC().Truncate(time.Millisecond)}
}

// RefreshSpec says who refreshes.
type RefreshSpec struct {
	Tenant, Environment string // of the key
	KeyID               string

	// Check is asked whether a session may be continued, before anything is changed; its error becomes that of Refresh. It must not call the Authority. Nil: it may.
	Check func(*Session) error
}

// Refresh continues a session: it returns it with another refresh token, in place of the one with this text.
//
// A token is used once. Used again within a minute, while what it gave is unused, it gives another token of the same session, and whichever of those is used
// first ends the others. Used again at any other time it ends the session, its access tokens included.
//
// Errors: [ErrRefreshUnknown], [ErrRefreshReused], that of spec.Check, and those of package internal/store.
func (a *Authority) Refresh(ctx context.Context, text string, spec RefreshSpec, now time.Time) (Session, string, error) {
	t, ok := a.secrets.parseRefresh(text)
	if !ok {
		return Session{}, "", ErrRefreshUnknown
	}
	var s Session
	var next string
	err := a.commit(ctx, func(tx *store.Tx) (err error) {
		if s, err = a.sessions.Get(tx, []byte(t.session)); err != nil {
			return err
		}
		next, err = a.continued(&s, &t, &spec, now)
		if err != nil {
			return err
		}
		return a.sessions.Put(tx, []byte(s.ID), s)
	})
	switch {
	case errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrRefreshUnknown):
		return Session{}, "", ErrRefreshUnknown
	case errors.Is(err, ErrRefreshReused):
		if _, err := a.endSession(context.WithoutCancel(ctx), t.session, "refresh token used again", now); err != nil { // also if the client is gone
			return Session{}, "", fmt.Errorf("ending a session whose refresh token was used again: %w", err)
		}
		return Session{}, "", ErrRefreshReused
	case err != nil:
		return Session{}, "", fmt.Errorf("refreshing a session: %w", err)
	}
	return s, next, nil
}

// continued changes s as the use of t does, and returns the next token.
func (a *Authority) continued(s *Session, t *refreshToken, spec *RefreshSpec, now time.Time) (string, error) {
	if s.Tenant != spec.Tenant || s.Environment != spec.Environment || !now.Before(s.EndsAt) || s.next > maxNumber || a.ended(s) {
		return "", ErrRefreshUnknown
	}
	v := s.judge(t, now)
	switch v {
	case verdictUnknown:
		return "", ErrRefreshUnknown
	case verdictReuse:
		return "", ErrRefreshReused
	case verdictUse, verdictRetry:
	}
	if spec.Check != nil {
		if err := spec.Check(s); err != nil {
			return "", err
		}
	}
	if v == verdictUse {
		s.spend(t, now)
	}
	s.KeyID = spec.KeyID
	return a.issue(s, now), nil
}

// ended says whether the deny list ends s: by its id, or with all that its user had when it was opened.
func (a *Authority) ended(s *Session) bool {
	if _, ok := a.denied.get(denyName{kind: denySession, id: s.ID}); ok {
		return true
	}
	at, ok := a.denied.get(denyName{denyUser, s.Tenant, s.Environment, s.User})
	return ok && s.OpenedAt.Unix() < at
}
