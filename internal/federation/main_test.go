package federation_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when tests happen, unless they say otherwise.
var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// acme and its neighbours: another environment, another tenant, and one whose names join to the same text.
var (
	acme     = federation.Owner{Tenant: "acme", Environment: "LIVE"}
	sandbox  = federation.Owner{Tenant: "acme", Environment: "SANDBOX"}
	globex   = federation.Owner{Tenant: "globex", Environment: "LIVE"}
	confused = federation.Owner{Tenant: "acm", Environment: "eLIVE"}
)

func strangers() []federation.Owner { return []federation.Owner{sandbox, globex, confused} }

// journal is the gate of a test: it keeps the events of what was committed.
type journal struct {
	db     *store.DB
	mu     sync.Mutex
	events []federation.Event
}

func (j *journal) change(_ context.Context, _ time.Time, fn func(*store.Tx) (*federation.Event, error)) error {
	var did *federation.Event
	_, err := j.db.Batch(func(tx *store.Tx) (err error) {
		did, err = fn(tx)
		return err
	})
	if err == nil && did != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.events = append(j.events, *did)
	}
	return err
}

// take returns what happened since it was called last.
func (j *journal) take() []federation.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := j.events
	j.events = nil
	return all
}

// open opens a store on db.
func open(tb testing.TB, db *store.DB) (*federation.Store, *journal) {
	tb.Helper()
	j := &journal{db: db}
	s, err := federation.Open(federation.Options{DB: db, Change: j.change})
	if err != nil {
		tb.Fatal(err)
	}
	return s, j
}

// provider is one that is acceptable.
func provider(id string) federation.ProviderSpec {
	return federation.ProviderSpec{
		ID: id, DisplayName: "My app", Issuer: "https://auth.example.com", JWKSURI: "https://auth.example.com/jwks.json",
		AllowedAudiences: []string{"api://my-app"},
	}
}

func put(tb testing.TB, s *federation.Store, o federation.Owner, spec federation.ProviderSpec) federation.Provider {
	tb.Helper()
	p, err := s.PutProvider(tb.Context(), o, spec, noon)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func create(tb testing.TB, s *federation.Store, o federation.Owner, email string) federation.User {
	tb.Helper()
	u, err := s.CreateUser(tb.Context(), o, federation.UserSpec{Email: email}, noon)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// reopened is what a restart would open.
func reopened(tb testing.TB, db *store.DB) *federation.Store {
	tb.Helper()
	s, _ := open(tb, db)
	return s
}
