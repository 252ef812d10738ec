package token

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/postern-auth/postern/internal/store"
)

// Examiner returns what looks at all signing keys, revocations and sessions in a database. With a secret, that of [Options], it says which keys cannot be unsealed, too;
// without one only [Open] finds that.
func Examiner(secret []byte) func(ctx context.Context, e *store.Examination) error {
	return func(ctx context.Context, e *store.Examination) (err error) {
		x := examiner{keys: newKeys()}
		if len(secret) > 0 {
			if x.secrets, err = newSecrets(secret); err != nil {
				return err
			}
		}
		if err := x.keys.Examine(ctx, e, x.key); err != nil {
			return err
		}
		if err := newDenials().Examine(ctx, e, judgeDenial); err != nil {
			return err
		}
		return newSessions().Examine(ctx, e, judgeSession)
	}
}

type examiner struct {
	keys    *store.Table[sealedKey]
	secrets secrets // zero: nothing is unsealed
}

// key says what no decoder finds wrong with a signing key.
func (x *examiner) key(tx *store.Tx, row store.Row[sealedKey]) (problems []string) {
	k := &row.Record
	if string(row.Key) != k.ID {
		problems = append(problems, fmt.Sprintf("is signing key %q, which stands elsewhere", k.ID))
	}
	if !slices.Contains([]Algorithm{EdDSA, ES256, RS256}, k.Algorithm) {
		problems = append(problems, fmt.Sprintf("has the algorithm %q, which is not known", k.Algorithm))
	}
	if len(k.sealed) == 0 {
		problems = append(problems, "has no private key")
	} else if x.secrets.seal != nil {
		if _, err := x.secrets.unsealed(k); err != nil {
			problems = append(problems, "cannot be unsealed: it was damaged, or another pepper sealed it")
		}
	}
	signing := 0
	for other, err := range x.keys.Scan(tx, nil) { // they are few
		if err != nil {
			return problems // which is a fault of its own
		}
		if other.Record.State == KeySigning {
			signing++
		}
	}
	if signing == 0 || signing > 1 && k.State == KeySigning {
		problems = append(problems, fmt.Sprintf("is one of the signing keys of which one signs, and %d do", signing))
	}
	return problems
}

// judgeDenial says what no decoder finds wrong with a revocation.
func judgeDenial(_ *store.Tx, row store.Row[denial]) []string {
	d := &row.Record
	if !bytes.Equal(row.Key, d.key()) {
		return []string{fmt.Sprintf("is the revocation of %q, which stands elsewhere", d.id)}
	}
	if d.id == "" && d.kind != denyHorizon {
		return []string{"is a revocation of nothing"}
	}
	return nil
}

// judgeSession says what no decoder finds wrong with a session.
func judgeSession(_ *store.Tx, row store.Row[Session]) (problems []string) {
	s := &row.Record
	if string(row.Key) != s.ID {
		problems = append(problems, fmt.Sprintf("is session %q, which stands elsewhere", s.ID))
	}
	if s.Tenant == "" || s.Environment == "" || s.User == "" {
		problems = append(problems, "is the session of nobody")
	}
	if len(s.ready) > maxReady || len(s.ended) > maxEnded {
		problems = append(problems, fmt.Sprintf("has %d refresh tokens that can be used and %d that were ended, of at most %d and %d", len(s.ready), len(s.ended), maxReady, maxEnded))
	}
	last := uint32(0)
	for _, t := range s.ready {
		if t.number <= last || t.number >= s.next {
			problems = append(problems, fmt.Sprintf("has refresh token %d after %d, and issued %d", t.number, last, s.next-1))
		}
		last = t.number
	}
	return problems
}
