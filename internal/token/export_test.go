package token

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// Trim is what Run does now and then.
func (a *Authority) Trim(ctx context.Context, now time.Time) error { return a.trim(ctx, now) }

// Advance is what Run does every minute.
func (a *Authority) Advance(ctx context.Context, now time.Time) error { return a.advance(ctx, now) }

// Secrets are the private halves of all keys, as they must not be found anywhere.
func (a *Authority) Secrets() (secrets [][]byte) {
	for _, k := range a.ring.Load().keys {
		switch p := k.private.(type) {
		case ed25519.PrivateKey:
			secrets = append(secrets, p.Seed())
		case *ecdsa.PrivateKey:
			b, _ := p.Bytes()
			secrets = append(secrets, b)
		case *rsa.PrivateKey:
			secrets = append(secrets, p.Primes[0].Bytes(), p.D.Bytes())
		}
	}
	return secrets
}

// SealedKeys harms stored keys.
type SealedKeys struct{ table *store.Table[sealedKey] }

// KeysOf returns the table of keys.
func KeysOf() *SealedKeys { return &SealedKeys{newKeys()} }

// each changes every key.
func (s *SealedKeys) each(tx *store.Tx, change func(*sealedKey)) error {
	for row, err := range s.table.Scan(tx, nil) {
		if err != nil {
			return err
		}
		change(&row.Record)
		if err := s.table.Put(tx, row.Key, row.Record); err != nil {
			return err
		}
	}
	return nil
}

// Flip flips a bit of each seal.
func (s *SealedKeys) Flip(tx *store.Tx) error {
	return s.each(tx, func(k *sealedKey) { k.sealed[len(k.sealed)/2] ^= 1 })
}

// Name gives each key another algorithm.
func (s *SealedKeys) Name(tx *store.Tx, a Algorithm) error {
	return s.each(tx, func(k *sealedKey) { k.Algorithm = a })
}

// Backdate has each key published a day earlier, so that it may sign.
func (s *SealedKeys) Backdate(tx *store.Tx) error {
	return s.each(tx, func(k *sealedKey) { k.SignsFrom = k.SignsFrom.Add(-24 * time.Hour) })
}

// Rename gives each key another id.
func (s *SealedKeys) Rename(tx *store.Tx) error {
	return s.each(tx, func(k *sealedKey) { k.ID += "x" })
}

// Unseal takes the seals away.
func (s *SealedKeys) Unseal(tx *store.Tx) error {
	return s.each(tx, func(k *sealedKey) { k.sealed = nil })
}

// Swap puts each record where another stands.
func (s *SealedKeys) Swap(tx *store.Tx) error {
	var keys [][]byte
	var records []sealedKey
	for row, err := range s.table.Scan(tx, nil) {
		if err != nil {
			return err
		}
		keys, records = append(keys, bytes.Clone(row.Key)), append(records, row.Record)
	}
	for i, k := range keys {
		if err := s.table.Put(tx, k, records[(i+1)%len(records)]); err != nil {
			return err
		}
	}
	return nil
}

// PublishedBy says when by the monotonic clock the keys that are published were.
func (a *Authority) PublishedBy(at time.Time) {
	for _, k := range a.ring.Load().keys {
		if k.State == KeyPublished {
			k.made = at
		}
	}
}

// HourFrom is since when the hour of the key that is published is measured by the monotonic clock; zero: it is not.
func (a *Authority) HourFrom() (at time.Time) {
	for _, k := range a.ring.Load().keys {
		if k.State == KeyPublished {
			at = k.made
		}
	}
	return at
}

// Deny adds n revocations of tokens, in memory alone.
func (a *Authority) Deny(n int) {
	for i := range n {
		a.denied.put(&denial{denyName: denyName{kind: denyToken, id: strconv.Itoa(i)}})
	}
}

// SizeOfSessions is the size of the longest record of a session.
func SizeOfSessions(tb testing.TB, db *store.DB) (n int) {
	tb.Helper()
	for row, err := range newSessions().Walk(db, nil) {
		if err != nil {
			tb.Fatal(err)
		}
		n = max(n, len(appendSession(nil, row.Record)))
	}
	return n
}

// Harm changes what is stored so that each record can be read, but not all of it be true.
func Harm(tx *store.Tx, what string) error {
	nobody := Session{ID: "s9", next: 2}
	reused := Session{ID: "s9", Tenant: "acme", Environment: "LIVE", User: "u", next: 2, ready: []readyRefresh{{number: 1}, {number: 1}}}
	full := Session{ID: "s9", Tenant: "acme", Environment: "LIVE", User: "u", next: 900, ended: make([]uint32, maxEnded+1)}
	switch what {
	case "key id":
		return KeysOf().Rename(tx)
	case "key algorithm":
		return KeysOf().Name(tx, "none")
	case "key seal":
		return KeysOf().Unseal(tx)
	case "no key signs":
		return KeysOf().each(tx, func(k *sealedKey) { k.RetiredAt = k.BeganAt })
	case "two keys sign":
		for row, err := range newKeys().Scan(tx, nil) {
			row.Record.ID += "x"
			return errors.Join(err, newKeys().Put(tx, []byte(row.Record.ID), row.Record))
		}
	case "denial":
		return newDenials().Put(tx, denyName{kind: denyToken, id: "other"}.key(), denial{denyName: denyName{kind: denyToken, id: "one"}})
	case "denial of nothing":
		n := denyName{kind: denyUser, tenant: "acme", environment: "LIVE"}
		return newDenials().Put(tx, n.key(), denial{denyName: n})
	case "session id":
		return newSessions().Put(tx, []byte("s8"), Session{ID: "s9", Tenant: "acme", Environment: "LIVE", User: "u", next: 2})
	case "session of nobody":
		return newSessions().Put(tx, []byte("s9"), nobody)
	case "session numbers":
		return newSessions().Put(tx, []byte("s9"), reused)
	case "session length":
		return newSessions().Put(tx, []byte("s9"), full)
	}
	panic(what)
}

// Reencode decodes b as each kind of record that it can be, and encodes that again.
func Reencode(version uint8, b []byte) map[string][]byte {
	all := make(map[string][]byte)
	reencode(all, "session", version, b, decodeSession, appendSession)
	reencode(all, "denial", version, b, decodeDenial, appendDenial)
	reencode(all, "signing key", version, b, decodeKey, appendKey)
	return all
}

func reencode[R any](all map[string][]byte, kind string, version uint8, b []byte, decode func(uint8, []byte) (R, error), encode func([]byte, R) []byte) {
	if r, err := decode(version, b); err == nil {
		all[kind] = encode(nil, r)
	}
}

// Encodings are samples of each kind of record.
func Encodings() [][]byte {
	at := time.UnixMilli(1).UTC()
	k := sealedKey{Key: Key{ID: "k", Algorithm: EdDSA, PublishedAt: at}, sealed: []byte("sealed")}
	s := Session{
		ID: "s9", Tenant: "acme", Environment: "LIVE", User: "u", OpenedAt: at, spent: spentRefresh{number: 1, at: at}, next: 3,
		ready: []readyRefresh{{number: 2, expires: at}}, ended: []uint32{0},
	}
	d := denial{denyName: denyName{denyUser, "acme", "LIVE", "u"}, at: at, until: at}
	return [][]byte{appendKey(nil, k), appendSession(nil, s), appendDenial(nil, d)}
}
