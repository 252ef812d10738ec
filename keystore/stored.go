package keystore

import (
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// HashKind says of what the stored hash of a secret was made.
type HashKind string

// The kinds of hashes. Those of the first two are made under the pepper.
const (
	HashKey      HashKind = "key"    // of a key that was made here, found by its lookup id
	HashSHA256   HashKind = "sha256" // of the SHA-256 of a foreign key
	HashBcrypt   HashKind = "bcrypt"
	HashArgon2id HashKind = "argon2id"
)

// hashKinds are in the order of the kinds in files.
func hashKinds() []HashKind { return []HashKind{HashKey, HashSHA256, HashBcrypt, HashArgon2id} }

// StoredSecret is a secret as it is stored, on its way from one store to another.
type StoredSecret struct {
	Kind     HashKind
	LookupID string // 12 base62 characters; of HashKey only

	// Hash is, of a key and of sha256, $hmac-sha256$pepper=MARK$HASH: the stored hash in base64url, and by what the pepper can
	// be known that it was made under. Of a slow kind it is the modular or PHC string that was imported.
	Hash string

	Start     string    // up to 38 printable ASCII characters; of a slow kind at least 6, by which it is found
	CreatedAt time.Time // zero: with the key
	EndsAt    time.Time // zero: with the key
}

// ExportedKey is a key with its secrets as they are stored, newest first.
type ExportedKey struct {
	Key
	Stored []StoredSecret
}

// Export lists keys for another store with the same pepper, where [Store.Import] takes them: those of a tenant, or all where tenant is
// empty. It reads like [Store.Keys], with the same errors. Whoever has the result can attack what it holds: it is kept like the file.
func (s *Store) Export(ctx context.Context, tenant string, now time.Time) iter.Seq2[ExportedKey, error] {
	return listKeys(ctx, s, tenant, func(tx *store.Tx, r *record) (ExportedKey, bool, error) {
		k, err := s.show(tx, r, now)
		return ExportedKey{k, s.stored(r)}, true, err
	})
}

const sealedPrefix = "$hmac-sha256$pepper="

// pepperMark tells one pepper from another, and nothing else about it.
func (s *Store) pepperMark() string {
	h := s.hashers.get()
	defer s.hashers.put(h)
	return base64.RawURLEncoding.EncodeToString(h.minted([]byte("postern: this is the pepper of an exported hash"))[:8])
}

func (s *Store) sealed(hash *[32]byte) string {
	return sealedPrefix + s.mark + "$" + base64.RawURLEncoding.EncodeToString(hash[:])
}

// unsealed is the inverse of sealed, for hashes under the same pepper. Error: [*InvalidError].
func (s *Store) unsealed(text string) (hash [32]byte, err error) {
	mark, encoded, ok := strings.Cut(strings.TrimPrefix(text, sealedPrefix), "$")
	b, decodeErr := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !ok || !strings.HasPrefix(text, sealedPrefix) || decodeErr != nil || len(b) != len(hash) || len(encoded) != base64.RawURLEncoding.EncodedLen(len(hash)) {
		return hash, &InvalidError{"secrets.hash", "is not a hash that was exported", "export the keys again with: postern keys export"}
	}
	if mark != s.mark {
		return hash, &InvalidError{"secrets.hash", "was made under another pepper", "only a Postern with the same pepper can check these keys"}
	}
	return [32]byte(b), nil
}

// stored are the secrets of r, newest first.
func (s *Store) stored(r *record) []StoredSecret {
	all := make([]StoredSecret, len(r.secrets))
	for i := range r.secrets {
		c := &r.secrets[i]
		hash := c.slow
		if !c.kind.slow() {
			hash = s.sealed(&c.hash)
		}
		all[len(all)-1-i] = StoredSecret{
			Kind: hashKinds()[c.kind-kindMinted], LookupID: c.lookupID(), Hash: hash,
			Start: c.start, CreatedAt: fields.TimeOf(c.created), EndsAt: c.endsAt(),
		}
	}
	return all
}

// secretsOf are the secrets of a line, oldest first. Error: [*InvalidError].
func (im *importer) secretsOf(line *ImportedKey, created time.Time) ([]secret, error) {
	if line.Secrets == nil {
		if !isShowable(line.Start) {
			return nil, errStart()
		}
		h := im.s.hashers.get()
		defer im.s.hashers.put(h)
		return []secret{{number: 1, kind: kindSHA256, hash: *h.foreign(line.Hash), created: fields.Millis(created), start: line.Start}}, nil
	}
	if n := len(line.Secrets); n == 0 || n > maxSecrets {
		return nil, &InvalidError{"secrets", fmt.Sprintf("are %d, and 1 to %d are possible", n, maxSecrets), ""}
	}
	all := make([]secret, len(line.Secrets))
	for i := range line.Secrets {
		at := len(all) - 1 - i
		c, err := im.secret(&line.Secrets[i], line.ID)
		if err != nil {
			return nil, err
		}
		if c.number = uint16(at + 1); c.created == 0 { //nolint:gosec // bounded above
			c.created = fields.Millis(created)
		}
		if slices.ContainsFunc(all[at+1:], func(o secret) bool { return o.known() == c.known() || c.lookupID() != "" && o.id == c.id }) {
			return nil, &InvalidError{"secrets", "hold one secret twice", "export the keys again with: postern keys export"}
		}
		all[at] = c
	}
	return all, nil
}

// secret is s, of the key id, without its number. Error: [*InvalidError].
func (im *importer) secret(s *StoredSecret, id string) (c secret, err error) {
	if c.kind = secretKind(symbol(hashKinds(), s.Kind)); c.kind == 0 {
		return c, &InvalidError{"secrets.kind", fmt.Sprintf("%q is not known", s.Kind), "choose key, sha256, bcrypt or argon2id"}
	}
	for _, err := range []error{checkTime("secrets.created_at", s.CreatedAt), checkTime("secrets.ends_at", s.EndsAt)} {
		if err != nil {
			return c, err
		}
	}
	c.start, c.created, c.ends = s.Start, fields.Millis(s.CreatedAt), fields.Millis(s.EndsAt)
	if c.over(fields.Millis(im.now)) {
		c.end(c.ends) // for good, whatever a clock will say
	}
	switch isLookupID := len(s.LookupID) == idLength && base62Characters().hold(s.LookupID); {
	case !isShowable(s.Start):
		return c, errStart()
	case c.kind.slow() && len(s.Start) < minSlowStart:
		return c, &InvalidError{
			"start", fmt.Sprintf("has %d characters", len(s.Start)),
			fmt.Sprintf("a key with a slow hash is found by the %d to %d characters that it begins with", minSlowStart, maxStartLength),
		}
	case c.kind == kindMinted && !isLookupID:
		return c, &InvalidError{"secrets.lookup_id", "is not 12 letters and digits", ""}
	case c.kind == kindMinted && id == "":
		return c, &InvalidError{"id", "is missing", "a key that was exported has one"}
	case c.kind != kindMinted && s.LookupID != "":
		return c, &InvalidError{"secrets.lookup_id", "is not for imported secrets", ""}
	case c.kind.slow():
		c.slow = s.Hash
		return c, checkSlow(s.Kind, s.Hash)
	}
	copy(c.id[:], s.LookupID)
	c.hash, err = im.s.unsealed(s.Hash)
	return c, err
}

func errStart() error {
	return &InvalidError{"start", "is not what may be shown of a key", "up to 38 printable ASCII characters"}
}
