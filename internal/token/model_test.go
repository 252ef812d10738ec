package token_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
)

// modelToken is a refresh token in a tree: those that its uses gave are its children.
type modelToken struct {
	text     string
	parent   *modelToken
	children []*modelToken
	expires  time.Time
	used     time.Time // zero: it was not
	ended    bool      // a sibling was used
}

type modelSession struct {
	id     string
	user   string
	opened time.Time
	over   bool
	tokens []*modelToken
}

// model is what sessions should be: trees of tokens.
type model struct {
	t        *rapid.T
	o        token.Options
	real     *token.Authority
	now      time.Time
	sessions []*modelSession
}

// TestModel does at random what callers do with sessions, and compares every answer with that of plain trees. A failure prints the seed.
func TestModel(t *testing.T) { // R-SESS-1, R-SESS-2, R-SESS-3, R-SESS-5
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		path := filepath.Join(dir, fmt.Sprint(runs), "postern.db")
		db, err := store.Open(store.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = db.Close()
			_ = os.RemoveAll(filepath.Dir(path))
		}()
		m := &model{t: t, o: options(db, token.FormMLM), now: noon}
		m.open()
		t.Repeat(map[string]func(*rapid.T){
			"open": m.openSession, "refresh": m.refresh, "refresh again": m.refresh, "and again": m.refresh, "end": m.end, "trim": m.trim,
			"wait":      func(t *rapid.T) { m.wait(time.Duration(rapid.IntRange(0, 90_000).Draw(t, "ms")) * time.Millisecond) },
			"wait long": func(t *rapid.T) { m.wait(time.Duration(rapid.IntRange(0, 40).Draw(t, "days")) * day) },
			"restart":   func(*rapid.T) { m.open() },
		})
	})
}

func (m *model) wait(d time.Duration) { m.now = m.now.Add(d) }

func (m *model) open() {
	var err error
	m.o.Settings.RefreshTTL = 30 * day
	if m.real, err = token.Open(m.o, m.now); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) openSession(t *rapid.T) {
	as := spec()
	as.User = rapid.SampledFrom([]string{"u1", "u2"}).Draw(t, "user")
	s, text, err := m.real.OpenSession(t.Context(), as, m.now)
	if err != nil {
		t.Fatal(err)
	}
	m.sessions = append(m.sessions, &modelSession{id: s.ID, user: as.User, opened: m.now, tokens: []*modelToken{{text: text, expires: m.now.Add(30 * day)}}})
}

func (m *model) session(t *rapid.T) *modelSession {
	if len(m.sessions) == 0 {
		t.Skip("no session")
	}
	return rapid.SampledFrom(m.sessions).Draw(t, "session")
}

// verdict is what the use of k, a token of s, should give.
func (m *model) verdict(s *modelSession, k *modelToken) error {
	switch {
	case s.over || !m.now.Before(s.opened.Add(90*day)):
		return token.ErrRefreshUnknown
	case k.ended:
		return token.ErrRefreshUnknown
	case k.used.IsZero() && m.now.Before(k.expires):
		return nil
	case k.used.IsZero():
		return token.ErrRefreshUnknown
	}
	for _, child := range k.children {
		if !child.used.IsZero() {
			return token.ErrRefreshReused
		}
	}
	if m.now.Sub(k.used) <= time.Minute {
		return nil
	}
	return token.ErrRefreshReused
}

func (m *model) refresh(t *rapid.T) {
	s := m.session(t)
	k := s.tokens[max(0, len(s.tokens)-1-rapid.IntRange(0, 4).Draw(t, "how old"))]
	by, want := byKey(), m.verdict(s, k)
	if rapid.IntRange(0, 9).Draw(t, "by") == 0 {
		by.Environment, want = "SANDBOX", token.ErrRefreshUnknown
	}
	_, text, err := m.real.Refresh(t.Context(), k.text, by, m.now)
	if !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
	if errors.Is(want, token.ErrRefreshReused) {
		s.over = true
	}
	if want != nil {
		return
	}
	if k.used.IsZero() {
		k.used = m.now
		if k.parent != nil {
			for _, sibling := range k.parent.children {
				sibling.ended = sibling != k
			}
		}
	}
	child := &modelToken{text: text, parent: k, expires: m.now.Add(30 * day)}
	k.children = append(k.children, child)
	s.tokens = append(s.tokens, child)
}

func (m *model) end(t *rapid.T) {
	s := m.session(t)
	if rapid.Bool().Draw(t, "its user") {
		if _, err := m.real.RevokeUser(t.Context(), "acme", "LIVE", s.user, m.now); err != nil {
			t.Fatal(err)
		}
		for _, other := range m.sessions {
			other.over = other.over || other.user == s.user
		}
		return
	}
	if _, err := m.real.RevokeSession(t.Context(), s.id, m.now); err != nil {
		t.Fatal(err)
	}
	s.over = true
}

// trim forgets sessions of which nothing can be used.
func (m *model) trim(t *rapid.T) {
	if err := m.real.Trim(t.Context(), m.now); err != nil {
		t.Fatal(err)
	}
	alive := int64(0)
	for _, s := range m.sessions {
		ready := false
		for _, k := range s.tokens {
			ready = ready || k.used.IsZero() && !k.ended && m.now.Before(k.expires)
		}
		s.over = s.over || !ready || !m.now.Before(s.opened.Add(90*day))
		if !s.over {
			alive++
		}
	}
	if n := m.real.Stats().Sessions; n != alive {
		t.Fatalf("%d sessions, want %d", n, alive)
	}
}
