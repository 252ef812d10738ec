package token

import (
	"bytes"
	"crypto"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// KeyState is what a signing key is good for.
type KeyState string

// The states of a signing key, in the order in which it has them.
const (
	KeyPublished KeyState = "published" // stands in the document, and does not sign yet
	KeySigning   KeyState = "signing"
	KeyRetired   KeyState = "retired" // stands in the document for the tokens that it has signed
)

// Key is what may be known of a signing key.
type Key struct {
	ID          string
	Algorithm   Algorithm
	State       KeyState
	PublishedAt time.Time
	SignsFrom   time.Time // the earliest time at which it may begin to sign
	BeganAt     time.Time // to sign; zero: it has not
	RetiredAt   time.Time // zero: it is not
}

// key is a signing key with its private half.
type key struct {
	Key
	private crypto.Signer
	made    time.Time // or redated, by this process, with the reading of the monotonic clock; zero: by an earlier one
}

// sealedKey is a key as it is stored.
type sealedKey struct {
	Key
	sealed []byte
}

// setState makes State say what the times do.
func (k *Key) setState() {
	switch {
	case !k.RetiredAt.IsZero():
		k.State = KeyRetired
	case !k.BeganAt.IsZero():
		k.State = KeySigning
	default:
		k.State = KeyPublished
	}
}

// appendFacts appends all that the seal of k is bound to.
func appendFacts(b []byte, k *Key) []byte {
	return fields.AppendTime(fields.AppendLongText(b, k.ID, string(k.Algorithm)), k.PublishedAt, k.SignsFrom, k.BeganAt, k.RetiredAt)
}

// seal returns k as it is stored.
func (s *secrets) sealed(k *key) (sealedKey, error) {
	sealed, err := s.sealKey(k.private, appendFacts([]byte("signing key\x00"), &k.Key))
	return sealedKey{k.Key, sealed}, err
}

// unseal is the inverse of sealed. The error is ErrSealed.
func (s *secrets) unsealed(k *sealedKey) (key, error) {
	private, err := s.unsealKey(k.sealed, k.Algorithm, appendFacts([]byte("signing key\x00"), &k.Key))
	return key{Key: k.Key, private: private}, err
}

// codecVersion is the version of all that the decoders here read. A later one is added beside it, never in its place.
const codecVersion = 1

// newKeys is the table of signing keys: key id → key.
func newKeys() *store.Table[sealedKey] {
	return store.NewTable(store.Schema[sealedKey]{Name: "signing_keys", Version: codecVersion, Encode: appendKey, Decode: decodeKey})
}

func appendKey(b []byte, k sealedKey) []byte {
	return fields.AppendLongText(appendFacts(b, &k.Key), k.sealed)
}

func decodeKey(version uint8, b []byte) (sealedKey, error) {
	r := fields.NewReader(b)
	k := sealedKey{Key: Key{ID: r.LongText(), Algorithm: Algorithm(r.LongText()), PublishedAt: r.Time(), SignsFrom: r.Time(), BeganAt: r.Time(), RetiredAt: r.Time()}}
	k.sealed = bytes.Clone(r.LongBytes())
	k.setState()
	if err := r.Done(version, codecVersion); err != nil {
		return sealedKey{}, err
	}
	return k, nil
}
