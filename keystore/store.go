package keystore

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// Options are what [Open] needs. DB, Pepper and Profile must be set.
type Options struct {
	DB *store.DB // opened by the caller, who closes it after the Store

	// Pepper is the key of every stored hash, at least 32 bytes. It is copied.
	Pepper []byte

	// Profile is recorded in the file, which from then on takes no other.
	Profile string

	// Environments are those that new keys may belong to, each with a prefix of its own.
	Environments []Environment

	TenantIDs TenantIDs

	// CacheSize bounds the cached records, in bytes. Zero: 64 MiB.
	CacheSize int64

	// Cache replaces the cache of records. Nil: one of CacheSize. A test may pass one that forgets or is late.
	Cache Cache

	// Random is where ids and secrets come from. Nil: crypto/rand, as it must be outside tests.
	Random io.Reader

	// ReadOnly: no index is built and nothing is written. Key, Keys, Tenant, Tenants and Check work; DB may be read-only.
	ReadOnly bool

	// Log gets what goes wrong in the background. Nil: nowhere.
	Log *slog.Logger
}

// Environment is one of those that keys belong to.
type Environment struct {
	Name      string
	KeyPrefix string // ^[a-zA-Z0-9_-]{1,32}$
}

// Store answers whether keys are valid, and changes them. All methods may be called at once.
type Store struct{}

// Open prepares the keys and tenants in o.DB, and reads the index unless told not to.
//
// It ends what an interrupted import left behind. Errors a caller may branch on: [ErrPepper] and [ErrProfile] when the
// file was made with another one, and those of package internal/store.
func Open(o Options, now time.Time) (*Store, error) { panic("later") }

// Close ends reads under way. Lookups afterwards are ErrUnavailable. It does not close the database.
func (s *Store) Close() error { panic("later") }

// Match is a valid key. Its zero value comes with every error.
type Match struct {
	Key      *Key   // shared: read only
	Tier     string // of the tenant, at this moment
	Prepared any    // of the [Prepare] given; nil without one
	Imported bool   // a foreign key, found by hash: its text says nothing about prefix or environment
}

// Prepare makes what a caller wants kept beside the cached record of a key, such as the headers of its replies.
//
// It is the caller's generation too: what one Prepare made is never given out for another.
type Prepare struct {
	fn func(*Key) (value any, size int)
}

// NewPrepare returns a Prepare that calls fn, which may run on any goroutine and gives the value and its size in bytes.
func NewPrepare(fn func(*Key) (value any, size int)) *Prepare { return &Prepare{fn: fn} }

// Lookup finds the valid key whose printed form text is: the hot path, without allocation when the record is cached.
//
// text is the bare credential; it may alias a message, as nothing of it is kept. p may be nil. Time is bounded by ctx's
// deadline, less a few milliseconds to answer in, or else by a second. Errors: [ErrUnknown], [ErrDisabled],
// [ErrExpired], [ErrRevoked], [ErrTenantSuspended], and [ErrUnavailable] with its cause.
func (s *Store) Lookup(ctx context.Context, text string, p *Prepare, now time.Time) (Match, error) {
	panic("later")
}

// Check says whether checks can be answered: the file can be read and the index follows it.
func (s *Store) Check(ctx context.Context) error { panic("later") }

// Stats are figures for metrics, taken at one moment.
type Stats struct {
	Keys      int    // in the index
	Secrets   int    // rows of the index
	Tenants   int    //
	Reads     uint64 // records read since open: the cache did not have them
	Reading   int    // being read or waiting to be
	CacheSize int64  // bytes held by the cache; 0 when Options.Cache was given
}

// Stats returns present figures.
func (s *Store) Stats() Stats { panic("later") }
