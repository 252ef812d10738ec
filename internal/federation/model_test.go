package federation_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/jwks"
)

// model is what a store should be: plain maps by owner.
type model struct {
	t     *rapid.T
	tb    *testing.T
	db    *store.DB
	world *world
	key   *authtest.ProviderKey
	real  *federation.Store

	providers map[federation.Owner]map[string]bool       // id → makes users; absent: there is none
	users     map[federation.Owner]map[string]*modelUser // by id
	links     map[federation.Owner]map[[2]string]string  // provider and external id → user
}

type modelUser struct {
	email  string // folded
	active bool
}

// TestModel does at random what callers do, for owners with the same names of everything, and compares every answer with that of plain maps.
func TestModel(t *testing.T) {
	dir, key, runs := t.TempDir(), authtest.NewProviderKey(t, "k1", "EdDSA"), 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		path := filepath.Join(dir, fmt.Sprint(runs), "postern.db")
		db, err := store.Open(store.Options{Path: path})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			_ = db.Close()
			_ = os.RemoveAll(filepath.Dir(path))
		}()
		m := &model{
			t: rt, tb: t, db: db, key: key, world: &world{sets: map[string]*jwks.Set{}},
			providers: map[federation.Owner]map[string]bool{}, users: map[federation.Owner]map[string]*modelUser{}, links: map[federation.Owner]map[[2]string]string{},
		}
		m.world.publish(t, provider("").JWKSURI, key)
		for _, o := range m.owners() {
			m.providers[o], m.users[o], m.links[o] = map[string]bool{}, map[string]*modelUser{}, map[[2]string]string{}
		}
		m.open()
		rt.Repeat(map[string]func(*rapid.T){
			"": m.check, "put": m.put, "delete": m.delete, "exchange": m.exchange, "link": m.link, "create": m.create, "update": m.update,
			"restart": func(*rapid.T) { _ = m.real.Close(); m.open() },
		})
		_ = m.real.Close()
	})
}

func (m *model) open() {
	j := &journal{db: m.db}
	var err error
	if m.real, err = federation.Open(federation.Options{DB: m.db, Change: j.change, Keys: m.world.keys, KeySets: 2}); err != nil {
		m.t.Fatal(err)
	}
}

func (*model) owners() []federation.Owner { return []federation.Owner{acme, sandbox, confused} }

func (m *model) owner(t *rapid.T) federation.Owner {
	return rapid.SampledFrom(m.owners()).Draw(t, "owner")
}

func text(t *rapid.T, what string, words ...string) string {
	return rapid.SampledFrom(words).Draw(t, what)
}

func idp(t *rapid.T) string      { return text(t, "provider", "p", "pq", "q") }
func external(t *rapid.T) string { return text(t, "external id", "u", "qu", "U") }
func email(t *rapid.T) string {
	return text(t, "address", "a@example.com", "A@example.com", "b@example.com", "c@example.com", "d@example.com")
}

// expect compares an error with the one that there should be.
func (m *model) expect(got, want error) {
	m.t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		m.t.Fatalf("got %v, want %v", got, want)
	}
}

func (m *model) put(t *rapid.T) {
	o, spec := m.owner(t), provider(idp(t))
	makes := rapid.Bool().Draw(t, "makes users")
	spec.AutoCreateUsers = &makes
	_, err := m.real.PutProvider(m.tb.Context(), o, spec, noon)
	m.expect(err, nil)
	m.providers[o][spec.ID] = makes
}

func (m *model) delete(t *rapid.T) {
	o, id := m.owner(t), idp(t)
	var want error
	if _, ok := m.providers[o][id]; !ok {
		want = federation.ErrProviderNotFound
	}
	m.expect(m.real.DeleteProvider(m.tb.Context(), o, id, noon), want)
	delete(m.providers[o], id)
}

// holder is who has an address.
func (m *model) holder(o federation.Owner, email string) string {
	for id, u := range m.users[o] {
		if u.email == strings.ToLower(email) {
			return id
		}
	}
	return ""
}

func (m *model) exchange(t *rapid.T) {
	o, p, ext, mail := m.owner(t), idp(t), external(t), email(t)
	makes, there := m.providers[o][p]
	linked := m.links[o][[2]string{p, ext}]
	var want error
	switch {
	case !there:
		want = federation.ErrProviderNotFound
	case linked != "" && !m.users[o][linked].active:
		want = federation.ErrUserInactive
	case linked != "":
	case !makes:
		want = federation.ErrUserNotFound
	case m.holder(o, mail) != "":
		want = federation.ErrEmailExists
	}
	jwt := m.key.Sign(m.tb, nil, claims(map[string]any{"sub": ext, "email": mail}))
	got, err := m.real.Exchange(m.tb.Context(), o, federation.ExchangeSpec{Provider: p, JWT: jwt}, noon)
	m.expect(err, want)
	switch {
	case err != nil:
	case linked != "" && (got.Created || got.User.ID != linked):
		t.Fatalf("%+v, and not %s", got, linked)
	case linked == "" && (!got.Created || m.users[o][got.User.ID] != nil):
		t.Fatalf("not made: %+v", got)
	case linked == "":
		m.users[o][got.User.ID] = &modelUser{strings.ToLower(mail), true}
		m.links[o][[2]string{p, ext}] = got.User.ID
	}
}

