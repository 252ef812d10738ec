package keystore

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
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

	// ReadOnly: no index is built and nothing is written. What only reads works, Lookup and Verify by reading the file each
	// time; DB may be read-only.
	ReadOnly bool

	// AuditCount and AuditAge bound the records of audit that are kept; the oldest go first, as new ones come. Zero: 100,000,
	// and 400 days.
	AuditCount int
	AuditAge   time.Duration

	// Others examine what else the database holds, for [Store.Examine] and [Restore].
	Others []TableExaminer

	// Log gets a line for each record of audit, and what goes wrong in the background. Nil: nowhere.
	Log *slog.Logger
}

func (o *Options) auditCount() uint64 {
	if o.AuditCount <= 0 {
		return defaultAuditCount
	}
	return uint64(o.AuditCount)
}

func (o *Options) auditAge() time.Duration {
	if o.AuditAge <= 0 {
		return defaultAuditAge
	}
	return o.AuditAge
}

func (o *Options) cacheSize() int64 {
	if o.CacheSize == 0 {
		return defaultCacheSize
	}
	return o.CacheSize
}

func (o *Options) random() io.Reader {
	if o.Random == nil {
		return rand.Reader
	}
	return o.Random
}

func (o *Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// Store answers whether keys are valid, and changes them. All methods may be called at once.
type Store struct {
	tables
	db           *store.DB
	environments atomic.Pointer[[]Environment]
	ids          TenantIDs
	others       []TableExaminer
	random       io.Reader
	log          *slog.Logger
	readOnly     bool
	auditCount   uint64
	auditAge     time.Duration

	hashers *hashers
	mark    string // of the pepper
	index   atomic.Pointer[index]
	owners  tenantTable           // the tenants, in memory
	down    atomic.Pointer[error] // why nothing can be looked up; nil: it can

	cache     Cache
	ownCache  *memory // the same, if it is ours to close
	reads     *reads
	known     knownIDs
	attempts  *attempts
	importing chan struct{} // holds one value while an import runs
	hashing   sync.Mutex    // held by who stores foreign hashes, from the look for twins until the index knows them
	window    int           // lines that an import stages in the order of their ids

	following sync.Mutex // guards what follows, and writes to index and tenants
	revision  uint64     // of the file, as index and tenants know it
	counted   map[uint32]*useRecord
}

const minPepperLength = 32

// metaProfile is the fact that says for which profile a database was made.
const metaProfile = "profile"

var (
	errClosed   = errors.New("closed")
	errNoIndex  = errors.New("opened without an index")
	errNoTenant = fmt.Errorf("%w: a key has no tenant", store.ErrCorrupt)
	errAttempts = fmt.Errorf("%w: record and index disagree", store.ErrCorrupt)
)

// Open prepares the keys and tenants in o.DB, and reads the index unless told not to.
//
// It ends what an interrupted import left behind. Errors a caller may branch on: [ErrPepper] and [ErrProfile] when the
// file was made with another one, and those of package internal/store.
func Open(o Options, now time.Time) (*Store, error) {
	if len(o.Pepper) < minPepperLength {
		return nil, fmt.Errorf("opening key store: the pepper has %d bytes, and needs %d", len(o.Pepper), minPepperLength)
	}
	s := &Store{
		tables: newTables(o.TenantIDs), db: o.DB, ids: o.TenantIDs, others: o.Others, random: o.random(), log: o.log(), readOnly: o.ReadOnly,
		auditCount: o.auditCount(), auditAge: o.auditAge(), hashers: newHashers(slices.Clone(o.Pepper)),
		cache: o.Cache, reads: newReads(), attempts: newAttempts(), importing: make(chan struct{}, 1), window: windowLength, counted: make(map[uint32]*useRecord),
	}
	s.mark = s.pepperMark()
	if err := s.open(&o, now); err != nil {
		return nil, fmt.Errorf("opening key store: %w", err)
	}
	return s, nil
}

func (s *Store) open(o *Options, now time.Time) error {
	if err := s.SetEnvironments(o.Environments); err != nil {
		return err
	}
	if err := s.recognize(o.Profile); err != nil {
		return err
	}
	if s.readOnly {
		err := fmt.Errorf("%w: %w", ErrUnavailable, errNoIndex)
		s.down.Store(&err)
		s.index.Store(newIndex())
		if s.cache == nil {
			s.cache = forgetful{}
		}
		return s.loadAllTenants()
	}
	if err := s.sweepImports(); err != nil {
		return err
	}
	if err := s.rebuild(); err != nil {
		return err
	}
	if err := s.makeFirstTenant(now); err != nil {
		return err
	}
	if s.cache == nil {
		m, err := newMemory(o.cacheSize())
		if err != nil {
			return err
		}
		s.cache, s.ownCache = m, &m
	}
	return nil
}

// recognize compares profile and pepper with those that the file was made with, or records them in a new one.
func (s *Store) recognize(profile string) error {
	h := s.hashers.get()
	defer s.hashers.put(h)
	check := h.minted([]byte("postern: this is the pepper"))
	missing := false
	err := s.db.View(func(tx *store.Tx) error {
		was, err := store.Meta(tx, metaProfile)
		if missing = errors.Is(err, store.ErrNotFound); missing {
			return nil
		}
		sum, sumErr := store.Meta(tx, "pepper")
		switch {
		case err != nil || sumErr != nil:
			return errors.Join(err, sumErr)
		case !hmac.Equal(sum, check[:]):
			return ErrPepper
		case string(was) != profile:
			return fmt.Errorf("%w: it is %q, not %q", ErrProfile, was, profile)
		}
		return nil
	})
	if err != nil || !missing || s.readOnly {
		return err
	}
	_, err = s.db.Update(func(tx *store.Tx) error {
		return errors.Join(store.SetMeta(tx, metaProfile, []byte(profile)), store.SetMeta(tx, "pepper", check[:]))
	})
	return err
}

// Close ends reads under way, after which lookups are ErrUnavailable. It does not close the database. No call may be under way.
func (s *Store) Close() error {
	err := fmt.Errorf("%w: %w", ErrUnavailable, errClosed)
	s.down.Store(&err)
	s.reads.close()
	s.attempts.close()
	if s.ownCache != nil {
		s.ownCache.Close()
	}
	return nil
}

// Check says whether checks can be answered: the file can be read, and the index is not behind it. An index that is
// behind tries again. With [store.ErrUnseen] they can be, and only changes cannot be made.
func (s *Store) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.readOnly && s.down.Load() != nil {
		return s.followWithin(ctx)
	}
	return s.db.Check()
}

// Stats are figures for metrics, taken at one moment.
type Stats struct {
	Keys    int64 // in the index
	Secrets int64 // of keys, whatever their state
	Tenants int64
	Reads   uint64 // records read or prepared since open, as the cache did not have them
	Reading int    // being read or waiting to be

	Slow      int64  // secrets of which only a slow hash is known
	Attempts  uint64 // comparisons of texts with slow hashes since open
	Comparing int    // of them, those under way or waiting
}

// Stats returns present figures.
func (s *Store) Stats() Stats {
	x := s.index.Load()
	s.reads.mu.Lock()
	defer s.reads.mu.Unlock()
	s.attempts.mu.Lock()
	defer s.attempts.mu.Unlock()
	return Stats{
		Keys: x.keys.Load() + x.slow.alone.Load(), Secrets: x.secrets.Load() + x.slow.count.Load(), Tenants: s.owners.count.Load(),
		Reads: s.reads.begun, Reading: len(s.reads.flying),
		Slow: x.slow.count.Load(), Attempts: s.attempts.begun, Comparing: len(s.attempts.flying),
	}
}
