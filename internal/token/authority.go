package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// Options are what [Open] needs. DB, Secret, Form and Change must be set.
type Options struct {
	DB *store.DB // opened by the caller, who closes it after the Authority

	// Secret is what seals signing keys and hashes refresh tokens, at least 32 bytes: keystore.TokenKey of the pepper.
	Secret []byte

	Form Form

	// Settings are what a reload may change.
	Settings Settings

	// Change is the gate of changes that are recorded: it runs fn in a write transaction, perhaps again after a failure of others that share its commit, writes what fn returns
	// into the audit log in the same transaction, and returns when that is durable. fn returns nil when it changed nothing.
	Change func(ctx context.Context, now time.Time, fn func(*store.Tx) (*Event, error)) error

	// Passive: no key is made or replaced but by [Authority.Rotate]. For commands that look at what is there.
	Passive bool

	// Log gets what goes wrong in the background. Nil: nowhere.
	Log *slog.Logger
}

// Event is what a change did, for the audit log.
type Event struct {
	Action      string // "signing_key.create"
	Tenant      string
	Environment string
	KeyID       string // of an API key
	Details     []Detail
}

// Detail is one more thing that an event says: a number, or a list of texts. It holds no secret.
type Detail struct {
	Name  string
	Count int64
	Texts []string // not nil: these are the value, and not Count
}

// Settings are what a reload of the file may change.
type Settings struct {
	// Issuer is the claim iss. Empty: nothing can be minted.
	Issuer string

	// Algorithm of new keys. Empty: EdDSA.
	Algorithm Algorithm

	// RotateEvery is how long a key signs. Zero: 90 days.
	RotateEvery time.Duration

	// Environment is that of tokens that name none, for [FormMKA1]: there is one and the file does not list it. Empty: every token names its own.
	Environment string

	// RefreshTTL is how long a refresh token can be used from its issue. Zero: 30 days.
	RefreshTTL time.Duration
}

func (s Settings) withDefaults() *Settings {
	if s.Algorithm == "" {
		s.Algorithm = EdDSA
	}
	if s.RotateEvery <= 0 {
		s.RotateEvery = 90 * 24 * time.Hour
	}
	if s.RefreshTTL <= 0 {
		s.RefreshTTL = 30 * 24 * time.Hour
	}
	return &s
}

// Authority mints tokens, and says what became of them. All methods may be called at once.
type Authority struct {
	db       *store.DB
	form     Form
	secrets  secrets
	change   func(context.Context, time.Time, func(*store.Tx) (*Event, error)) error
	passive  bool
	log      *slog.Logger
	settings atomic.Pointer[Settings]
	changed  chan struct{} // holds one value after a change of settings, for Run

	keys     *store.Table[sealedKey]
	ring     atomic.Pointer[ring]
	rotating sync.Mutex // held by who changes the ring

	denials *store.Table[denial]
	denied  *denyList
	latest  atomic.Int64 // Unix second of the latest that a token of this process was issued at
	revoked sync.Mutex   // held by who trims the deny list, or adds to it

	sessions *store.Table[Session]
	alive    atomic.Int64 // sessions in the table
}

// Open reads what o.DB holds of signing keys, revocations and sessions, and makes the first signing key, unless it is to be passive.
//
// Errors a caller may branch on: [ErrSealed], and those of package internal/store.
func Open(o Options, now time.Time) (*Authority, error) {
	a := &Authority{
		db: o.DB, form: o.Form, change: o.Change, passive: o.Passive, log: o.Log,
		changed: make(chan struct{}, 1), keys: newKeys(), denials: newDenials(), denied: newDenyList(), sessions: newSessions(),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.settings.Store(o.Settings.withDefaults())
	if err := a.open(&o, now); err != nil {
		return nil, fmt.Errorf("opening the authority of tokens: %w", err)
	}
	return a, nil
}

func (a *Authority) open(o *Options, now time.Time) (err error) {
	if o.Form < FormDefault || o.Form > FormMLM || o.DB == nil || o.Change == nil {
		return errors.New("options lack a form, a database or a gate of changes")
	}
	if a.secrets, err = newSecrets(o.Secret); err != nil {
		return err
	}
	keys, err := loadRing(a.db, a.keys, &a.secrets)
	if err != nil {
		return err
	}
	r, err := newRing(keys, 1)
	if err != nil {
		return err
	}
	a.ring.Store(r)
	if err := a.loadDenials(); err != nil {
		return err
	}
	if a.passive {
		return nil
	}
	if err := a.countSessions(); err != nil {
		return err
	}
	return a.advance(context.Background(), now)
}

// Configure puts other settings in force. Another algorithm is acted upon by [Authority.Run].
func (a *Authority) Configure(s Settings) {
	a.settings.Store(s.withDefaults())
	select {
	case a.changed <- struct{}{}:
	default: // it is told already
	}
}

// Issuer is the claim iss of what is minted. Empty: nothing can be.
func (a *Authority) Issuer() string { return a.settings.Load().Issuer }

// Form is that of the claims.
func (a *Authority) Form() Form { return a.form }

// JWKS is the document with the public halves of the signing keys. It stays the same until the keys change; nobody may write to it.
func (a *Authority) JWKS() []byte { return a.ring.Load().document }

// KeysGeneration is another number, never 0, when [Authority.JWKS] is another document. Ask for it first, then for the document.
func (a *Authority) KeysGeneration() uint64 { return a.ring.Load().generation }

// Keys lists the signing keys: the one that signs, then those that are published, then those retired, each newest first.
func (a *Authority) Keys() []Key {
	r := a.ring.Load()
	keys := make([]Key, len(r.keys))
	for i, k := range r.keys {
		keys[i] = k.Key
	}
	return keys
}

// Check says why nothing can be minted, if so: [ErrNoKey].
func (a *Authority) Check() error {
	if a.ring.Load().signing == nil {
		return ErrNoKey
	}
	return nil
}

// Stats are figures for metrics.
type Stats struct {
	Signing  time.Time // when the key that signs began to; zero: there is none
	Keys     map[KeyState]int
	Denials  int
	Sessions int64
}

// Stats returns present figures.
func (a *Authority) Stats() Stats {
	r := a.ring.Load()
	s := Stats{Keys: map[KeyState]int{KeyPublished: 0, KeySigning: 0, KeyRetired: 0}, Denials: a.denied.len(), Sessions: a.alive.Load()}
	for _, k := range r.keys {
		s.Keys[k.State]++
	}
	if r.signing != nil {
		s.Signing = r.signing.BeganAt
	}
	return s
}
