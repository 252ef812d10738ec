package token

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

const (
	publishedBefore = time.Hour           // how long a key stands in the document before it signs
	keptAfter       = 31 * 24 * time.Hour // how long it stays there after it has signed for the last time
	clockSkew       = 5 * time.Minute     // by how much a time that was recorded may lie ahead
	maxKeys         = 64                  // in the document: some who read such, the gate among them, take no more than 100

	// MaxLifetime is the longest that a token lives: less than keys are kept.
	MaxLifetime = 30 * 24 * time.Hour
)

// A ring is all signing keys at one moment. It is not changed.
type ring struct {
	keys       []*key // the one that signs, then those published, then those retired, each newest first
	signing    *signer
	document   []byte
	generation uint64
}

// signer is the key that signs, with what begins each token.
type signer struct {
	*key
	jwt    []byte // encoded header for typ JWT, with the dot
	access []byte // for typ at+jwt
}

func newSigner(k *key) *signer {
	header := func(typ string) []byte {
		text := `{"alg":"` + string(k.Algorithm) + `","kid":"` + k.ID + `","typ":"` + typ + `"}`
		return append(base64.RawURLEncoding.AppendEncode(nil, []byte(text)), '.')
	}
	return &signer{key: k, jwt: header(typeJWT), access: header(typeAccess)}
}

// newRing arranges keys. Two that sign cannot be: that is no state that this program leaves.
func newRing(keys []*key, generation uint64) (*ring, error) {
	r := &ring{keys: keys, generation: generation}
	order := func(s KeyState) int {
		return slices.Index([]KeyState{KeySigning, KeyPublished, KeyRetired}, s)
	}
	slices.SortFunc(r.keys, func(a, b *key) int {
		return cmp.Or(cmp.Compare(order(a.State), order(b.State)), b.PublishedAt.Compare(a.PublishedAt), cmp.Compare(a.ID, b.ID))
	})
	r.document = []byte(`{"keys":[`)
	for i, k := range r.keys {
		if k.State == KeySigning {
			if r.signing != nil {
				return nil, fmt.Errorf("%w: signing keys %q and %q both sign", store.ErrCorrupt, r.signing.ID, k.ID)
			}
			r.signing = newSigner(k)
		}
		if i > 0 {
			r.document = append(r.document, ',')
		}
		var err error
		if r.document, err = appendJWK(r.document, k.ID, k.Algorithm, k.private.Public()); err != nil {
			return nil, fmt.Errorf("publishing signing key %q: %w", k.ID, err)
		}
	}
	r.document = append(r.document, "]}"...)
	if r.signing == nil && len(r.keys) > 0 {
		return nil, fmt.Errorf("%w: no signing key of %d signs", store.ErrCorrupt, len(r.keys))
	}
	return r, nil
}

// A step is one change of the ring.
type step int

const (
	stepNone     step = iota
	stepFirst         // make a key that signs at once
	stepPublish       // make one that will
	stepBegin         // the key begins to sign, and the one that did is retired
	stepWithdraw      // the key is deleted, and has never signed
	stepDelete        // the key is deleted: no token that it signed is still good
	stepRedate        // the key has a time that lies ahead: the clock was wrong
)

// next says what is to be done at now, and to which key: one thing at a time, until it says stepNone.
func (r *ring) next(want Algorithm, every time.Duration, now time.Time) (step, *key) {
	if r.signing == nil {
		return stepFirst, nil
	}
	pending := false
	for _, k := range r.keys {
		if s := k.due(want, now); s != stepNone {
			return s, k
		}
		pending = pending || k.State == KeyPublished
	}
	old := r.signing.Algorithm != want || now.Sub(r.signing.BeganAt) >= max(every-publishedBefore, 0)
	if old && !pending && len(r.keys) < maxKeys {
		return stepPublish, nil
	}
	return stepNone, nil
}

// due says what is to be done with k at now.
func (k *key) due(want Algorithm, now time.Time) step {
	ahead := now.Add(clockSkew)
	switch {
	case k.State != KeyRetired && (k.PublishedAt.After(ahead) || k.BeganAt.After(ahead)):
		return stepRedate // a retired one is kept the longer: if it is now that the clock is wrong, it would be deleted too early
	case k.State == KeyRetired && now.Sub(k.RetiredAt) >= keptAfter:
		return stepDelete
	case k.State == KeyPublished && k.Algorithm != want:
		return stepWithdraw
	case k.State == KeyPublished && !now.Before(k.SignsFrom) && (k.made.IsZero() || now.Sub(k.made) >= publishedBefore):
		return stepBegin // both clocks say so
	}
	return stepNone
}

// redate puts what lies ahead of now at now: the key is as if what it went through last had happened now, by both clocks.
func (k *key) redate(now time.Time) {
	k.made = now
	now = now.UTC().Truncate(time.Millisecond)
	for _, t := range []*time.Time{&k.PublishedAt, &k.BeganAt} {
		if t.After(now) {
			*t = now
		}
	}
	if k.State == KeyPublished {
		k.SignsFrom = now.Add(publishedBefore)
	}
}

// loadRing reads the keys and unseals them. The errors are ErrSealed and those of package internal/store.
func loadRing(db *store.DB, t *store.Table[sealedKey], s *secrets) ([]*key, error) {
	var keys []*key
	for row, err := range t.Walk(db, nil) {
		if err != nil {
			return nil, fmt.Errorf("reading signing keys: %w", err)
		}
		k, err := s.unsealed(&row.Record)
		if err == nil && string(row.Key) != k.ID {
			err = fmt.Errorf("%w: it stands where %q should", ErrSealed, row.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("reading signing key %q: %w", row.Key, err)
		}
		keys = append(keys, &k)
	}
	return keys, nil
}

// without is the keys but for one, which may come back changed.
func (r *ring) without(k *key, more ...*key) []*key {
	keys := slices.DeleteFunc(slices.Clone(r.keys), func(o *key) bool { return k != nil && o.ID == k.ID })
	return append(keys, more...)
}
