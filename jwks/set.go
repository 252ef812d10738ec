package jwks

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postern-auth/postern/internal/strictjson"
)

// Bounds of a key set.
const (
	maxSet      = 1 << 20 // bytes
	maxKeys     = 100
	maxKeySize  = 32 << 10 // bytes
	maxSetDepth = 8
	maxGuesses  = 4 // keys that a token without kid may try
)

// Set is the keys of one issuer that were admitted. It holds at least one, and never changes.
type Set struct {
	keys       []key           // in the order of their ids
	byID       map[string]span // kid → places in keys; without the keys that have none
	refused    []Refusal
	generation uint64
}

// span is a run of keys: one key, or the same one for several algorithms.
type span struct{ first, end int }

// Refusal is a key of a set that was not admitted.
type Refusal struct {
	Place  int    // in the list of keys, from 0
	KeyID  string // kid, at most 256 bytes; empty when there is none
	Reason string // one of a few fixed texts
}

func (r Refusal) String() string {
	if r.KeyID == "" {
		return fmt.Sprintf("keys[%d]: %s", r.Place, r.Reason)
	}
	return fmt.Sprintf("keys[%d] (kid %q): %s", r.Place, r.KeyID, r.Reason)
}

// ParseSet admits the keys of a JWK Set (RFC 7517, section 5) of up to 1 MiB and 100 keys, one by one: RSA of 2048 to 8192
// bits with exponent 65537 and without the ROCA fingerprint, P-256, P-384 and P-521, Ed25519; for signatures only. Others,
// and types that nobody knows, are left out ([Set.Refused]); so are both of two different keys with
// one kid.
//
// The error is [ErrMalformedSet] (no strict JSON, repeated names, too large), [ErrSecretKeys] (a private member in any key, or
// a symmetric key beside public ones) or [ErrNoKeys], which says why each key was refused.
func ParseSet(b []byte) (*Set, error) {
	list, err := splitSet(b)
	if err != nil {
		return nil, err
	}
	if publishesSecrets(list) {
		return nil, ErrSecretKeys
	}
	s := &Set{}
	places := make([]int, 0, len(list)) // of keys in the list
	for i, members := range list {
		k, err := admit(members)
		if err != nil {
			s.refuse(i, members, err)
			continue
		}
		s.keys, places = append(s.keys, k), append(places, i)
	}
	s.dropAmbiguous(list, places)
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("%w%s", ErrNoKeys, reasons(s.refused))
	}
	s.index()
	return s, nil
}

// splitSet reads the members of each key of a set.
func splitSet(b []byte) ([]strictjson.Object, error) {
	if len(b) > maxSet {
		return nil, fmt.Errorf("%w: %w", ErrMalformedSet, errLength)
	}
	set, err := strictjson.Parse(string(b), strictjson.Rules{Depth: maxSetDepth}, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformedSet, err)
	}
	keys, _ := set.Find("keys")
	if keys.Kind != strictjson.KindArray {
		return nil, fmt.Errorf("%w: no list of keys", ErrMalformedSet)
	}
	var list []strictjson.Object
	for raw, kind := range strictjson.Elements(keys.Raw) {
		if kind != strictjson.KindObject {
			return nil, fmt.Errorf("%w: a key that is no object", ErrMalformedSet)
		}
		if len(list) == maxKeys {
			return nil, fmt.Errorf("%w: more than %d keys", ErrMalformedSet, maxKeys)
		}
		if len(raw) > maxKeySize {
			return nil, fmt.Errorf("%w: a key of more than %d bytes", ErrMalformedSet, maxKeySize)
		}
		members, err := strictjson.Parse(raw, strictjson.Rules{Depth: maxSetDepth}, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformedSet, err)
		}
		list = append(list, members)
	}
	return list, nil
}

