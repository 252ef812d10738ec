package api_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/api"
)

// problems are the errors of NewSite, as PATH: MESSAGE, with what they are in conflict with.
func problems(t *testing.T, s api.Settings) []string {
	t.Helper()
	_, err := api.NewSite(s)
	var found []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			p, ok := errors.AsType[*api.ProblemError](e)
			if !ok {
				t.Fatalf("%v is no ProblemError", e)
			}
			text := p.Error()
			if p.First != "" {
				text += " (" + p.First + ")"
			}
			found = append(found, text)
		}
	}
	return found
}

// Two endpoints at one place are refused, and so is one where an id of a list would be; the one that the file moved is named.
func TestPathsThatCollide(t *testing.T) {
	for name, c := range map[string]struct {
		form  api.Form
		paths map[string]string
		want  []string
	}{
		"moved apart":              {api.FormMKA1, map[string]string{"whoami": "/me", "jwks": "/keys"}, nil},
		"moved onto another":       {api.FormMKA1, map[string]string{"jwks": "/api/v1/authentication/whoami"}, []string{`paths.jwks: "/api/v1/authentication/whoami" is where whoami is`}},
		"both moved to one":        {api.FormMKA1, map[string]string{"jwks": "/me", "whoami": "/me"}, []string{`paths.whoami: "/me" is where jwks is (paths.jwks)`}},
		"exchanged":                {api.FormMKA1, map[string]string{"jwks": "/api/v1/authentication/whoami", "whoami": "/api/v1/authentication/jwks"}, nil},
		"onto a document":          {api.FormMKA1, map[string]string{"whoami": "/.well-known/jwks.json"}, []string{`paths.whoami: "/.well-known/jwks.json" is where jwks is`}},
		"an unknown name":          {api.FormMKA1, map[string]string{"exchange": "/x"}, []string{"paths.exchange: profile mka1 has no endpoint of that name"}},
		"where a provider is":      {api.FormMLM, map[string]string{"whoami": "/api/v1/admin/auth/providers/me"}, []string{`paths.whoami: "/api/v1/admin/auth/providers/me" is where provider is`}},
		"a list above another":     {api.FormMLM, map[string]string{"users": "/api/v1/auth"}, []string{`paths.users: "/api/v1/auth" is where exchange is`}},
		"a list within an id":      {api.FormMLM, map[string]string{"users": "/api/v1/admin/auth/providers/users"}, []string{`paths.users: "/api/v1/admin/auth/providers/users" is where provider is`}},
		"deeper than an id":        {api.FormMLM, map[string]string{"whoami": "/api/v1/admin/auth/providers/me/now"}, nil},
		"the document of resource": {api.FormMLM, map[string]string{"whoami": "/.well-known/oauth-protected-resource/base"}, []string{`paths.whoami: "/.well-known/oauth-protected-resource/base" is where protected_resource is`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := api.Settings{Form: c.form, BasePath: "/api/v1", Paths: c.paths, ResourceMetadata: true, PublicURL: "https://a.example/base", Issuer: "https://a.example/base"}
			if diff := cmp.Diff(c.want, problems(t, s)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// What Envoy routes here is all that is here, and the spaces of the contracts.
func TestRoutes(t *testing.T) {
	for form, want := range map[api.Form]string{
		api.FormDefault: "/.well-known/jwks.json /.well-known/oauth-authorization-server /oauth/introspect /oauth/jwks /oauth/revoke /oauth/token /oauth/whoami",
		api.FormMKA1:    "/api/v1/authentication/… /.well-known/jwks.json /.well-known/oauth-authorization-server /me",
		api.FormMLM: "/v2/auth/… /v2/admin/auth/… /v2/admin/api-keys/… /v2/admin/users/… /.well-known/jwks.json " +
			"/.well-known/oauth-authorization-server /me /people/…",
	} {
		s := api.Settings{Form: form, BasePath: "/v2", PublicURL: "https://a.example", Issuer: "https://a.example"}
		switch form {
		case api.FormMKA1:
			s.Paths = map[string]string{"whoami": "/me"}
		case api.FormMLM:
			s.Paths = map[string]string{"whoami": "/me", "users": "/people"}
		case api.FormDefault:
		}
		site, err := api.NewSite(s)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range site.Routes() {
			if r.Below {
				r.Path += "/…"
			}
			got = append(got, r.Path)
		}
		if diff := cmp.Diff(strings.Fields(want), got); diff != "" {
			t.Errorf("%s: routes (-want +got):\n%s", form, diff)
		}
	}
}

// The names under which the file changes errors are those that a form answers with.
func TestCodes(t *testing.T) {
	if codes := api.Codes(api.FormMLM); !slices.Contains(codes, "provider_not_found") || !slices.Contains(codes, "not_found") {
		t.Errorf("mlm: %q", codes)
	}
	if codes := api.Codes(api.FormDefault); codes != nil {
		t.Errorf("default: %q", codes)
	}
}
