package federation_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
)

func TestAUserIsLinked(t *testing.T) {
	s, j := open(t, authtest.NewDatabase(t))
	put(t, s, acme, provider("my-app"))
	put(t, s, acme, provider("other"))
	ann, bob := create(t, s, acme, "ann@example.com"), create(t, s, acme, "bob@example.com")
	j.take()
	link := func(u federation.User, provider, externalID string) error {
		return s.Link(t.Context(), acme, federation.LinkSpec{User: u.ID, Provider: provider, ExternalID: externalID}, noon)
	}
	for range 2 { // the second time it is there
		if err := link(ann, "my-app", "u1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := link(ann, "other", "u1"); err != nil { // which is somebody there
		t.Fatal(err)
	}
	if err := link(bob, "my-app", "u1"); !errors.Is(err, federation.ErrLinked) {
		t.Errorf("taken: %v", err)
	}
	if err := link(bob, "my-app", "U1"); err != nil {
		t.Errorf("in other letters it is another id: %v", err)
	}
	got, err := s.User(t.Context(), acme, ann.ID)
	want := []federation.Link{{Provider: "my-app", ExternalID: "u1"}, {Provider: "other", ExternalID: "u1"}}
	if diff := cmp.Diff(want, got.Links); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if events := j.take(); len(events) != 3 || events[0].Action != "user.link" || len(events[0].Details) != 3 {
		t.Errorf("%+v", events)
	}
}

func TestWhatIsWrongWithALinkIsSaidInOrder(t *testing.T) {
	s, _ := open(t, authtest.NewDatabase(t))
	put(t, s, acme, provider("my-app"))
	ann := create(t, s, acme, "ann@example.com")
	nobody := "0b7e7c1e-5f0c-4b57-9a43-0e0c8a1f3d55"
	for name, test := range map[string]struct {
		federation.LinkSpec
		fields []string
		want   error
	}{
		"nothing":                   {federation.LinkSpec{}, []string{"externalId", "mlmUserId", "provider"}, nil},
		"not a uuid":                {federation.LinkSpec{User: "x", Provider: "my-app", ExternalID: "u"}, []string{"mlmUserId"}, nil},
		"an id too long":            {federation.LinkSpec{User: nobody, Provider: "my-app", ExternalID: strings.Repeat("u", 256)}, []string{"externalId"}, nil},
		"an umlaut":                 {federation.LinkSpec{User: nobody, Provider: "my-app", ExternalID: "ü"}, []string{"externalId"}, nil},
		"a control character":       {federation.LinkSpec{User: nobody, Provider: "my-app", ExternalID: "u\x7f"}, []string{"externalId"}, nil},
		"a provider too long":       {federation.LinkSpec{User: nobody, Provider: strings.Repeat("p", 101), ExternalID: "u"}, []string{"provider"}, nil},
		"nobody, and no provider":   {federation.LinkSpec{User: nobody, Provider: "none", ExternalID: "u"}, nil, federation.ErrUserNotFound},
		"no provider":               {federation.LinkSpec{User: ann.ID, Provider: "none", ExternalID: "u"}, nil, federation.ErrProviderNotFound},
		"no possible provider":      {federation.LinkSpec{User: ann.ID, Provider: "a/b", ExternalID: "u"}, nil, federation.ErrProviderNotFound},
		"the longest, with a space": {federation.LinkSpec{User: strings.ToUpper(ann.ID), Provider: "my-app", ExternalID: strings.Repeat("u ", 127) + "u"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.Link(t.Context(), acme, test.LinkSpec, noon)
			if invalid, ok := errors.AsType[*federation.InvalidError](err); ok || test.fields != nil {
				if !ok || !slices.Equal(slices.Sorted(maps.Keys(invalid.Fields)), test.fields) {
					t.Errorf("got %v, want problems of %q", err, test.fields)
				}
				return
			}
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestAUserHasABoundedNumberOfLinks(t *testing.T) {
	s, _ := open(t, authtest.NewDatabase(t))
	put(t, s, acme, provider("my-app"))
	ann := create(t, s, acme, "ann@example.com")
	for n := range 101 {
		err := s.Link(t.Context(), acme, federation.LinkSpec{User: ann.ID, Provider: "my-app", ExternalID: fmt.Sprint(n)}, noon)
		if want := n == 100; errors.Is(err, federation.ErrTooManyLinks) != want {
			t.Errorf("link %d: %v", n, err)
		}
	}
}

// R-PROV-3
func TestALoginStandsAsLongAsUserAndProviderDo(t *testing.T) {
	s, _ := open(t, authtest.NewDatabase(t))
	put(t, s, acme, provider("my-app"))
	ann := create(t, s, acme, "ann@example.com")
	login := federation.Login{User: ann.ID, Provider: "my-app", At: noon.Add(time.Minute)}
	stands := func(want error) {
		t.Helper()
		if _, err := s.Standing(t.Context(), acme, login); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	activate := func(active bool) {
		t.Helper()
		if _, err := s.UpdateUser(t.Context(), acme, ann.ID, federation.UserChange{IsActive: &active}, noon); err != nil {
			t.Fatal(err)
		}
	}
	stands(nil)
	activate(false)
	stands(federation.ErrUserInactive)
	activate(true)
	off := provider("my-app")
	off.IsActive = new(false)
	put(t, s, acme, off)
	stands(federation.ErrProviderInactive)
	off.IsActive = new(true)
	put(t, s, acme, off)
	stands(nil)
	if err := s.DeleteProvider(t.Context(), acme, "my-app", noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	stands(federation.ErrProviderNotFound)
	put(t, s, acme, provider("my-app")) // by a clock that went back
	stands(federation.ErrProviderNotFound)
	login.At = noon.Add(2 * time.Hour)
	stands(nil)
	for _, o := range strangers() {
		if _, err := s.Standing(t.Context(), o, login); !errors.Is(err, federation.ErrUserNotFound) {
			t.Errorf("%v: %v", o, err)
		}
	}
}
