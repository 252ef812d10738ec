package federation_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
)

func TestAUserIsMadeAndFound(t *testing.T) {
	db := authtest.NewDatabase(t)
	s, j := open(t, db)
	got, err := s.CreateUser(t.Context(), sandbox, federation.UserSpec{Email: "Ann@Example.com", DisplayName: "Ann", MembershipTier: "SENIOR"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(got.ID) {
		t.Errorf("id %q", got.ID)
	}
	want := federation.User{
		ID: got.ID, Owner: sandbox, Email: "Ann@Example.com", DisplayName: "Ann", MembershipTier: "SENIOR", IsActive: true, IsTestUser: true,
		Links: []federation.Link{}, CreatedAt: noon, UpdatedAt: noon,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, id := range []string{got.ID, strings.ToUpper(got.ID)} {
		kept, err := reopened(t, db).User(t.Context(), sandbox, id)
		if diff := cmp.Diff(want, kept); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	events := []federation.Event{{Action: "user.create", Tenant: "acme", Environment: "SANDBOX", Details: []federation.Detail{{Name: "user", Texts: []string{got.ID}}}}}
	if diff := cmp.Diff(events, j.take()); diff != "" {
		t.Error(diff)
	}
}

func TestOneAddressIsOneUser(t *testing.T) {
	s, _ := open(t, authtest.NewDatabase(t))
	ann, bob := create(t, s, acme, "ann@example.com"), create(t, s, acme, "bob@example.com")
	if _, err := s.CreateUser(t.Context(), acme, federation.UserSpec{Email: "ANN@Example.COM"}, noon); !errors.Is(err, federation.ErrEmailExists) {
		t.Errorf("another one in other letters: %v", err)
	}
	if _, err := s.UpdateUser(t.Context(), acme, bob.ID, federation.UserChange{Email: new("Ann@example.com")}, noon); !errors.Is(err, federation.ErrEmailExists) {
		t.Errorf("by a change: %v", err)
	}
	if _, err := s.UpdateUser(t.Context(), acme, ann.ID, federation.UserChange{Email: new("Ann@example.com")}, noon); err != nil {
		t.Errorf("the same user's, in other letters: %v", err)
	}
	create(t, s, acme, "ann+notes@example.com") // another address
	create(t, s, acme, "a.nn@example.com")
	for _, o := range strangers() { // R-PROV-1
		create(t, s, o, "ann@example.com")
	}
	if _, err := s.UpdateUser(t.Context(), acme, ann.ID, federation.UserChange{Email: new("ann@example.org")}, noon); err != nil {
		t.Fatal(err)
	}
	create(t, s, acme, "ann@example.com") // which is free again
}

func TestAnAddressIsWellFormed(t *testing.T) {
	s, _ := open(t, authtest.NewDatabase(t))
	for _, email := range []string{
		"ann@example.com", "ann@localhost", "a@b.co", "ann.b+c_d-e@sub.example.com", "o'neil@example.com", strings.Repeat("a", 64) + "@example.com", "ann@xn--bcher-kva.de",
	} {
		if _, err := s.CreateUser(t.Context(), acme, federation.UserSpec{Email: email}, noon); err != nil {
			t.Errorf("%q: %v", email, err)
		}
	}
	for _, email := range []string{
		"", "ann", "@example.com", "ann@", "ann@@example.com", "ann@b@example.com", "ann@example..com", "ann@.example.com", "ann@example.com.", "ann@-a.com", "ann@a-.com",
		"ann b@example.com", " ann@example.com", "ann@example.com\n", "änn@example.com", "ann@bücher.de", "ann@exam_ple.com", ".ann@example.com", "ann.@example.com", "a..n@example.com",
		`"ann"@example.com`, "ann,bob@example.com", "<ann@example.com>", strings.Repeat("a", 65) + "@example.com", "a@" + strings.Repeat("a.", 130) + "com",
	} {
		_, err := s.CreateUser(t.Context(), acme, federation.UserSpec{Email: email}, noon)
		if invalid, ok := errors.AsType[*federation.InvalidError](err); !ok || invalid.Fields["email"] == "" {
			t.Errorf("%q: %v", email, err)
		}
	}
}

func TestARepeatedRequestMakesNothing(t *testing.T) {
	db := authtest.NewDatabase(t)
	s, _ := open(t, db)
	spec := federation.UserSpec{Email: "ann@example.com", IdempotencyKey: "k"}
	first, err := s.CreateUser(t.Context(), acme, spec, noon)
	if err != nil {
		t.Fatal(err)
	}
	spec.Email = "ann2@example.com"
	for _, s := range []*federation.Store{s, reopened(t, db)} {
		_, err = s.CreateUser(t.Context(), acme, spec, noon.Add(24*time.Hour-time.Millisecond))
		if repeat, ok := errors.AsType[*federation.RepeatError](err); !ok || repeat.ID != first.ID {
			t.Errorf("within a day: %v", err)
		}
	}
	for _, o := range strangers() {
		if _, err := s.CreateUser(t.Context(), o, spec, noon); err != nil {
			t.Errorf("%v: %v", o, err)
		}
	}
	if _, err := s.CreateUser(t.Context(), acme, spec, noon.Add(24*time.Hour)); err != nil {
		t.Errorf("a day later: %v", err)
	}
	// One that fails remembers nothing.
	spec = federation.UserSpec{Email: "ann@example.com", IdempotencyKey: "other"}
	if _, err := s.CreateUser(t.Context(), acme, spec, noon); !errors.Is(err, federation.ErrEmailExists) {
		t.Error(err)
	}
	spec.Email = "carl@example.com"
	if _, err := s.CreateUser(t.Context(), acme, spec, noon); err != nil {
		t.Error(err)
	}
}

// R-PROV-1
func TestAUserIsNobodyElses(t *testing.T) {
	s, _ := open(t, authtest.NewDatabase(t))
	put(t, s, acme, provider("my-app"))
	ann := create(t, s, acme, "ann@example.com")
	for _, o := range strangers() {
		put(t, s, o, provider("my-app"))
		if _, err := s.User(t.Context(), o, ann.ID); !errors.Is(err, federation.ErrUserNotFound) {
			t.Errorf("%v sees her: %v", o, err)
		}
		if _, err := s.UpdateUser(t.Context(), o, ann.ID, federation.UserChange{IsActive: new(false)}, noon); !errors.Is(err, federation.ErrUserNotFound) {
			t.Errorf("%v changes her: %v", o, err)
		}
		link := federation.LinkSpec{User: ann.ID, Provider: "my-app", ExternalID: "u1"}
		if err := s.Link(t.Context(), o, link, noon); !errors.Is(err, federation.ErrUserNotFound) {
			t.Errorf("%v links her: %v", o, err)
		}
		if list, n, err := s.Users(t.Context(), o, federation.UserQuery{Limit: 10}); len(list) != 0 || n != 0 || err != nil {
			t.Errorf("%v lists %v of %d, %v", o, list, n, err)
		}
		if list, n, err := s.Users(t.Context(), o, federation.UserQuery{Limit: 10, Email: ann.Email}); len(list) != 0 || n != 0 || err != nil {
			t.Errorf("%v finds %v of %d, %v", o, list, n, err)
		}
	}
	if !s.Active(acme.Tenant, acme.Environment, ann.ID) {
		t.Error("not active")
	}
}

// R-PROV-9
func TestADeactivatedUserIsRefusedAtOnceAndAfterARestart(t *testing.T) {
	db := authtest.NewDatabase(t)
	s, j := open(t, db)
	ann, bob := create(t, s, acme, "ann@example.com"), create(t, s, acme, "bob@example.com")
	j.take()
	set := func(active bool) {
		t.Helper()
		got, err := s.UpdateUser(t.Context(), acme, ann.ID, federation.UserChange{IsActive: &active}, noon.Add(time.Hour))
		if err != nil || got.IsActive != active {
			t.Fatalf("%v, %v", got, err)
		}
		for _, s := range []*federation.Store{s, reopened(t, db)} {
			if s.Active("acme", "LIVE", ann.ID) != active || !s.Active("acme", "LIVE", bob.ID) {
				t.Errorf("active is not %t", active)
			}
			want := federation.Stats{Active: 1, Inactive: 1}
			if active {
				want = federation.Stats{Active: 2}
			}
			if got := s.Stats(); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	}
	set(false)
	set(false) // which changes nothing
	set(true)
	var actions []string
	for _, e := range j.take() {
		actions = append(actions, e.Action)
	}
	if diff := cmp.Diff([]string{"user.deactivate", "user.activate"}, actions); diff != "" {
		t.Error(diff)
	}
	if n := testing.AllocsPerRun(1000, func() { _ = s.Active("acme", "LIVE", ann.ID) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	carl, err := s.CreateUser(t.Context(), acme, federation.UserSpec{Email: "carl@example.com", IsInactive: true}, noon)
	if err != nil || s.Active("acme", "LIVE", carl.ID) {
		t.Errorf("made inactive: %v", err)
	}
}

// R-PROV-9: what a user had ends before it is active again, whoever changes it at the same time; if it cannot, the user stays inactive.
func TestAUserIsGivenNothingBack(t *testing.T) {
	db := authtest.NewDatabase(t)
	j := &journal{db: db}
	var ended []string
	var meanwhile func(id string) error
	var s *federation.Store
	s, err := federation.Open(federation.Options{DB: db, Change: j.change, EndTokens: func(_ context.Context, o federation.Owner, id string, _ time.Time) error {
		if s.Active(o.Tenant, o.Environment, id) {
			t.Error("it is active already")
		}
		ended = append(ended, id)
		return meanwhile(id)
	}})
	if err != nil {
		t.Fatal(err)
	}
	set := func(id string, active bool) error {
		_, err := s.UpdateUser(t.Context(), acme, id, federation.UserChange{IsActive: &active}, noon)
		return err
	}
	ann := create(t, s, acme, "ann@example.com").ID
	nothing := func(string) error { return nil }
	again := func(id string) error { // somebody else has it come back, be given something, and go
		meanwhile = nothing
		return errors.Join(set(id, true), set(id, false))
	}
	for name, c := range map[string]struct {
		meanwhile func(string) error
		ends      int
		active    bool
	}{
		"alone":                    {nothing, 1, true},
		"beside another":           {again, 3, true},
		"when nothing can be done": {func(string) error { return store.ErrFull }, 1, false},
	} {
		ended, meanwhile = nil, c.meanwhile
		if err := errors.Join(set(ann, false), set(ann, false)); err != nil || len(ended) > 0 {
			t.Fatalf("%s: %v, ended %v", name, err, ended)
		}
		if err := set(ann, true); (err == nil) != c.active || len(ended) != c.ends || s.Active("acme", "LIVE", ann) != c.active {
			t.Errorf("%s: %v, ended %v", name, err, ended)
		}
	}
	meanwhile, ended = nothing, nil
	if err := errors.Join(set(ann, true), set(ann, true)); err != nil || len(ended) > 1 {
		t.Errorf("an active user: %v, ended %v", err, ended)
	}
}

func TestUsersAreListedInPages(t *testing.T) {
	db := authtest.NewDatabase(t)
	s, j := open(t, db)
	readOnly, err := federation.Open(federation.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for n := range 5 {
		all = append(all, create(t, s, acme, fmt.Sprintf("u%d@example.com", n)).ID)
	}
	create(t, s, sandbox, "u@example.com")
	j.take()
	for _, test := range []struct {
		offset, limit int
		want          []string
	}{{0, 2, all[:2]}, {2, 2, all[2:4]}, {4, 2, all[4:]}, {5, 2, nil}, {50, 2, nil}, {0, 100, all}} {
		for name, s := range map[string]*federation.Store{"open": s, "read-only": readOnly} {
			list, total, err := s.Users(t.Context(), acme, federation.UserQuery{Offset: test.offset, Limit: test.limit})
			var got []string
			for _, u := range list {
				got = append(got, u.ID)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || total != 5 || err != nil {
				t.Errorf("%s, %d from %d: %s, %d in all, %v", name, test.limit, test.offset, diff, total, err)
			}
		}
	}
	list, total, err := s.Users(t.Context(), acme, federation.UserQuery{Limit: 20, Email: "U3@example.com"})
	if err != nil || total != 1 || len(list) != 1 || list[0].ID != all[3] {
		t.Errorf("by address: %v of %d, %v", list, total, err)
	}
}

func TestAReadOnlyStoreChangesNothing(t *testing.T) {
	s, err := federation.Open(federation.Options{DB: authtest.NewDatabase(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateUser(t.Context(), acme, federation.UserSpec{Email: "ann@example.com"}, noon); err == nil {
		t.Error("made a user")
	}
}

func TestWhatIsWrongWithAUserIsSaidByField(t *testing.T) {
	for text, field := range map[string]string{
		`{"email":"ann@example.com"}`:                                       "",
		`{"email":"ann@example.com","display_name":null,"is_active":false}`: "",
		`{"email":"ann@example.com","membership_tier":"DIRECTOR"}`:          "",
		`{}`:          "email",
		`{"email":7}`: "email",
		`{"email":"ann@example.com","membership_tier":"GOLD"}`:                             "membership_tier",
		`{"email":"ann@example.com","display_name":"` + strings.Repeat("x", 256) + `"}`:    "display_name",
		`{"email":"ann@example.com","is_active":"yes"}`:                                    "is_active",
		`{"email":"ann@example.com","idempotency_key":""}`:                                 "idempotency_key",
		`{"email":"ann@example.com","idempotency_key":"` + strings.Repeat("x", 101) + `"}`: "idempotency_key",
	} {
		_, err := federation.ReadUser(object(t, text))
		invalid, _ := errors.AsType[*federation.InvalidError](err)
		if field == "" && err != nil || field != "" && (invalid == nil || len(invalid.Fields) != 1 || invalid.Fields[field] == "") {
			t.Errorf("%s: %v", text, err)
		}
	}
	change, err := federation.ReadUserChange(object(t, `{"display_name":null,"is_active":false}`))
	if diff := cmp.Diff(federation.UserChange{DisplayName: new(string), IsActive: new(false)}, change); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := federation.ReadUserChange(object(t, `{"email":""}`)); err == nil {
		t.Error("an empty address")
	}
}

// R-PROV-9: a change that is in the file counts, though it was not acknowledged; what cannot be read refuses.
func TestAChangeThatIsStoredIsInForceWhateverFailsThen(t *testing.T) {
	for what, fail := range map[string]func(*store.DB) error{
		"the change": func(*store.DB) error { return errors.New("not in force") },
		"the file":   (*store.DB).Close,
	} {
		t.Run(what, func(t *testing.T) {
			db, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "data", "postern.db")})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			j, failing := &journal{db: db}, false
			s, err := federation.Open(federation.Options{DB: db, Change: func(ctx context.Context, now time.Time, fn func(*store.Tx) (*federation.Event, error)) error {
				err := j.change(ctx, now, fn)
				if failing {
					err = errors.Join(err, fail(db))
				}
				return err
			}})
			if err != nil {
				t.Fatal(err)
			}
			ann := create(t, s, acme, "ann@example.com")
			failing = true
			if _, err := s.UpdateUser(t.Context(), acme, ann.ID, federation.UserChange{IsActive: new(false)}, noon); err == nil {
				t.Error("the change is acknowledged")
			}
			if s.Active(acme.Tenant, acme.Environment, ann.ID) {
				t.Error("ann is active")
			}
		})
	}
}
