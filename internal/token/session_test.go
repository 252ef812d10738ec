package token_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
)

func spec() token.SessionSpec {
	return token.SessionSpec{Tenant: "acme", Environment: "LIVE", User: "u1", Provider: "my-app", ExternalID: "ext-1", KeyID: "k1"}
}

func byKey() token.RefreshSpec {
	return token.RefreshSpec{Tenant: "acme", Environment: "LIVE", KeyID: "k2"}
}

func openSession(tb testing.TB, a *token.Authority, now time.Time) (token.Session, string) {
	tb.Helper()
	s, text, err := a.OpenSession(tb.Context(), spec(), now)
	if err != nil {
		tb.Fatal(err)
	}
	return s, text
}

// refresh continues a session and returns the next token; failing, nothing.
func refresh(tb testing.TB, a *token.Authority, text string, now time.Time, want error) string {
	tb.Helper()
	_, next, err := a.Refresh(tb.Context(), text, byKey(), now)
	if !errors.Is(err, want) || (next == "") != (want != nil) {
		tb.Errorf("refreshing %v later: %q, %v, want %v", now.Sub(noon), next, err, want)
	}
	return next
}

func after(d time.Duration) time.Time { return noon.Add(d) }

func TestASessionIsContinued(t *testing.T) {
	o := options(authtest.NewDatabase(t), token.FormMLM)
	a := open(t, o, noon)
	opened, text := openSession(t, a, noon)
	want := token.Session{
		ID: opened.ID, Tenant: "acme", Environment: "LIVE", User: "u1", Provider: "my-app", ExternalID: "ext-1", KeyID: "k1",
		OpenedAt: noon, EndsAt: after(90 * day),
	}
	if diff := cmp.Diff(want, opened, cmpopts.IgnoreUnexported(token.Session{})); diff != "" {
		t.Error(diff)
	}
	if !regexp.MustCompile(`^mlm_refresh_[0-9A-Za-z]{43}$`).MatchString(text) {
		t.Errorf("%q", text)
	}
	want.KeyID = "k2"
	seen := []string{text}
	for i := range 10 {
		a = open(t, o, noon) // each time after a restart
		s, next, err := a.Refresh(t.Context(), text, byKey(), after(time.Duration(i)*time.Hour))
		if diff := cmp.Diff(want, s, cmpopts.IgnoreUnexported(token.Session{})); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
		if slices.Contains(seen, next) || a.Stats().Sessions != 1 {
			t.Errorf("%q, %d sessions", next, a.Stats().Sessions)
		}
		seen, text = append(seen, next), next
	}
}

