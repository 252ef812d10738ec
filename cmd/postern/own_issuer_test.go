package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/keystore"
)

const subjectRefused = `{"error":"invalid_request","error_description":"The subject token was not accepted."}`

// idp is an issuer in the file, and what it signs.
type idp struct {
	issuer, audience string
	key              *authtest.ProviderKey
}

// federated is a Postern that takes the tokens of two issuers, each for an audience of its own. Their keys have the same id.
type federated struct {
	*endpoints
	a, b idp
}

func servingIssuers(t *testing.T) *federated {
	t.Helper()
	folder := t.TempDir()
	f := &federated{
		a: idp{"https://a.example", "https://api.example.com", authtest.NewProviderKey(t, "k", "ES256")},
		b: idp{"https://b.example", "api://b", authtest.NewProviderKey(t, "k", "ES256")},
	}
	file := func(s idp, name string) string {
		set, err := json.Marshal(map[string]any{"keys": []any{s.key.JWK()}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, set, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f.endpoints = servingAPI(t, fmt.Sprintf(`profile: default
public_url: https://api.example.com
environments: [{ name: LIVE, key_prefix: l_ }, { name: TEST, key_prefix: t_ }]
issuers:
  - { issuer: %q, jwks_file: %q, environment: LIVE }
  - { issuer: %q, jwks_file: %q, audiences: [%q], tenant_claim: org, environment_claim: env, permissions_claim: may, typ: subject+jwt, max_lifetime: 2h }
`, f.a.issuer, file(f.a, "a.json"), f.b.issuer, file(f.b, "b.json"), f.b.audience))
	f.tenant(t, keystore.TenantSpec{ID: "other"})
	return f
}

// subject is a token of a's, or of b's, changed: a claim that is nil is left out.
func (s idp) subject(t *testing.T, changes map[string]any) string {
	t.Helper()
	return s.headed(t, nil, changes)
}

// headed is subject with another header.
func (s idp) headed(t *testing.T, header, changes map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": s.issuer, "aud": s.audience, "sub": "user_1", "scope": "a:b c:d", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"org": "other", "env": "TEST", "may": []string{"e:f"},
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	whole := map[string]any{"typ": "subject+jwt"}
	maps.Copy(whole, header)
	return s.key.Sign(t, whole, payload)
}

// trade exchanges a token.
func (f *federated) trade(t *testing.T, token string, pairs ...string) answer {
	t.Helper()
	return f.do(t, "POST", tokenURL, exchangeOf(token, append([]string{"subject_token_type", jwtType}, pairs...)...), asForm)
}

// R-EXCH-2: of two issuers, two audiences and two keys of the same id, only what belongs together is a subject.
func TestSubjectsAreOfTheirIssuer(t *testing.T) {
	t.Parallel()
	f := servingIssuers(t)
	passed := 0
	for _, issuer := range []idp{f.a, f.b} {
		for _, audience := range []idp{f.a, f.b} {
			for _, key := range []idp{f.a, f.b} {
				got := f.trade(t, idp{issuer.issuer, audience.audience, key.key}.subject(t, nil))
				switch {
				case issuer == audience && issuer == key:
					if passed++; got.Status != 200 {
						t.Errorf("%s for %s: %d %s", issuer.issuer, issuer.audience, got.Status, got.Body)
					}
				case got.Status != 400 || got.Body != subjectRefused:
					t.Errorf("%s for %s with the key of %s: %d %s", issuer.issuer, audience.audience, key.issuer, got.Status, got.Body)
				}
			}
		}
	}
	if passed != 2 {
		t.Errorf("%d passed", passed)
	}
}

// R-EXCH-1: what is made of another issuer's token is ours: claims are written by name, its tenant and environment are those that
// the file says, it acts for its end user by its tenant, and expires with the subject.
func TestATokenMadeOfAnothersToken(t *testing.T) {
	t.Parallel()
	f := servingIssuers(t)
	_, asks := f.create(t, keystore.KeySpec{Permissions: []string{"postern:introspect"}})
	more := map[string]any{
		"act": map[string]any{"sub": "evil"}, "may_act": map[string]any{"sub": "evil"}, "tenant_id": "other", "environment": "TEST", "key_id": "evil",
		"client_id": "evil", "sid": "evil", "jti": "theirs", "org_id": "other", "permissions": []string{"x:y"}, "email": "u@example.com", "cnf": map[string]any{"jkt": "x"},
	}
	for name, c := range map[string]struct {
		by                         idp
		tenant, environment, scope string
		form                       []string
		audience                   string
		life                       time.Duration // of the subject
		wanted                     int64         // seconds
		scopeClaim, permitted      any           // of the subject
	}{
		"the tenant of the file":      {f.a, "default", "LIVE", "a:b c:d", nil, "https://api.example.com", 2 * time.Hour, 3600, "a:b c:d", nil},
		"what claims name":            {f.b, "other", "TEST", "e:f", nil, "https://api.example.com", time.Hour + time.Minute, 3600, nil, []string{"e:f"}},
		"it ends with the subject":    {f.a, "default", "LIVE", "a:b c:d", []string{"expires_in", "86400"}, "https://api.example.com", 10 * time.Minute, 600, "a:b c:d", nil},
		"less scope, a shorter life":  {f.a, "default", "LIVE", "c:d", []string{"scope", "c:d", "expires_in", "300"}, "https://api.example.com", time.Hour, 300, "a:b c:d", nil},
		"another audience":            {f.a, "default", "LIVE", "a:b c:d", []string{"audience", "https://up.example"}, "https://up.example", 2 * time.Hour, 3600, "a:b c:d", nil},
		"a subject without any scope": {f.a, "default", "LIVE", "", nil, "https://api.example.com", 2 * time.Hour, 3600, nil, nil},
	} {
		changes := maps.Clone(more)
		changes["exp"] = time.Now().Add(c.life).Unix()
		changes["scope"], changes["may"] = c.scopeClaim, c.permitted
		got := f.trade(t, c.by.subject(t, changes), c.form...)
		var reply oauthReply
		if err := json.Unmarshal([]byte(got.Body), &reply); err != nil || got.Status != 200 {
			t.Fatalf("%s: %d %s", name, got.Status, got.Body)
		}
		_, claims := f.claimsOf(t, reply.AccessToken)
		issued, _ := claims["iat"].(float64)
		exp, _ := claims["exp"].(float64)
		want := map[string]any{
			"iss": "https://api.example.com", "aud": c.audience, "sub": "user_1", "tenant_id": c.tenant, "environment": c.environment, "scope": c.scope,
			"act": map[string]any{"sub": c.tenant}, "iat": issued, "exp": exp, "jti": claims["jti"],
		}
		if diff := cmp.Diff(want, claims); diff != "" || claims["jti"] == "theirs" || reply.Scope != c.scope {
			t.Errorf("%s: claims (-want +got):\n%s", name, diff)
		}
		end, _ := changes["exp"].(int64)
		if seconds := int64(exp - issued); int64(exp) > end || seconds > c.wanted || seconds < c.wanted-60 || reply.ExpiresIn != seconds {
			t.Errorf("%s: it lives %d s, until %v; the subject until %d; %+v", name, seconds, claims["exp"], end, reply)
		}
		// Others of its tenant and environment learn of it, nobody else.
		said := f.do(t, "POST", "/oauth/introspect", formOf("token", reply.AccessToken), "X-API-Key: "+asks, asForm)
		if active := strings.HasPrefix(said.Body, `{"active":true,`); active != (c.tenant == "default") {
			t.Errorf("%s: introspection by another tenant: %s", name, said.Body)
		}
	}
}

// R-EXCH-1, R-EXCH-2: a subject that any check refuses is refused, in the same bytes, whatever the check was.
func TestSubjectsAreVerifiedFully(t *testing.T) {
	t.Parallel()
	f := servingIssuers(t)
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	good := f.a.subject(t, nil)
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	_, others, _ := strings.Cut(f.a.subject(t, map[string]any{"sub": "user_2"}), ".")
	others, _, _ = strings.Cut(others, ".")
	stranger := idp{"https://c.example", f.a.audience, f.a.key}
	f.tenant(t, keystore.TenantSpec{ID: "suspended"})
	if _, err := f.data.keys.SuspendTenant(t.Context(), "suspended", time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"expired":                      f.a.subject(t, map[string]any{"exp": at(-time.Hour)}),
		"expired, within the leeway":   f.a.subject(t, map[string]any{"exp": at(-10 * time.Second)}), // the gate takes it: what is made of it has no life left
		"without an end":               f.a.subject(t, map[string]any{"exp": nil}),
		"an end that is a text":        f.a.subject(t, map[string]any{"exp": fmt.Sprint(at(time.Hour))}),
		"not yet":                      f.a.subject(t, map[string]any{"nbf": at(time.Hour)}),
		"longer than it may live":      f.b.subject(t, map[string]any{"exp": at(3 * time.Hour)}),
		"another payload":              head + "." + others + "." + signature,
		"a forged signature":           head + "." + payload + "." + signature[:10] + "AAAA" + signature[14:],
		"no signature":                 head + "." + payload + ".",
		"alg none":                     f.a.headed(t, map[string]any{"alg": "none"}, nil),
		"a MAC under the public key":   f.a.headed(t, map[string]any{"alg": "HS256"}, nil),
		"an unknown key":               f.a.headed(t, map[string]any{"kid": "none"}, nil),
		"a key of its own":             f.a.headed(t, map[string]any{"jwk": authtest.NewProviderKey(t, "k", "ES256").JWK()}, nil),
		"an unknown issuer":            stranger.subject(t, nil),
		"no issuer":                    f.a.subject(t, map[string]any{"iss": nil}),
		"our own issuer, not our keys": f.a.subject(t, map[string]any{"iss": "https://api.example.com"}),
		"no audience":                  f.a.subject(t, map[string]any{"aud": nil}),
		"another audience":             f.a.subject(t, map[string]any{"aud": []string{"https://up.example", "https://api.example.com/"}}),
		"another type":                 f.b.headed(t, map[string]any{"typ": "JWT"}, nil),
		"an ID token's type missing":   f.b.headed(t, map[string]any{"typ": nil}, nil),
		"no subject":                   f.a.subject(t, map[string]any{"sub": nil}),
		"the tenant as subject":        f.a.subject(t, map[string]any{"sub": "default"}),
		"no tenant":                    f.b.subject(t, map[string]any{"org": nil}),
		"an unknown tenant":            f.b.subject(t, map[string]any{"org": "nobody"}),
		"a suspended tenant":           f.b.subject(t, map[string]any{"org": "suspended"}),
		"an unknown environment":       f.b.subject(t, map[string]any{"env": "PROD"}),
		"permissions of another type":  f.b.subject(t, map[string]any{"may": 1}),
	} {
		if got := f.trade(t, token); got.Status != 400 || got.Body != subjectRefused {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	for name, c := range map[string]struct {
		headers []string
		form    string
		code    string
	}{
		"as it should be":          {nil, exchangeOf(good, "subject_token_type", jwtType), ""},
		"its own end user":         {[]string{"X-On-Behalf-Of: user_1"}, exchangeOf(good, "subject_token_type", jwtType), ""},
		"another end user":         {[]string{"X-On-Behalf-Of: user_2"}, exchangeOf(good, "subject_token_type", jwtType), "invalid_request"},
		"wider scope":              {nil, exchangeOf(good, "subject_token_type", jwtType, "scope", "a:b e:f"), "invalid_scope"},
		"the scope of nobody":      {nil, exchangeOf(f.a.subject(t, map[string]any{"scope": nil}), "subject_token_type", jwtType, "scope", "a:b"), "invalid_scope"},
		"a token beside itself":    {[]string{"Authorization: Bearer " + good}, exchangeOf(good, "subject_token_type", jwtType), "invalid_request"},
		"a token as a key":         {nil, exchangeOf(good), "invalid_request"},
		"of an actor":              {nil, exchangeOf(good, "subject_token_type", jwtType, "actor_token", good, "actor_token_type", jwtType), "invalid_request"},
		"as an access token's use": {nil, exchangeOf(good, "subject_token_type", "urn:ietf:params:oauth:token-type:access_token"), "invalid_request"},
	} {
		got := f.do(t, "POST", tokenURL, c.form, append(c.headers, asForm)...)
		if code := memberOf(t, got.Body, "error"); code != c.code || (c.code == "") != (got.Status == 200) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
}

// R-EXCH-3: what we made is no subject, neither of a key nor of another issuer's token, and goes round no corner: not as a key, not
// beside another credential.
func TestTokensMakeNoTokens(t *testing.T) {
	t.Parallel()
	f := servingIssuers(t)
	_, printed := f.create(t, keystore.KeySpec{Permissions: []string{"a:b"}})
	for name, first := range map[string]answer{
		"of a key":   f.do(t, "POST", tokenURL, exchangeOf(printed), asForm, "X-On-Behalf-Of: user_1"),
		"of a token": f.trade(t, f.a.subject(t, nil)),
	} {
		made := memberOf(t, first.Body, "access_token")
		if strings.Count(made, ".") != 2 {
			t.Fatalf("%s: %d %s", name, first.Status, first.Body)
		}
		if got := f.do(t, "GET", "/oauth/whoami", "", "Authorization: Bearer "+made); got.Status != 200 {
			t.Errorf("%s: it is refused at whoami: %d %s", name, got.Status, got.Body)
		}
		for _, body := range []string{exchangeOf(made, "subject_token_type", jwtType), exchangeOf(made)} {
			if got := f.do(t, "POST", tokenURL, body, asForm); got.Status != 400 || got.Body != subjectRefused {
				t.Errorf("%s: %d %s", name, got.Status, got.Body)
			}
		}
	}
}

// R-EXCH-2: a key whose life is over, or whose tenant's is, makes no tokens, and what it made ends with it.
func TestKeysThatEndedAreNoSubjects(t *testing.T) {
	t.Parallel()
	f := servingIssuers(t)
	made := map[string]string{}
	end := map[string]func(id string) error{
		"revoked":  func(id string) error { _, err := f.data.keys.Revoke(t.Context(), id, time.Now()); return err },
		"disabled": func(id string) error { _, err := f.data.keys.Disable(t.Context(), id, time.Now()); return err },
		"of a suspended tenant": func(string) error {
			_, err := f.data.keys.SuspendTenant(t.Context(), "other", time.Now())
			return err
		},
	}
	for name, ends := range end {
		k, printed := f.create(t, keystore.KeySpec{Tenant: "other"})
		if made[name] = memberOf(t, f.do(t, "POST", tokenURL, exchangeOf(printed), asForm).Body, "access_token"); made[name] == "" {
			t.Fatalf("%s: no token while it lives", name)
		}
		if err := ends(k.ID); err != nil {
			t.Fatal(err)
		}
		if got := f.do(t, "POST", tokenURL, exchangeOf(printed), asForm); got.Status != 400 || got.Body != subjectRefused {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if got := f.do(t, "GET", "/oauth/whoami", "", "Authorization: Bearer "+made[name]); got.Status != 401 {
			t.Errorf("%s: its token: %d %s", name, got.Status, got.Body)
		}
		if _, err := f.data.keys.ResumeTenant(t.Context(), "other", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	_, old, err := f.data.keys.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE", ExpiresAt: time.Now().Add(-time.Minute)}, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.do(t, "POST", tokenURL, exchangeOf(old), asForm); got.Status != 400 || got.Body != subjectRefused {
		t.Errorf("expired: %d %s", got.Status, got.Body)
	}
}
