package keystore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// model is what the store should be: plain maps.
type model struct {
	t    *rapid.T
	db   *store.DB
	o    keystore.Options
	real *keystore.Store
	now  time.Time

	suspended map[string]bool      // tenants
	keys      map[string]*modelKey // by id
	count     int                  // of foreign keys
}

type modelKey struct {
	secrets []modelSecret // oldest first
	tenant  string
	state   keystore.State // as stored
	expires time.Time
	version uint32
}

// modelSecret is one printed form of a key.
type modelSecret struct {
	text      string
	ends      time.Time // zero: with the key
	ended     bool      // by command: whatever the time is
	forgotten bool      // as if it had never been
}

func (s *modelSecret) over(now time.Time) bool {
	return s.ended || !s.ends.IsZero() && !now.Before(s.ends)
}

// verdict is what a lookup of a secret of k should say.
func (m *model) verdict(k *modelKey, s *modelSecret) error {
	switch {
	case s.forgotten:
		return keystore.ErrUnknown
	case k.state == keystore.StateRevoked:
		return keystore.ErrRevoked
	case k.state == keystore.StateDisabled:
		return keystore.ErrDisabled
	case s.over(m.now) || !k.expires.IsZero() && !m.now.Before(k.expires):
		return keystore.ErrExpired
	case m.suspended[k.tenant]:
		return keystore.ErrTenantSuspended
	}
	return nil
}

// TestModel does at random what callers do, and compares every answer with that of plain maps. The kind of cache is
// random too: it must not matter. A failure prints the seed.
func TestModel(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		path := filepath.Join(dir, fmt.Sprint(runs), "postern.db")
		db, err := store.Open(store.Options{Path: path, FeedLength: rapid.SampledFrom([]int{4, 1000}).Draw(t, "length of the feed")})
		if err != nil {
			t.Fatal(err)
		}
		m := &model{
			t: t, db: db, o: options(db), now: noon, suspended: map[string]bool{"default": false}, keys: make(map[string]*modelKey),
		}
		m.o.Cache = caches()[rapid.SampledFrom(slices.Sorted(maps.Keys(caches()))).Draw(t, "cache")]()
		m.open()
		defer func() {
			_ = m.real.Close()
			_ = db.Close()
			_ = os.RemoveAll(filepath.Dir(path))
		}()
		t.Repeat(map[string]func(*rapid.T){
			"": m.check, "rotate": m.rotate, "end old": m.endOld, "update": m.update, "create": m.create, "import": m.bring, "create a tenant": m.createTenant,
			"disable": m.change((*keystore.Store).Disable, keystore.StateDisabled),
			"enable":  m.change((*keystore.Store).Enable, keystore.StateActive),
			"revoke":  m.change((*keystore.Store).Revoke, keystore.StateRevoked),
			"suspend": m.suspend((*keystore.Store).SuspendTenant, true),
			"resume":  m.suspend((*keystore.Store).ResumeTenant, false),
			"wait": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			},
			"restart": func(*rapid.T) { _ = m.real.Close(); m.open() },
		})
	})
}

func (m *model) open() {
	var err error
	if m.real, err = keystore.Open(m.o, m.now); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) tenant(t *rapid.T) string {
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.suspended))).Draw(t, "tenant")
}

func (m *model) createTenant(t *rapid.T) {
	id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id")
	_, exists := m.suspended[id]
	_, err := m.real.CreateTenant(context.Background(), keystore.TenantSpec{ID: id}, m.now)
	if exists != errors.Is(err, keystore.ErrExists) || !exists && err != nil {
		t.Fatalf("creating tenant %s: %v", id, err)
	}
	if !exists {
		m.suspended[id] = false
	}
}

func (m *model) expiry(t *rapid.T) time.Time {
	if ms := rapid.IntRange(0, 5000).Draw(t, "life in ms, 0 for ever"); ms > 0 {
		return m.now.Add(time.Duration(ms) * time.Millisecond)
	}
	return time.Time{}
}

func (m *model) create(t *rapid.T) {
	spec := keystore.KeySpec{Tenant: m.tenant(t), Environment: "LIVE", ExpiresAt: m.expiry(t)}
	k, printed, err := m.real.Create(context.Background(), spec, m.now)
	if err != nil {
		t.Fatal(err)
	}
	m.keys[k.ID] = &modelKey{secrets: []modelSecret{{text: printed}}, tenant: spec.Tenant, state: keystore.StateActive, expires: spec.ExpiresAt, version: 1}
}