func TestARefreshTokenThatIsNoneEndsNothing(t *testing.T) { // R-SESS-1, R-SESS-4
	a := authority(t, token.FormMLM)
	_, text := openSession(t, a, noon)
	_, other := openSession(t, a, noon)
	next := refresh(t, a, refresh(t, a, text, noon, nil), noon, nil)
	for name, s := range map[string]string{
		"empty": "", "a prefix": token.RefreshPrefix, "another prefix": "mlm_refrash_" + text[len(token.RefreshPrefix):], "no prefix": text[len(token.RefreshPrefix):],
		"a digit more": text + "0", "a digit less": text[:len(text)-1], "a space": text + " ", "of nobody": token.RefreshPrefix + strings.Repeat("0", 43),
		"parts of two": text[:len(token.RefreshPrefix)+12] + other[len(token.RefreshPrefix)+12:],
	} {
		if _, _, err := a.Refresh(t.Context(), s, byKey(), after(time.Hour)); !errors.Is(err, token.ErrRefreshUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := len(token.RefreshPrefix); i < len(text); i++ { // one that was used long ago: with less attention it would end the session
		b := []byte(text)
		b[i] = map[bool]byte{true: 'x', false: 'y'}[b[i] != 'x']
		if _, _, err := a.Refresh(t.Context(), string(b), byKey(), after(time.Hour)); !errors.Is(err, token.ErrRefreshUnknown) {
			t.Errorf("digit %d changed: %v", i, err)
		}
	}
	for name, change := range map[string]func(*token.RefreshSpec){
		"another tenant's key":      func(s *token.RefreshSpec) { s.Tenant = "globex" },
		"another environment's key": func(s *token.RefreshSpec) { s.Environment = "SANDBOX" },
	} {
		by := byKey()
		change(&by)
		for _, text := range []string{text, next} {
			if _, _, err := a.Refresh(t.Context(), text, by, after(time.Hour)); !errors.Is(err, token.ErrRefreshUnknown) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	refresh(t, a, next, after(time.Hour), nil)
}

func TestARetryGetsAnotherTokenOfWhichUsingEitherEndsTheOther(t *testing.T) { // R-SESS-2
	a := authority(t, token.FormMLM)
	_, first := openSession(t, a, noon)
	lost := refresh(t, a, first, noon, nil)
	retried := refresh(t, a, first, after(30*time.Second), nil)
	again := refresh(t, a, first, after(60*time.Second), nil)
	next := refresh(t, a, retried, after(61*time.Second), nil)
	for _, sibling := range []string{lost, again} {
		refresh(t, a, sibling, after(62*time.Second), token.ErrRefreshUnknown)
		refresh(t, a, sibling, after(100*day/2), token.ErrRefreshUnknown)
	}
	last := refresh(t, a, next, after(63*time.Second), nil)
	refresh(t, a, lost, after(64*time.Second), token.ErrRefreshUnknown) // also of a generation long past
	refresh(t, a, last, after(65*time.Second), nil)
}

func TestReuseEndsTheSession(t *testing.T) { // R-SESS-1
	for name, test := range map[string]func(a *token.Authority, first string) (reused string, at time.Time){
		"after the minute, though its successor is unused": func(a *token.Authority, first string) (string, time.Time) {
			refresh(t, a, first, noon, nil)
			return first, after(time.Minute + time.Millisecond)
		},
		"within the minute, when its successor was used": func(a *token.Authority, first string) (string, time.Time) {
			refresh(t, a, refresh(t, a, first, noon, nil), after(time.Second), nil)
			return first, after(2 * time.Second)
		},
		"of a sibling that was used": func(a *token.Authority, first string) (string, time.Time) {
			refresh(t, a, first, noon, nil)
			second := refresh(t, a, first, noon, nil)
			refresh(t, a, refresh(t, a, second, after(time.Second), nil), after(2*time.Second), nil)
			return second, after(3 * time.Second)
		},
		"long after": func(a *token.Authority, first string) (string, time.Time) {
			text := first
			for i := range 40 {
				text = refresh(t, a, text, after(time.Duration(i)*day), nil)
			}
			return first, after(40 * day)
		},
		"with the clock set back": func(a *token.Authority, first string) (string, time.Time) {
			refresh(t, a, first, after(time.Hour), nil)
			return first, noon
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := authtest.NewDatabase(t)
			o, log := options(db, token.FormMLM), new(audit)
			o.Change = log.gate(db)
			a := open(t, o, noon)
			s, first := openSession(t, a, noon)
			g := grant()
			g.Session = s.ID
			reused, at := test(a, first)
			g.ExpiresAt = at.Add(time.Hour)
			_, g = mint(t, a, g, at)
			refresh(t, a, reused, at, token.ErrRefreshReused)
			for _, a := range []*token.Authority{a, open(t, o, at)} {
				if !a.Revoked(&g) || a.Stats().Sessions != 0 {
					t.Errorf("its access token is refused: %t; %d sessions", a.Revoked(&g), a.Stats().Sessions)
				}
			}
			refresh(t, a, reused, at, token.ErrRefreshUnknown)
			if last := log.events[len(log.events)-1]; last.Action != "session.end" || last.Tenant != "acme" {
				t.Errorf("recorded: %+v", last)
			}
		})
	}
}

// Whoever shows a token again ends its session, whether or not he waits for the answer.
func TestReuseEndsTheSessionOfAClientThatIsGone(t *testing.T) { // R-SESS-1
	o := options(authtest.NewDatabase(t), token.FormMLM)
	ctx, cancel := context.WithCancel(t.Context())
	gate := o.Change
	o.Change = func(ctx context.Context, now time.Time, fn func(*store.Tx) (*token.Event, error)) error {
		cancel()
		return gate(ctx, now, fn)
	}
	o.Passive = true // the first key needs the gate too
	a := open(t, o, noon)
	_, first := openSession(t, a, noon)
	next := refresh(t, a, first, noon, nil)
	if _, _, err := a.Refresh(ctx, first, byKey(), after(time.Hour)); !errors.Is(err, token.ErrRefreshReused) {
		t.Error(err)
	}
	refresh(t, a, next, after(time.Hour), token.ErrRefreshUnknown)
}

func TestSessionsAndTheirTokensEndInTime(t *testing.T) { // R-SESS-3
	o := options(authtest.NewDatabase(t), token.FormMLM)
	o.Settings.RefreshTTL = 30 * day
	a := open(t, o, noon)
	_, text := openSession(t, a, noon)
	refresh(t, a, text, after(30*day), token.ErrRefreshUnknown)
	for _, d := range []time.Duration{30*day - time.Millisecond, 59 * day, 88 * day} {
		text = refresh(t, a, text, after(d), nil)
	}
	refresh(t, a, text, after(90*day), token.ErrRefreshUnknown)
	text = refresh(t, a, text, after(90*day-time.Millisecond), nil)
	if err := a.Trim(t.Context(), after(90*day-time.Millisecond)); err != nil || a.Stats().Sessions != 1 {
		t.Errorf("%v, %d sessions", err, a.Stats().Sessions)
	}
	if err := a.Trim(t.Context(), after(90*day)); err != nil || a.Stats().Sessions != 0 {
		t.Errorf("%v, %d sessions", err, a.Stats().Sessions)
	}
	refresh(t, a, text, noon, token.ErrRefreshUnknown) // a clock that goes back revives none
}

func TestASessionThatMayNotBeContinuedIsLeftAsItIs(t *testing.T) {
	a := authority(t, token.FormMLM)
	s, text := openSession(t, a, noon)
	inactive := errors.New("inactive")
	by := byKey()
	by.Check = func(asked *token.Session) error {
		if asked.ID != s.ID || asked.User != "u1" || asked.Provider != "my-app" {
			t.Errorf("asked for %+v", asked)
		}
		return inactive
	}
	for range 3 {
		if _, _, err := a.Refresh(t.Context(), text, by, noon); !errors.Is(err, inactive) {
			t.Error(err)
		}
	}
	refresh(t, a, text, after(time.Hour), nil)
}

func TestAnEndedSessionCannotBeContinued(t *testing.T) { // R-SESS-5
	for name, end := range map[string]func(*token.Authority, token.Session) (int, error){
		"its own end": func(a *token.Authority, s token.Session) (int, error) {
			ended, err := a.RevokeSession(t.Context(), s.ID, noon)
			return map[bool]int{true: 3}[ended], err
		},
		"its user's": func(a *token.Authority, _ token.Session) (int, error) {
			return a.RevokeUser(t.Context(), "acme", "LIVE", "u1", noon)
		},
	} {
		a := authority(t, token.FormMLM)
		s, text := openSession(t, a, noon)
		openSession(t, a, noon)
		openSession(t, a, noon)
		other := spec()
		other.User = "u2"
		_, others, err := a.OpenSession(t.Context(), other, noon)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := end(a, s); n != 3 || err != nil {
			t.Errorf("%s: %d sessions, %v", name, n, err)
		}
		refresh(t, a, text, noon, token.ErrRefreshUnknown)
		refresh(t, a, others, noon, nil)
		if _, fresh := openSession(t, a, noon); refresh(t, a, fresh, noon, nil) == "" {
			t.Errorf("%s: a session that was opened after it has ended too", name)
		}
	}
}

// Of many who use one token at once each gets a token of the same session; one of those can be used, and then no other.
func TestARefreshTokenUsedByManyAtOnce(t *testing.T) { // R-SESS-2
	a := authority(t, token.FormMLM)
	_, text := openSession(t, a, noon)
	const many = 40
	got := make([]string, many)
	var wait sync.WaitGroup
	for i := range many {
		wait.Go(func() { got[i] = refresh(t, a, text, noon, nil) })
	}
	wait.Wait()
	slices.Sort(got)
	if len(slices.Compact(slices.Clone(got))) != many || a.Stats().Sessions != 1 {
		t.Errorf("%d sessions, tokens: %q", a.Stats().Sessions, got)
	}
	var mu sync.Mutex
	used := 0
	for _, text := range got {
		wait.Go(func() {
			_, _, err := a.Refresh(t.Context(), text, byKey(), after(time.Second))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				used++
			} else if !errors.Is(err, token.ErrRefreshUnknown) {
				t.Error(err)
			}
		})
	}
	if wait.Wait(); used != 1 {
		t.Errorf("%d of the tokens could be used", used)
	}
}

// Whatever is tried again and again, a record has a bound, and what it forgets is on the safe side.
func TestARecordOfASessionIsBounded(t *testing.T) { // R-SESS-6
	db := authtest.NewDatabase(t)
	a := open(t, options(db, token.FormMLM), noon)
	_, text := openSession(t, a, noon)
	var given []string
	for range 400 {
		given = append(given, refresh(t, a, text, noon, nil))
	}
	if n := token.SizeOfSessions(t, db); n > 8<<10 {
		t.Errorf("a record of %d bytes", n)
	}
	refresh(t, a, given[399-64], noon, token.ErrRefreshUnknown) // beyond those that are kept ready
	next := refresh(t, a, given[399-63], noon, nil)
	refresh(t, a, given[399], noon, token.ErrRefreshUnknown)
	refresh(t, a, given[0], noon, token.ErrRefreshReused) // it is not known any more that this was never used
	refresh(t, a, next, noon, token.ErrRefreshUnknown)
}

func TestNoRefreshTokenIsOnTheDisk(t *testing.T) { // R-SESS-4
	db := authtest.NewDatabase(t)
	a := open(t, options(db, token.FormMLM), noon)
	_, text := openSession(t, a, noon)
	texts := []string{text}
	for range 3 {
		text = refresh(t, a, text, noon, nil)
		texts = append(texts, text)
	}
	var file strings.Builder
	if err := db.Snapshot(0, func(x *store.Snapshot) error { return x.Copy(t.Context(), &file) }); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		digits := text[len(token.RefreshPrefix)+12+4:]
		for i := range len(digits) - 8 {
			if strings.Contains(file.String(), digits[i:i+8]) {
				t.Fatalf("digits %d to %d of a refresh token are on the disk", i, i+8)
			}
		}
	}
}
