package token_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/jwks"
)

const day = 24 * time.Hour

// states are the keys of a in order: state and algorithm.
func states(a *token.Authority) string {
	var s []string
	for _, k := range a.Keys() {
		s = append(s, string(k.State)+" "+string(k.Algorithm))
	}
	return strings.Join(s, ", ")
}

func advance(tb testing.TB, a *token.Authority, now time.Time) {
	tb.Helper()
	if err := a.Advance(tb.Context(), now); err != nil {
		tb.Fatal(err)
	}
}

func TestTheFirstKeySignsAtOnceAndIsKept(t *testing.T) { // R-EXCH-5
	o := options(authtest.NewDatabase(t), token.FormMKA1)
	a := open(t, o, noon)
	if got := states(a); got != "signing EdDSA" {
		t.Fatal(got)
	}
	text, _ := mint(t, a, grant(), noon)
	again := open(t, o, noon.Add(time.Hour))
	if verify(t, again.JWKS(), text); !bytes.Equal(a.JWKS(), again.JWKS()) {
		t.Errorf("%s after a restart, before: %s", again.JWKS(), a.JWKS())
	}
}

func TestAKeyIsPublishedForAnHourBeforeItSigns(t *testing.T) {
	o := options(authtest.NewDatabase(t), token.FormMKA1)
	a := open(t, o, noon)
	first, generation := a.Keys()[0].ID, a.KeysGeneration()
	old, _ := mint(t, a, grant(), noon)
	k, err := a.Rotate(t.Context(), noon)
	if err != nil || k.ID == first || k.State != token.KeyPublished || !k.SignsFrom.Equal(noon.Add(time.Hour)) {
		t.Fatalf("%+v, %v", k, err)
	}
	if again, err := a.Rotate(t.Context(), noon.Add(time.Minute)); err != nil || cmp.Diff(k, again) != "" {
		t.Errorf("another rotation made %+v, %v", again, err)
	}
	if a.KeysGeneration() == generation || !strings.Contains(string(a.JWKS()), k.ID) {
		t.Errorf("generation %d of %s", a.KeysGeneration(), a.JWKS())
	}
	advance(t, a, noon.Add(time.Hour-time.Millisecond))
	if got := states(a); got != "signing EdDSA, published EdDSA" || a.Keys()[0].ID != first {
		t.Errorf("a moment before the hour: %s", got)
	}
	advance(t, a, noon.Add(time.Hour))
	if got := states(a); got != "signing EdDSA, retired EdDSA" || a.Keys()[0].ID != k.ID {
		t.Errorf("after an hour: %s", got)
	}
	verify(t, a.JWKS(), old)
	text, _ := mint(t, a, grant(), noon.Add(time.Hour-time.Second))
	verify(t, a.JWKS(), text)
	advance(t, a, noon.Add(time.Hour+31*day-time.Millisecond))
	verify(t, a.JWKS(), old)
	advance(t, a, noon.Add(time.Hour+31*day))
	if got := states(a); got != "signing EdDSA" || strings.Contains(string(a.JWKS()), first) {
		t.Errorf("31 days after its last use: %s", got)
	}
	if again := open(t, o, noon.Add(time.Hour+31*day)); cmp.Diff(a.Keys(), again.Keys()) != "" {
		t.Errorf("after a restart: %s", cmp.Diff(a.Keys(), again.Keys()))
	}
}

func TestKeysAreRotatedByTime(t *testing.T) {
	db := authtest.NewDatabase(t)
	o, log := options(db, token.FormMKA1), new(audit)
	o.Change, o.Settings.RotateEvery = log.gate(db), 90*day
	a := open(t, o, noon)
	was := a.Keys()[0].ID
	signing := map[string]int{}
	for hour := range 200 * 24 {
		now := noon.Add(time.Duration(hour) * time.Hour)
		advance(t, a, now)
		g := grant()
		g.ExpiresAt = now.Add(time.Hour)
		mint(t, a, g, now)
		signing[a.Keys()[0].ID]++
	}
	if signing[was] != 90*24 || len(signing) != 3 {
		t.Errorf("hours that each key has signed: %v", signing)
	}
	want := []string{"signing_key.create", "signing_key.create", "signing_key.retire", "signing_key.delete", "signing_key.create", "signing_key.retire"}
	if !slices.Equal(log.actions()[:len(want)], want) {
		t.Errorf("recorded: %q", log.actions())
	}
}

// With another algorithm in the file the old key signs until the new one may: no verifier meets a key that it could not have fetched.
func TestAnotherAlgorithmWaitsForItsHour(t *testing.T) {
	a := authority(t, token.FormMKA1)
	s := token.Settings{Issuer: "https://api.example.com", Algorithm: token.ES256}
	for _, step := range []struct {
		at        time.Duration
		algorithm token.Algorithm
		want      string
	}{
		{0, token.ES256, "signing EdDSA, published ES256"},
		{30 * time.Minute, token.EdDSA, "signing EdDSA"}, // it was a mistake: withdrawn unused
		{31 * time.Minute, token.ES256, "signing EdDSA, published ES256"},
		{59 * time.Minute, token.RS256, "signing EdDSA, published RS256"},
		{2 * time.Hour, token.RS256, "signing RS256, retired EdDSA"},
		{3 * time.Hour, token.EdDSA, "signing RS256, published EdDSA, retired EdDSA"},
		{4 * time.Hour, token.EdDSA, "signing EdDSA, retired RS256, retired EdDSA"},
	} {
		s.Algorithm = step.algorithm
		a.Configure(s)
		advance(t, a, noon.Add(step.at))
		if got := states(a); got != step.want {
			t.Fatalf("after %v: %s, want %s", step.at, got, step.want)
		}
	}
}