// bring imports keys, old ones among them, and sometimes a bad line, or one of a tenant that is to be made.
func (m *model) bring(t *rapid.T) {
	var lines []keystore.ImportedKey
	fresh := make(map[string]*modelKey)
	tenant := rapid.SampledFrom([]string{"default", "a", "d"}).Draw(t, "tenant, perhaps a new one")
	for i := range rapid.IntRange(0, 4).Draw(t, "lines") {
		l := line(i+1, "")
		k := &modelKey{tenant: tenant, version: 1, state: rapid.SampledFrom([]keystore.State{
			keystore.StateActive, keystore.StateDisabled, keystore.StateRevoked,
		}).Draw(t, "state"), expires: m.expiry(t)}
		n := rapid.IntRange(0, m.count).Draw(t, "which")
		text := fmt.Sprint("foreign-", n)
		k.secrets, l.ID = []modelSecret{{text: text}}, text
		l.Tenant, l.State, l.ExpiresAt, l.Hash = tenant, k.state, k.expires, sha256.Sum256([]byte(text))
		lines = append(lines, l)
		if n == m.count {
			m.count++
		}
		if m.keys[l.ID] == nil && fresh[l.ID] == nil {
			fresh[l.ID] = k
		}
	}
	bad := rapid.IntRange(0, 3).Draw(t, "a bad line at 1") == 1
	if bad {
		lines = append(lines, keystore.ImportedKey{Line: len(lines) + 1})
	}
	result, err := m.real.Import(context.Background(), keystore.ImportOptions{CreateTenants: true}, listed(lines), m.now)
	switch {
	case err != nil:
		t.Fatal(err)
	case bad:
		if result.Added != 0 || len(result.Refused) != 1 {
			t.Fatalf("%+v", result)
		}
		return
	case result.Added != len(fresh) || result.Skipped != len(lines)-len(fresh):
		t.Fatalf("%+v of %d lines, %d of them new", result, len(lines), len(fresh))
	}
	maps.Copy(m.keys, fresh)
	if len(fresh) > 0 {
		if _, exists := m.suspended[tenant]; !exists {
			m.suspended[tenant] = false
		}
	}
}

func (m *model) change(
	do func(*keystore.Store, context.Context, string, time.Time) (keystore.Key, error), to keystore.State,
) func(*rapid.T) {
	return func(t *rapid.T) {
		id, k := m.key(t)
		got, err := do(m.real, context.Background(), id, m.now)
		if k.state == keystore.StateRevoked && to != keystore.StateRevoked {
			if !errors.Is(err, keystore.ErrRevoked) {
				t.Fatalf("%s: %v, but it is revoked", id, err)
			}
			return
		}
		if k.state != to {
			k.state = to
			m.changed(k)
		}
		if err != nil || got.Version != k.version {
			t.Fatalf("%s: %+v, %v, want version %d", id, got, err, k.version)
		}
	}
}

// key draws one.
func (m *model) key(t *rapid.T) (string, *modelKey) {
	if len(m.keys) == 0 {
		t.Skip("no keys")
	}
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(m.keys))).Draw(t, "key")
	return id, m.keys[id]
}

// changed raises the version of k, and forgets all but eight of the secrets that have ended; the newest is not counted.
func (m *model) changed(k *modelKey) {
	k.version++
	ended := 0
	for i := len(k.secrets) - 2; i >= 0; i-- {
		if s := &k.secrets[i]; !s.forgotten && s.over(m.now) {
			ended++
			s.forgotten = ended > 8
		}
	}
}

// closed is why a key cannot get what active ones can.
func (m *model) closed(k *modelKey) error {
	switch {
	case k.state == keystore.StateRevoked:
		return keystore.ErrRevoked
	case !k.expires.IsZero() && !m.now.Before(k.expires):
		return keystore.ErrExpired
	}
	return nil
}

