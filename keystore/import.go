package keystore

import (
	"context"
	"iter"
	"time"
)

// ImportOptions are the choices of an import.
type ImportOptions struct {
	// CreateTenants: a tenant that does not exist is made. False: its lines are refused.
	CreateTenants bool
}

// ImportedKey is one line of an import.
type ImportedKey struct {
	Line int // in the file, from 1; for messages

	KeySpec // Tenant must be set. An expiry in the past is kept. Permissions nil are none

	ID        string    // ^[A-Za-z0-9_-]{1,64}$; empty: made
	State     State     // empty: active. StateExpired needs ExpiresAt in the past
	Start     string    // up to 32 characters of R-RESP-3 that may be shown; may be empty
	CreatedAt time.Time // zero: now
	UpdatedAt time.Time // zero: CreatedAt

	// Hash is the SHA-256 of the whole printed key, see [ParseHash].
	Hash [32]byte
}

// ImportResult says what became of the lines of an import.
type ImportResult struct {
	Added   int
	Skipped int       // id or hash was there already
	Refused []Refusal // any: nothing was imported
}

// Refusal is a line that cannot be imported.
type Refusal struct {
	Line    int
	Problem string // for operators
}

// Import adds keys by the SHA-256 of their printed form: all of them, or none when a line is refused, an error comes
// from lines, or ctx ends. What is there already is skipped, never overwritten.
//
// Lines are staged in the file as they come, and become valid together when the last has come. One import runs at a time; another waits.
// A result with Refused comes without an error: all bad lines are in it, and Added is 0.
func (s *Store) Import(ctx context.Context, o ImportOptions, lines iter.Seq2[ImportedKey, error], now time.Time) (ImportResult, error) {
	panic("later")
}
