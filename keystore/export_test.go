package keystore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// Work is the number of HMACs and compares that a lookup of text makes in the index, and what the index says.
func (s *Store) Work(text string, now time.Time) (hashes, compares int, err error) {
	h := s.hashers.get()
	h.hashes, h.compares = 0, 0
	err = s.find(h, text, now, &finding{index: s.index.Load()})
	return h.hashes, h.compares, err
}

// Seed makes n keys of one tenant in few transactions, for benchmarks, and returns the printed form of every k-th. They
// are made in the order of their ids, which spares bbolt most of the work.
func (s *Store) Seed(n, k int, spec KeySpec, now time.Time) ([]string, error) {
	key, err := s.key(&spec, now)
	if err != nil {
		return nil, err
	}
	e, err := s.environment(key.Environment)
	if err != nil {
		return nil, err
	}
	minted := make([]Credential, n)
	for i := range minted {
		if minted[i], err = mint(e.KeyPrefix, s.random); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(minted, func(a, b Credential) int { return strings.Compare(a.ID, b.ID) })
	var printed []string
	for lot := range slices.Chunk(minted, 50_000) {
		if _, err := s.db.Update(func(tx *store.Tx) error { return s.seed(tx, lot, key, spec.Tenant) }); err != nil {
			return nil, err
		}
	}
	for i := 0; i < n; i += k {
		printed = append(printed, minted[i].print())
	}
	return printed, s.follow()
}

func (s *Store) seed(tx *store.Tx, minted []Credential, key Key, tenant string) error {
	t, err := s.owner(tx, tenant)
	if err != nil {
		return err
	}
	for _, c := range minted {
		r := record{Key: key, head: head{tenant: t.number, version: 1, state: codeActive}}
		if r.number, err = next(tx, s.keys); err != nil {
			return err
		}
		r.ID = c.ID
		r.secrets = []secret{{number: 1, kind: kindMinted, id: [idLength]byte([]byte(c.ID)), hash: s.hashOf(c.print()), start: c.start()}}
		if err := s.keys.Insert(tx, number(r.number), r); err != nil {
			return err
		}
	}
	return nil
}

// Print gives the printed form of c.
func Print(c Credential) string { return c.print() }

// FallBehind makes the index one that could not follow the file because of err.
func (s *Store) FallBehind(err error) {
	err = errors.Join(ErrUnavailable, err)
	s.down.Store(&err)
}

// HoldIndex keeps the index as it is, as a long import does when it is published, until release is called.
func (s *Store) HoldIndex() (release func()) {
	s.following.Lock()
	return s.following.Unlock
}

// Encodings are the records that the file holds of a key, its tenant and their use.
func (s *Store) Encodings(id string) (all [][]byte, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		r, err := s.findKey(tx, id)
		if err != nil {
			return err
		}
		t, err := s.tenants.Get(tx, number(r.tenant))
		all = append(all, appendRecord(nil, r), appendTenant(nil, t), appendStaging(nil, staging{started: r.CreatedAt}))
		u := useRecord{}
		u.add(1, use{requests: 3, last: 4})
		u.add(2, use{requests: 1, last: 2})
		all = append(all, appendUse(nil, u))
		for row, err := range s.audit.Scan(tx, nil) {
			if err != nil {
				return err
			}
			all = append(all, appendAudit(nil, row.Record))
		}
		return err
	})
	return all, err
}

// Reencode decodes b as each kind of record that it can be, and encodes that again.
func Reencode(version uint8, b []byte) map[string][]byte {
	all := make(map[string][]byte)
	if r, err := decodeRecord(version, b); err == nil {
		all["key"] = appendRecord(nil, r)
		var h head
		if _, err := decodeHead(&h)(version, b); err == nil {
			all["head of a key"] = append(h.appendTo(nil), b[len(h.appendTo(nil)):]...)
		}
	}
	if t, err := decodeTenant(version, b); err == nil {
		all["tenant"] = appendTenant(nil, t)
	}
	if u, err := decodeUse(version, b); err == nil {
		all["use"] = appendUse(nil, u)
	}
	if a, err := decodeAudit(version, b); err == nil {
		all["audit"] = appendAudit(nil, a)
	}
	if s, err := decodeStaging(version, b); err == nil {
		all["import"] = appendStaging(nil, s)
	}
	return all
}

