package extauthz_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// noon is when tests take place.
func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// profile returns the profile of that name.
func profile(t testing.TB, name string) extauthz.Profile {
	t.Helper()
	p, ok := extauthz.ProfileByName(name)
	if !ok {
		t.Fatalf("there is no profile %q", name)
	}
	return p
}

// options are those of a file with these policies in profile default.
func options(t testing.TB, policies ...extauthz.PolicySpec) extauthz.Options {
	t.Helper()
	return extauthz.Options{
		Profile:      profile(t, "default"),
		Environments: []keystore.Environment{{Name: "LIVE", KeyPrefix: "live_"}, {Name: "TEST", KeyPrefix: "test_"}},
		Policies:     policies,
	}
}

// authorizer makes one that is expected to be right.
func authorizer(t testing.TB, o extauthz.Options) *extauthz.Authorizer {
	t.Helper()
	a, err := extauthz.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return a
}

// get is a request as Envoy sends it; headers are "name: value".
func get(path string, headers ...string) *extauthz.Request {
	return request("GET", "api.example.com", path, headers...)
}

func request(method, host, path string, headers ...string) *extauthz.Request {
	r := &extauthz.Request{Method: method, Host: host, Path: path, Protocol: "HTTP/2", Source: "192.0.2.7"}
	r.Headers = append(r.Headers, extauthz.Header{Name: ":method", Value: method}, extauthz.Header{Name: ":path", Value: path})
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ": ")
		if !ok {
			name, value = strings.TrimSuffix(h, ":"), ""
		}
		r.Headers = append(r.Headers, extauthz.Header{Name: name, Value: value})
	}
	return r
}

// problemsOf lists what is wrong: "path: message; hint", and the path that a conflict is with.
func problemsOf(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got the error %v, want joined problems", err)
	}
	var all []string
	for _, one := range joined.Unwrap() {
		var p *extauthz.ProblemError
		if !errors.As(one, &p) {
			t.Fatalf("got the error %v, want a ProblemError", one)
		}
		all = append(all, describe(p))
	}
	return all
}

func describe(p *extauthz.ProblemError) string {
	s := p.Error()
	if p.First != "" {
		s += " (" + p.First + ")"
	}
	return s
}

// refuses checks that o is refused for these problems, all of them and in this order.
func refuses(t testing.TB, o extauthz.Options, want ...string) {
	t.Helper()
	a, err := extauthz.New(o)
	if err == nil || a != nil {
		t.Fatalf("New = %v, %v, want problems and nothing else", a, err)
	}
	if diff := cmp.Diff(want, problemsOf(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