func TestAClockThatJumpsBringsNoKeyBackAndNoneForward(t *testing.T) { // R-JWT-6
	o := options(authtest.NewDatabase(t), token.FormMKA1)
	a := open(t, o, noon)
	year := noon.Add(400 * day)
	advance(t, a, year) // ahead: a rotation is due, and its hour begins
	if got := states(a); got != "signing EdDSA, published EdDSA" {
		t.Fatal(got)
	}
	pending := a.Keys()[1].ID
	advance(t, a, noon.Add(time.Minute)) // and back: its hour begins again
	if k := a.Keys()[1]; k.ID != pending || !k.SignsFrom.Equal(noon.Add(time.Minute+time.Hour)) || a.Keys()[0].ID == pending {
		t.Fatalf("%+v", a.Keys())
	}
	advance(t, a, year)
	advance(t, a, year.Add(time.Hour))
	if got := states(a); got != "signing EdDSA, retired EdDSA" || a.Keys()[0].ID != pending {
		t.Fatal(got)
	}
	for _, now := range []time.Time{noon, noon.Add(-400 * day)} {
		advance(t, a, now)
		o.Passive = true
		for _, a := range []*token.Authority{a, open(t, o, now)} {
			if got := states(a); got != "signing EdDSA, retired EdDSA" || a.Keys()[0].ID != pending {
				t.Errorf("at %v: %s", now, got)
			}
		}
	}
}