// AddSlowSecret gives a key a secret of a slow kind.
func (s *Store) AddSlowSecret(id, hash, start string) error {
	return s.stage(context.Background(), func(tx *store.Tx) error {
		r, err := s.findKey(tx, id)
		if err != nil {
			return err
		}
		r.secrets = append(r.secrets, secret{number: 2, kind: kindBcrypt, slow: hash, start: start})
		return s.update(tx, &r, r.CreatedAt)
	})
}

// Comparing is how slow hashes are compared.
func (s *Store) Comparing() func(hash string, text []byte) bool {
	was := s.attempts.compare
	return func(hash string, text []byte) bool {
		kind := kindBcrypt
		if strings.HasPrefix(hash, "$argon2id$") {
			kind = kindArgon2id
		}
		return was(kind, hash, text)
	}
}

// CheckSlow says whether a slow hash can be imported, and CompareSlow whether it is that of a text.
func CheckSlow(kind HashKind, text string) error { return checkSlow(kind, text) }

// CompareSlow is described above.
func CompareSlow(kind HashKind, hash string, text []byte) bool {
	return compareSlow(secretKind(symbol(hashKinds(), kind)), hash, text)
}

// Cheap says whether a slow hash costs so little that a fuzzer can afford it.
func Cheap(kind HashKind, text string) bool {
	if kind == HashBcrypt {
		return strings.HasPrefix(text[3:], "$04$")
	}
	a, err := parseArgon(text)
	return err == nil && uint64(a.memory)*uint64(a.passes) < 1024
}

// CompareBy has slow hashes compared by fn, which may wait.
func (s *Store) CompareBy(fn func(hash string, text []byte) bool) {
	s.attempts.compare = func(_ secretKind, hash string, text []byte) bool { return fn(hash, text) }
}

// Undone tells the Store how a write transaction failed.
func (s *Store) Undone(err error) error { return s.undone(err) }

// ChangeInSilence changes a key and forgets the record.
func (s *Store) ChangeInSilence(id string) error {
	return s.change(context.Background(), time.Now(), func(tx *store.Tx) (*Record, error) {
		r, err := s.findKey(tx, id)
		if err != nil {
			return nil, err
		}
		return nil, s.update(tx, &r, r.CreatedAt)
	})
}

// ChangeAtLength changes a key and records too much.
func (s *Store) ChangeAtLength(id string) error {
	return s.change(context.Background(), time.Now(), func(tx *store.Tx) (*Record, error) {
		r, err := s.findKey(tx, id)
		if err != nil {
			return nil, err
		}
		texts := slices.Repeat([]string{strings.Repeat("x", 255)}, 17)
		return &Record{Action: "key.update", Details: []Detail{{Name: "ended", Texts: texts}}}, s.update(tx, &r, r.CreatedAt)
	})
}

// StageAfter has imports stage lines when there are so many.
func (s *Store) StageAfter(n int) { s.window = n }

// Uses counts the keys of whose use the file knows.
func (s *Store) Uses() (n int, err error) {
	for _, err := range s.uses.Walk(s.db, nil) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// Harm is a contradiction that the examination must find.
type Harm int

const (
	HarmNumber Harm = iota
	HarmTenant
	HarmSecrets
	HarmLookupID
)

// Spoil stores the key as it can never be.
func (s *Store) Spoil(id string, harm Harm) error {
	_, err := s.db.Update(func(tx *store.Tx) error {
		r, err := s.findKey(tx, id)
		if err != nil {
			return err
		}
		at := number(r.number)
		switch harm {
		case HarmNumber:
			r.number = 7
		case HarmTenant:
			r.tenant = 99
		case HarmSecrets:
			r.secrets = append(r.secrets, r.secrets[0])
		case HarmLookupID:
			r.secrets[0].id = [idLength]byte{}
		}
		return s.keys.Put(tx, at, r)
	})
	return err
}

// UsedSecrets is of how many secrets of a key the file knows the use.
func (s *Store) UsedSecrets(id string) (n int, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		r, err := s.findKey(tx, id)
		if err != nil {
			return err
		}
		u, err := s.useOf(tx, r.number)
		n = len(u.secrets)
		return err
	})
	return n, err
}