// publishesSecrets says whether a set holds what only the signer may know.
func publishesSecrets(list []strictjson.Object) bool {
	symmetric, public := false, false
	for _, members := range list {
		kty, _ := members.Find("kty")
		if name, _ := kty.Text(); name == "oct" {
			symmetric = true
			continue
		}
		public = true
		for _, m := range members {
			switch m.Name {
			case "d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv":
				return true
			}
		}
	}
	return symmetric && public
}

// refuse notes that the key at place i was not admitted.
func (s *Set) refuse(i int, members strictjson.Object, why error) {
	id, _ := keyID(members)
	s.refused = append(s.refused, Refusal{Place: i, KeyID: id, Reason: why.Error()})
}

// dropAmbiguous takes out keys that share their id with a different one: a token could mean either. The same key may stand
// there for several algorithms, as some providers print it; twice for one it is kept once. places says where in the list each
// key of s stands.
func (s *Set) dropAmbiguous(list []strictjson.Object, places []int) {
	var kept []key
	for i, k := range s.keys {
		same := func(other key) bool {
			return other.id == k.id && other.material == k.material && other.algorithm == k.algorithm
		}
		differs := func(other key) bool { return k.id != "" && other.id == k.id && other.material != k.material }
		switch {
		case slices.ContainsFunc(s.keys, differs):
			s.refuse(places[i], list[places[i]], errKeyTwice)
		case !slices.ContainsFunc(kept, same):
			kept = append(kept, k)
		}
	}
	s.keys = kept
}

// index prepares the set for use.
func (s *Set) index() {
	slices.SortFunc(s.keys, func(a, b key) int {
		return cmp.Or(strings.Compare(a.id, b.id), strings.Compare(a.material, b.material), strings.Compare(string(a.algorithm), string(b.algorithm)))
	})
	s.byID = make(map[string]span, len(s.keys))
	h := sha256.New()
	for i, k := range s.keys {
		if k.id != "" {
			named, again := s.byID[k.id]
			if !again {
				named.first = i
			}
			named.end = i + 1
			s.byID[k.id] = named
		}
		for _, part := range []string{k.id, k.material, string(k.algorithm)} {
			var size [4]byte
			binary.BigEndian.PutUint32(size[:], uint32(len(part))) //nolint:gosec // at most 1 MiB
			h.Write(size[:])
			h.Write([]byte(part))
		}
	}
	s.generation = max(binary.BigEndian.Uint64(h.Sum(nil)), 1)
}

// Refused returns the keys that were not admitted, in no particular order.
func (s *Set) Refused() []Refusal { return slices.Clone(s.refused) }

// Generation tells sets apart: it is a digest of the admitted keys, never 0. A set with the same keys has the same one, in
// whatever order they stand, so that a refresh which changes nothing invalidates nothing.
func (s *Set) Generation() uint64 { return s.generation }

// Len is the number of keys, at least 1.
func (s *Set) Len() int { return len(s.keys) }

// KeyIDs returns the ids of the keys that have one, in order.
func (s *Set) KeyIDs() []string { return slices.Sorted(maps.Keys(s.byID)) }

// Has says whether a key of the set has that id. A [Source] asks it before it fetches again.
func (s *Set) Has(kid string) bool {
	_, ok := s.byID[kid]
	return ok
}

// candidates returns the keys that may have signed, of which some may be for another algorithm: those of the token's key id,
// or for a token without one those of the type, of which there may be only a few.
func (s *Set) candidates(t *Token) []key {
	if t.KeyID != "" {
		named := s.byID[t.KeyID]
		return s.keys[named.first:named.end]
	}
	var fitting []key
	for _, k := range s.keys {
		if k.family != t.Algorithm.family() {
			continue
		}
		if len(fitting) == maxGuesses {
			return nil
		}
		fitting = append(fitting, k)
	}
	return fitting
}

// reasons lists the first few refusals, for an error.
func reasons(refused []Refusal) string {
	const few = 5
	var b strings.Builder
	for i, r := range refused {
		if i == few {
			fmt.Fprintf(&b, "; and %d more", len(refused)-few)
			break
		}
		b.WriteString("; ")
		b.WriteString(r.String())
	}
	return b.String()
}
