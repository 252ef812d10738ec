package token

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

const (
	turn      = time.Minute      // how often Run looks at the keys
	trimEvery = 10 * time.Minute // how often it forgets what has expired
)

// Run replaces signing keys when it is time, and forgets revocations and sessions that have expired, until ctx ends; then it returns nil. What goes wrong is logged,
// and tried again.
func (a *Authority) Run(ctx context.Context) error {
	var trimmed time.Time
	for {
		now := time.Now()
		if err := a.advance(ctx, now); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "signing keys could not be changed", slog.Any("err", err))
		}
		if now.Sub(trimmed).Abs() >= trimEvery {
			trimmed = now
			if err := a.trim(ctx, now); err != nil && ctx.Err() == nil {
				a.log.ErrorContext(ctx, "expired revocations and sessions could not be deleted", slog.Any("err", err))
			}
		}
		next := time.NewTimer(turn + jitter())
		select {
		case <-ctx.Done():
			next.Stop()
			return nil
		case <-next.C:
		case <-a.changed:
			next.Stop()
		}
	}
}

// jitter is up to six seconds.
func jitter() time.Duration {
	var b [1]byte
	_, _ = rand.Read(b[:]) // it never fails
	return turn / 10 * time.Duration(b[0]) / 256
}

// trim forgets what has expired.
func (a *Authority) trim(ctx context.Context, now time.Time) error {
	if err := a.trimDenials(ctx, now); err != nil {
		return err
	}
	return a.trimSessions(ctx, now)
}

// Rotate publishes a new key, which will sign in an hour in the place of the one that signs now. If one is published already nothing is changed. The
// result is the key that was or is published; where there was none that signed it signs at once. Error: [ErrTooManyKeys].
func (a *Authority) Rotate(ctx context.Context, now time.Time) (Key, error) {
	a.rotating.Lock()
	defer a.rotating.Unlock()
	r, want := a.ring.Load(), a.settings.Load().Algorithm
	s := stepPublish
	if r.signing == nil {
		s = stepFirst
	}
	for _, k := range r.keys {
		if k.State == KeyPublished && k.Algorithm == want {
			return k.Key, nil
		}
	}
	if len(r.keys) >= maxKeys {
		return Key{}, ErrTooManyKeys
	}
	k, err := a.take(ctx, s, nil, "signing_key.rotate", now)
	if err != nil {
		return Key{}, fmt.Errorf("rotating signing keys: %w", err)
	}
	return k.Key, nil
}

// advance does what is to be done at now.
func (a *Authority) advance(ctx context.Context, now time.Time) error {
	a.rotating.Lock()
	defer a.rotating.Unlock()
	for range 100 { // each step leads nearer to the end; this is for a step that does not
		o := a.settings.Load()
		s, k := a.ring.Load().next(o.Algorithm, o.RotateEvery, now)
		if s == stepNone {
			return nil
		}
		if _, err := a.take(ctx, s, k, "signing_key.create", now); err != nil {
			return fmt.Errorf("changing signing keys: %w", err)
		}
	}
	return nil
}

// take does one step with k, which it leaves as it is, and returns the key that came of it. It needs the rotating lock.
func (a *Authority) take(ctx context.Context, s step, k *key, make string, now time.Time) (*key, error) {
	r := a.ring.Load()
	stored := now.UTC().Truncate(time.Millisecond)
	switch s {
	case stepFirst, stepPublish:
		made, err := a.make(s, now)
		if err != nil {
			return nil, err
		}
		return made, a.replace(ctx, make, made, r.without(nil, made), now, made)
	case stepBegin:
		begun, retired := *k, *r.signing.key
		begun.BeganAt, retired.RetiredAt = stored, stored
		keys := r.without(k, &begun)
		keys = (&ring{keys: keys}).without(&retired, &retired)
		return &begun, a.replace(ctx, "signing_key.retire", &retired, keys, now, &begun, &retired)
	case stepRedate:
		dated := *k
		dated.redate(now)
		return &dated, a.replace(ctx, "signing_key.redate", &dated, r.without(k, &dated), now, &dated)
	case stepWithdraw, stepDelete:
		return k, a.replace(ctx, "signing_key.delete", k, r.without(k), now)
	case stepNone:
	}
	return k, nil
}

// make makes a key.
func (a *Authority) make(s step, now time.Time) (*key, error) {
	algorithm := a.settings.Load().Algorithm
	private, err := algorithm.generate()
	if err != nil {
		return nil, err
	}
	stored := now.UTC().Truncate(time.Millisecond)
	k := &key{private: private, made: now, Key: Key{ID: rand.Text(), Algorithm: algorithm, PublishedAt: stored, SignsFrom: stored}}
	if s == stepFirst {
		k.BeganAt = stored
	} else {
		k.SignsFrom = stored.Add(publishedBefore)
	}
	return k, nil
}

// replace stores the keys put, deletes what is not in keys, and puts keys in force. The record of it says action, and is about subject.
func (a *Authority) replace(ctx context.Context, action string, subject *key, keys []*key, now time.Time, put ...*key) error {
	for _, k := range put { // the others are in use, and not to be written to
		k.setState()
	}
	kept := make(map[string]bool, len(keys))
	for _, k := range keys {
		kept[k.ID] = true
	}
	was := a.ring.Load()
	next, err := newRing(keys, was.generation+1)
	if err != nil {
		return err
	}
	records := make([]sealedKey, len(put))
	for i, k := range put {
		if records[i], err = a.secrets.sealed(k); err != nil {
			return err
		}
	}
	err = a.change(ctx, now, func(tx *store.Tx) (*Event, error) {
		for _, k := range records {
			if err := a.keys.Put(tx, []byte(k.ID), k); err != nil {
				return nil, err
			}
		}
		for _, k := range was.keys {
			if kept[k.ID] {
				continue
			}
			if err := a.keys.Delete(tx, []byte(k.ID)); err != nil {
				return nil, err
			}
		}
		details := []Detail{{Name: "kid", Texts: []string{subject.ID}}, {Name: "algorithm", Texts: []string{string(subject.Algorithm)}}}
		return &Event{Action: action, Details: details}, nil
	})
	if err != nil {
		return err
	}
	a.ring.Store(next)
	return nil
}