// user is one of an owner's, or somebody else's.
func (m *model) user(t *rapid.T) string {
	ids := []string{"0b7e7c1e-5f0c-4b57-9a43-0e0c8a1f3d55"}
	for _, o := range m.owners() {
		ids = append(ids, slices.Sorted(maps.Keys(m.users[o]))...)
	}
	return rapid.SampledFrom(ids).Draw(t, "user")
}

func (m *model) link(t *rapid.T) {
	o, id, p, ext := m.owner(t), m.user(t), idp(t), external(t)
	var want error
	_, there := m.providers[o][p]
	was := m.links[o][[2]string{p, ext}]
	switch {
	case m.users[o][id] == nil:
		want = federation.ErrUserNotFound
	case !there:
		want = federation.ErrProviderNotFound
	case was != "" && was != id:
		want = federation.ErrLinked
	}
	err := m.real.Link(m.tb.Context(), o, federation.LinkSpec{User: id, Provider: p, ExternalID: ext}, noon)
	m.expect(err, want)
	if err == nil {
		m.links[o][[2]string{p, ext}] = id
	}
}

func (m *model) create(t *rapid.T) {
	o, mail := m.owner(t), email(t)
	var want error
	if m.holder(o, mail) != "" {
		want = federation.ErrEmailExists
	}
	inactive := rapid.Bool().Draw(t, "inactive")
	u, err := m.real.CreateUser(m.tb.Context(), o, federation.UserSpec{Email: mail, IsInactive: inactive}, noon)
	m.expect(err, want)
	if err == nil {
		m.users[o][u.ID] = &modelUser{strings.ToLower(mail), !inactive}
	}
}

func (m *model) update(t *rapid.T) {
	o, id, mail, active := m.owner(t), m.user(t), email(t), rapid.Bool().Draw(t, "active")
	u := m.users[o][id]
	var want error
	switch holder := m.holder(o, mail); {
	case u == nil:
		want = federation.ErrUserNotFound
	case holder != "" && holder != id:
		want = federation.ErrEmailExists
	}
	_, err := m.real.UpdateUser(m.tb.Context(), o, id, federation.UserChange{Email: &mail, IsActive: &active}, noon)
	m.expect(err, want)
	if err == nil {
		u.email, u.active = strings.ToLower(mail), active
	}
}

// check compares all that can be read.
func (m *model) check(t *rapid.T) {
	stats := federation.Stats{}
	for _, o := range m.owners() {
		list, err := m.real.Providers(m.tb.Context(), o)
		m.expect(err, nil)
		if len(list) != len(m.providers[o]) {
			t.Fatalf("%v has the providers %v, and not %v", o, list, m.providers[o])
		}
		stats.Providers += len(list)
		users, total, err := m.real.Users(m.tb.Context(), o, federation.UserQuery{Limit: 1000})
		m.expect(err, nil)
		if total != len(m.users[o]) || len(users) != total {
			t.Fatalf("%v has %d users, %d of them listed, and not %d", o, total, len(users), len(m.users[o]))
		}
		links := 0
		for _, u := range users {
			want := m.users[o][u.ID]
			if want == nil || strings.ToLower(u.Email) != want.email || u.IsActive != want.active || m.real.Active(o.Tenant, o.Environment, u.ID) != want.active {
				t.Fatalf("user %+v, and not %+v", u, want)
			}
			for _, l := range u.Links {
				if m.links[o][[2]string{l.Provider, l.ExternalID}] != u.ID {
					t.Fatalf("%+v is linked to %+v", u, l)
				}
			}
			links += len(u.Links)
			if want.active {
				stats.Active++
			} else {
				stats.Inactive++
			}
		}
		if links != len(m.links[o]) {
			t.Fatalf("%d links, and not %d", links, len(m.links[o]))
		}
	}
	got := m.real.Stats()
	if got.KeySets > 2 {
		t.Fatalf("%d key sets are held", got.KeySets)
	}
	if got.KeySets = 0; got != stats {
		t.Fatalf("%+v, and not %+v", got, stats)
	}
}