func (m *model) rotate(t *rapid.T) {
	id, k := m.key(t)
	overlap := time.Duration(rapid.SampledFrom([]int{0, 0, 1, 500, 2000}).Draw(t, "overlap in ms")) * time.Millisecond
	r, printed, err := m.real.Rotate(context.Background(), id, keystore.RotateSpec{Overlap: overlap}, m.now)
	if want := m.closed(k); want != nil {
		if !errors.Is(err, want) || printed != "" {
			t.Fatalf("%s: %v, want %v", id, err, want)
		}
		return
	}
	newest := true
	for i := len(k.secrets) - 1; i >= 0; i-- {
		s := &k.secrets[i]
		if s.over(m.now) {
			continue
		}
		until := m.now.Add(overlap)
		switch {
		case !newest || overlap == 0:
			s.ended = true
		case s.ends.IsZero() || until.Before(s.ends):
			s.ends = until
		}
		newest = false
	}
	k.secrets = append(k.secrets, modelSecret{text: printed})
	m.changed(k)
	if err != nil || r.Key.Version != k.version {
		t.Fatalf("%s: %+v, %v, want version %d", id, r, err, k.version)
	}
}

func (m *model) endOld(t *rapid.T) {
	id, k := m.key(t)
	r, err := m.real.EndOld(context.Background(), id, time.Time{}, m.now)
	if k.state == keystore.StateRevoked {
		if !errors.Is(err, keystore.ErrRevoked) {
			t.Fatalf("%s: %v, but it is revoked", id, err)
		}
		return
	}
	ended, sealed := 0, false
	for i := range len(k.secrets) - 1 {
		s := &k.secrets[i]
		if !s.over(m.now) {
			ended++
		}
		sealed = sealed || !s.ended
		s.ended = true
	}
	if sealed {
		m.changed(k)
	}
	if err != nil || len(r.Ended) != ended || r.Key.Version != k.version {
		t.Fatalf("%s: %+v, %v, want %d ended and version %d", id, r, err, ended, k.version)
	}
}

// update gives a key another end, and sometimes the one that it has.
func (m *model) update(t *rapid.T) {
	id, k := m.key(t)
	end := k.expires
	if rapid.Bool().Draw(t, "another end") {
		end = m.expiry(t)
	}
	got, err := m.real.UpdateKey(context.Background(), id, keystore.KeyChange{ExpiresAt: &end}, m.now)
	if k.state == keystore.StateRevoked {
		if !errors.Is(err, keystore.ErrRevoked) {
			t.Fatalf("%s: %v, but it is revoked", id, err)
		}
		return
	}
	if !end.Equal(k.expires) {
		k.expires = end
		m.changed(k)
	}
	if err != nil || got.Version != k.version || !got.ExpiresAt.Equal(end) {
		t.Fatalf("%s: %+v, %v, want version %d", id, got, err, k.version)
	}
}

func (m *model) suspend(
	do func(*keystore.Store, context.Context, string, time.Time) (keystore.Tenant, error), suspended bool,
) func(*rapid.T) {
	return func(t *rapid.T) {
		id := m.tenant(t)
		if _, err := do(m.real, context.Background(), id, m.now); err != nil {
			t.Fatal(err)
		}
		m.suspended[id] = suspended
	}
}

// check compares all that can be asked.
func (m *model) check(t *rapid.T) {
	for id, k := range m.keys {
		for i := range k.secrets {
			s := &k.secrets[i]
			got, err := m.real.Lookup(context.Background(), s.text, nil, m.now)
			if want := m.verdict(k, s); !errors.Is(err, want) {
				t.Fatalf("%s, secret %d: %v, want %v", id, i, err, want)
			}
			if err == nil && (got.Key.ID != id || got.Key.Tenant != k.tenant || got.Key.Version != k.version) {
				t.Fatalf("%s: %+v, want %+v", id, got.Key, k)
			}
		}
	}
	listed := make(map[string]bool)
	for k, err := range m.real.Keys(context.Background(), keystore.Filter{}, m.now) {
		if err != nil {
			t.Fatal(err)
		}
		want := m.keys[k.ID]
		state := k.State
		if state == keystore.StateExpired {
			state = keystore.StateActive
		}
		if want == nil || listed[k.ID] || k.Tenant != want.tenant || state != want.state || k.Version != want.version {
			t.Fatalf("listed is %+v, want %+v", k, want)
		}
		listed[k.ID] = true
	}
	if n := m.real.Stats(); len(listed) != len(m.keys) || n.Keys != int64(len(m.keys)) || n.Tenants != int64(len(m.suspended)) {
		t.Fatalf("%d keys are listed, and %+v; want %d of %d tenants", len(listed), n, len(m.keys), len(m.suspended))
	}
}
