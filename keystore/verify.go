package keystore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// Verify is [Store.Lookup] for people: whose key the printed text is, also where it is refused, with all that [Store.Key]
// shows. Nothing is counted; a slow secret is replaced, as by Lookup. It reads the file each time, and its time says how far it came: it is not for requests.
//
// The error is that of Lookup. With [ErrUnknown] and [ErrUnavailable] the Key is zero, as nothing was proven.
func (s *Store) Verify(ctx context.Context, text string, now time.Time) (Key, error) {
	if err := ctx.Err(); err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var f finding
	prove := s.prove
	if s.readOnly {
		prove = s.proveInFile
	}
	verdict := prove(text, now, &f)
	if errors.Is(verdict, ErrUnknown) && !s.readOnly {
		within, cancel := context.WithTimeout(ctx, verifyingPatience)
		defer cancel()
		if verdict = s.proveSlowly(within, text, s.index.Load().slow.find(text), now); verdict == nil {
			verdict = prove(text, now, &f)
		}
	}
	if errors.Is(verdict, ErrUnknown) || errors.Is(verdict, ErrUnavailable) {
		return Key{}, verdict
	}
	var k Key
	err := s.db.View(func(tx *store.Tx) error {
		r, err := s.keys.Get(tx, number(f.key))
		if err != nil {
			return err
		}
		k, err = s.show(tx, &r, now)
		return err
	})
	if err != nil {
		return Key{}, fmt.Errorf("%w: reading key %d: %w", ErrUnavailable, f.key, err)
	}
	return k, verdict
}

// lookupInFile is Lookup without an index.
func (s *Store) lookupInFile(text string, p *Prepare, now time.Time) (Match, error) {
	var f finding
	if err := s.proveInFile(text, now, &f); err != nil {
		return Match{}, err
	}
	c, err := s.read(f.key, f.version, p)
	if err != nil {
		return Match{}, fmt.Errorf("%w: reading key %d: %w", ErrUnavailable, f.key, err)
	}
	return f.match(c), nil
}

// proveInFile is prove without an index: with one that has only the keys that text may be of. A foreign key is found by
// reading the heads of all, and only where there is no other.
func (s *Store) proveInFile(text string, now time.Time, f *finding) error {
	if len(text) > maxPrintedLength {
		return ErrUnknown
	}
	h := s.hashers.get()
	defer s.hashers.put(h)
	for _, candidates := range []func(*store.Tx, *hasher, string) ([]uint32, error){s.candidateByID, s.candidatesByHash} {
		var numbers []uint32
		*f = finding{index: newIndex()}
		unread := s.db.View(func(tx *store.Tx) (err error) {
			numbers, err = candidates(tx, h, text)
			return err
		})
		if unread = errors.Join(unread, s.reloadKeys(f.index, numbers)); unread != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, unread)
		}
		if err := s.find(h, text, now, f); !errors.Is(err, ErrUnknown) {
			return err
		}
	}
	return s.proveSlowlyInFile(text, now, f)
}

// candidateByID is the number of the key that has the lookup id in text, if there is one.
func (s *Store) candidateByID(tx *store.Tx, _ *hasher, text string) ([]uint32, error) {
	prefix, wellFormed := split([]byte(text))
	if !wellFormed {
		return nil, nil
	}
	row, err := s.keys.Lookup(tx, indexID, []byte(text[prefix:prefix+idLength]))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return []uint32{numberOf(row.Key)}, err
}

// candidatesByHash are the numbers of the keys that were imported with the hash of text.
func (s *Store) candidatesByHash(tx *store.Tx, h *hasher, text string) (numbers []uint32, err error) {
	hash := bytes.Clone(h.foreign(sha256.Sum256([]byte(text)))[:])
	var there head
	for row, err := range headsOf(&there).Scan(tx, nil) {
		if err != nil {
			return nil, err
		}
		for i := range there.secrets {
			if c := &there.secrets[i]; c.kind == kindSHA256 && bytes.Equal(c.hash[:], hash) {
				numbers = append(numbers, numberOf(row.Key))
			}
		}
	}
	return numbers, nil
}

// forgetful is a Cache that keeps nothing, for a store that is asked once.
type forgetful struct{}

// Get finds nothing.
func (forgetful) Get(uint64) (*Cached, bool) { return nil, false }

// Set keeps nothing.
func (forgetful) Set(uint64, *Cached, int64) {}