// A clock that is behind when Postern starts, and is then set right, has no key deleted while tokens that it signed live, and none sign before its hour has passed.
func TestAClockThatIsBehindAtTheStartWithdrawsNoKey(t *testing.T) { // R-JWT-6
	o := options(authtest.NewDatabase(t), token.FormMKA1)
	a := open(t, o, noon)
	text, _ := mint(t, a, grant(), noon)
	rotate := func(now time.Time) {
		t.Helper()
		if _, err := a.Rotate(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	rotate(noon)
	advance(t, a, after(time.Hour))
	rotate(after(2 * time.Hour))
	const want = "signing EdDSA, published EdDSA, retired EdDSA"
	behind := noon.Add(-20 * 365 * day)
	a = open(t, o, behind)
	if got := states(a); got != want || !a.HourFrom().Equal(behind) {
		t.Errorf("behind: %s; the hour is measured from %v", got, a.HourFrom())
	}
	a.PublishedBy(after(2 * time.Hour)) // as the monotonic clock has it: a minute ago
	advance(t, a, after(2*time.Hour+time.Minute))
	if got := states(a); got != want {
		t.Errorf("set right: %s", got)
	}
	verify(t, a.JWKS(), text)
}

// Who lists the keys while they change reads what nobody writes to. The race detector says so.
func TestKeysAreListedWhileTheyChange(t *testing.T) {
	a := authority(t, token.FormMKA1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for hour := range 30 {
			if _, err := a.Rotate(t.Context(), after(time.Duration(hour)*time.Hour)); err != nil {
				t.Error(err)
			}
			if err := a.Advance(t.Context(), after(time.Duration(hour+1)*time.Hour)); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		select {
		case <-done:
			if got := states(a); !strings.HasPrefix(got, "signing EdDSA, retired EdDSA") {
				t.Error(got)
			}
			return
		default:
			if signing := a.Keys()[0]; signing.State != token.KeySigning || a.Stats().Keys[token.KeySigning] != 1 {
				t.Fatalf("%+v", signing)
			}
		}
	}
}

// Whoever rotates every hour does not fill the document beyond what is read of it: the key that signs goes on until one that retired may be deleted.
func TestTheDocumentHasABound(t *testing.T) {
	o := options(authtest.NewDatabase(t), token.FormMKA1)
	o.Settings.RotateEvery = time.Minute
	a := open(t, o, noon)
	refused := 0
	for hour := range 80 {
		now := after(time.Duration(hour) * time.Hour)
		if advance(t, a, now); hour%2 == 0 {
			if _, err := a.Rotate(t.Context(), now); errors.Is(err, token.ErrTooManyKeys) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(a.Keys()); n != 64 || refused == 0 {
		t.Errorf("%d keys, %d rotations refused", n, refused)
	}
	if _, err := jwks.ParseSet(a.JWKS()); err != nil {
		t.Error(err)
	}
	advance(t, a, after(33*day))
	if k, err := a.Rotate(t.Context(), after(33*day)); err != nil || k.State != token.KeyPublished {
		t.Errorf("when old ones are deleted: %+v, %v", k, err)
	}
}

// In a running process the hour has to pass by the monotonic clock, too: a clock that is set ahead does not shorten it.
func TestTheHourIsMeasuredByBothClocks(t *testing.T) {
	a := authority(t, token.FormMKA1)
	if _, err := a.Rotate(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	a.PublishedBy(noon.Add(2*time.Hour - time.Minute)) // the other clock: of the two hours one minute has passed
	advance(t, a, noon.Add(2*time.Hour))
	if got := states(a); got != "signing EdDSA, published EdDSA" {
		t.Errorf("a minute later: %s", got)
	}
	advance(t, a, noon.Add(3*time.Hour-time.Minute))
	if got := states(a); got != "signing EdDSA, retired EdDSA" {
		t.Errorf("an hour later: %s", got)
	}
}

// Keys that cannot be unsealed are an error, and no new ones are made.
func TestKeysThatCannotBeUnsealedAreNotReplaced(t *testing.T) { // R-EXCH-5
	for name, harm := range map[string]func(*token.SealedKeys, *store.Tx) error{
		"another secret":    nil,
		"a bit of the seal": func(k *token.SealedKeys, tx *store.Tx) error { return k.Flip(tx) },
		"another algorithm": func(k *token.SealedKeys, tx *store.Tx) error { return k.Name(tx, token.ES256) },
		"an earlier time":   func(k *token.SealedKeys, tx *store.Tx) error { return k.Backdate(tx) },
		"another id":        func(k *token.SealedKeys, tx *store.Tx) error { return k.Rename(tx) },
		"no seal":           func(k *token.SealedKeys, tx *store.Tx) error { return k.Unseal(tx) },
		"one is moved":      func(k *token.SealedKeys, tx *store.Tx) error { return k.Swap(tx) },
	} {
		t.Run(name, func(t *testing.T) {
			db := authtest.NewDatabase(t)
			o, log := options(db, token.FormMKA1), new(audit)
			a := open(t, o, noon)
			if _, err := a.Rotate(t.Context(), noon); err != nil {
				t.Fatal(err)
			}
			if harm == nil {
				o.Secret = []byte("a secret of thirty-two bytes, but another")
			} else if _, err := db.Update(func(tx *store.Tx) error { return harm(token.KeysOf(), tx) }); err != nil {
				t.Fatal(err)
			}
			o.Change = log.gate(db)
			if _, err := token.Open(o, noon); !errors.Is(err, token.ErrSealed) {
				t.Errorf("%v", err)
			}
			if n := len(log.actions()); n != 0 {
				t.Errorf("recorded: %q", log.actions())
			}
		})
	}
}

func TestNoPrivateKeyIsOnTheDiskOrInTheDocument(t *testing.T) { // R-EXCH-5
	db := authtest.NewDatabase(t)
	for _, algorithm := range []token.Algorithm{token.EdDSA, token.ES256, token.RS256} {
		o := options(db, token.FormMKA1)
		o.Settings.Algorithm = algorithm
		a := open(t, o, noon)
		for _, secret := range a.Secrets() {
			if bytes.Contains(a.JWKS(), secret) {
				t.Errorf("%s: a private key is in the document", algorithm)
			}
			var file bytes.Buffer
			if err := db.Snapshot(0, func(x *store.Snapshot) error { return x.Copy(t.Context(), &file) }); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(file.Bytes(), secret[:16]) {
				t.Errorf("%s: a private key is on the disk", algorithm)
			}
		}
		for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
			if strings.Contains(string(a.JWKS()), `"`+member+`":`) {
				t.Errorf("%s: %q in %s", algorithm, member, a.JWKS())
			}
		}
		if k := fmt.Sprintf("%v %+v", a.Keys(), a.Keys()); strings.Contains(k, "private") {
			t.Error(k)
		}
	}
}

func TestAPassiveAuthorityMakesNoKeyByItself(t *testing.T) {
	o := options(authtest.NewDatabase(t), token.FormMKA1)
	o.Passive = true
	a := open(t, o, noon)
	if _, _, err := a.Mint(grant(), noon); !errors.Is(err, token.ErrNoKey) || !errors.Is(a.Check(), token.ErrNoKey) || string(a.JWKS()) != `{"keys":[]}` {
		t.Errorf("%v, %s", err, a.JWKS())
	}
	if k, err := a.Rotate(t.Context(), noon); err != nil || k.State != token.KeySigning || a.Check() != nil {
		t.Errorf("the first, by command: %+v, %v", k, err)
	}
}

func TestRunRotatesAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := authtest.NewDatabase(t)
		o := options(db, token.FormMKA1)
		o.Settings.RotateEvery = 10 * day
		a := open(t, o, time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		first := a.Keys()[0].ID
		time.Sleep(10*day + time.Hour)
		if a.Keys()[0].ID == first || states(a) != "signing EdDSA, retired EdDSA" {
			t.Error(states(a))
		}
		a.Configure(token.Settings{Issuer: "https://api.example.com", Algorithm: token.ES256})
		synctest.Wait() // at once
		if states(a) != "signing EdDSA, published ES256, retired EdDSA" {
			t.Error(states(a))
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}
