package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/api"
	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/token"
)

// word is an error as its client reads it.
type word struct {
	status     int
	text, code string
}

// contractedWords are mlm's errors by their names in `errors:`, but for those of limits, which this version does not have.
func contractedWords() map[string]word {
	return map[string]word{
		"bad_request":             {400, "Bad request", "BAD_REQUEST"},
		"ambiguous":               {400, "Ambiguous credentials", "AMBIGUOUS_CREDENTIALS"},
		"credential_missing":      {401, "Missing API key", "MISSING_API_KEY"},
		"credential_refused":      {401, "Invalid API key", "INVALID_API_KEY"},
		"token_missing":           {401, "Missing access token", "MISSING_TOKEN"},
		"token_refused":           {401, "Invalid token", "INVALID_TOKEN"},
		"token_expired":           {401, "Token expired", "TOKEN_EXPIRED"},
		"credential_mismatch":     {403, "Credentials do not match", "CREDENTIAL_MISMATCH"},
		"environment_not_allowed": {403, "Environment not allowed", "ENVIRONMENT_NOT_ALLOWED"},
		"forbidden":               {403, "Forbidden", "FORBIDDEN"},
		"unavailable":             {503, "Service unavailable", "SERVICE_UNAVAILABLE"},

		"validation_error":           {400, "Validation failed", "VALIDATION_ERROR"},
		"not_found":                  {404, "Not found", "NOT_FOUND"},
		"method_not_allowed":         {405, "Method not allowed", "METHOD_NOT_ALLOWED"},
		"already_exists":             {409, "Already exists", "ALREADY_EXISTS"},
		"payload_too_large":          {413, "Payload too large", "PAYLOAD_TOO_LARGE"},
		"unsupported_media_type":     {415, "Unsupported media type", "UNSUPPORTED_MEDIA_TYPE"},
		"provider_not_found":         {404, "Provider not found", "PROVIDER_NOT_FOUND"},
		"provider_inactive":          {403, "Provider inactive", "PROVIDER_INACTIVE"},
		"jwks_fetch_failed":          {503, "Jwks fetch failed", "JWKS_FETCH_FAILED"},
		"invalid_issuer":             {401, "Invalid issuer", "INVALID_ISSUER"},
		"invalid_audience":           {401, "Invalid audience", "INVALID_AUDIENCE"},
		"missing_claim":              {400, "Missing claim", "MISSING_CLAIM"},
		"user_not_found":             {403, "User not found", "USER_NOT_FOUND"},
		"user_inactive":              {403, "User inactive", "USER_INACTIVE"},
		"email_already_exists":       {409, "Email already exists", "EMAIL_ALREADY_EXISTS"},
		"invalid_refresh_token":      {401, "Invalid refresh token", "INVALID_REFRESH_TOKEN"},
		"refresh_token_reused":       {401, "Refresh token reused", "REFRESH_TOKEN_REUSED"},
		"external_id_already_linked": {409, "External id already linked", "EXTERNAL_ID_ALREADY_LINKED"},
	}
}

// mlm 4, 35: each error can be provoked and has the one form, in the contract's words or in those of the file; where endpoints are,
// and what headers are called, is the file's choice too.
func TestWordsOfMLM(t *testing.T) {
	t.Parallel()
	authtest.RequireEnvoy(t)
	t.Run("of the contract", func(t *testing.T) {
		t.Parallel()
		openPlatform(t).speaks(t, contractedWords())
	})
	t.Run("of the file", func(t *testing.T) {
		t.Parallel()
		words, moved := contractedWords(), names{"X-Key", map[string]string{}}
		var file strings.Builder
		file.WriteString("headers: { api_key: X-Key, tenant_id: X-Org, environment: X-Stage, api_key_id: X-Key-Id, user_id: X-Person, end_user: X-Theirs, permissions: X-Rights, request_id: X-Trace }\n")
		file.WriteString("paths:\n")
		for name := range contracted().paths {
			moved.paths[name] = "/moved/" + name
			fmt.Fprintf(&file, "  %s: %s\n", name, moved.paths[name])
		}
		file.WriteString("errors:\n")
		for name, w := range words {
			words[name] = word{w.status, "Says " + name, "X_" + w.code}
			fmt.Fprintf(&file, "  %s: { message: %s, code: %s }\n", name, words[name].text, words[name].code)
		}
		p := openPlatformAs(t, moved, change{"", file.String()})
		p.speaks(t, words)
		s := p.signIn(t, p.live, "user_1")
		for _, d := range p.doors(t) {
			got := d.allowed(t, mlm().shut, bearerOf(s), "X-Person: evil", "X-Theirs: evil", "X-Org: evil")
			arrives(t, map[string]string{
				"x-org": p.live.Tenant, "x-stage": "LIVE", "x-key-id": p.live.ID, "x-person": s.User, "x-theirs": "user_1", "x-rights": "user:self",
				"x-tenant-id": "", "x-environment": "", "x-api-key-id": "", "x-user-id": "", "x-end-user": "", "x-permissions": "", "authorization": "",
			}, got)
		}
		for _, name := range []string{"whoami", "jwks"} {
			if r := p.ask(t, p.live, "GET", name, ""); r.Status != 200 || r.Value("x-trace") == "" || name == "whoami" && r.Value("x-stage") != "LIVE" {
				t.Errorf("%s: %+v", name, r)
			}
		}
	})
}

// speaks provokes every error, and compares it with its words.
func (p *platform) speaks(t *testing.T, words map[string]word) {
	t.Helper()
	provoked := p.provoked(t)
	known := append(api.Codes(api.FormMLM), "bad_request", "ambiguous", "credential_missing", "credential_refused", "token_missing", "token_refused",
		"token_expired", "credential_mismatch", "environment_not_allowed", "forbidden", "unavailable")
	if diff := cmp.Diff(slices.Sorted(slices.Values(known)), slices.Sorted(maps.Keys(provoked))); diff != "" {
		t.Errorf("errors that were provoked (-known +provoked):\n%s", diff)
	}
	for name, r := range provoked {
		t.Run(name, func(t *testing.T) {
			want := words[name]
			var body struct {
				Error, Code string
				Details     map[string]any
			}
			strict := json.NewDecoder(strings.NewReader(string(r.Body)))
			strict.DisallowUnknownFields()
			if err := strict.Decode(&body); err != nil {
				t.Fatalf("%v: %s", err, r.Body)
			}
			if got := (word{r.Status, body.Error, body.Code}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if r.Value("content-type") != "application/json" || (r.Status == 503) != (r.Value("retry-after") != "") || (r.Status == 401) != (r.Value("www-authenticate") != "") {
				t.Errorf("headers %q", r.Fields)
			}
			withDetails := name == "validation_error" || name == "missing_claim" || name == "already_exists"
			if exact := fmt.Sprintf(`{"error":%q,"code":%q}`, want.text, want.code); !withDetails && string(r.Body) != exact || withDetails != (body.Details != nil) {
				t.Errorf("got %s, want %s", r.Body, exact)
			}
		})
	}
}

// provoked has every error provoked once, by its name.
func (p *platform) provoked(t *testing.T) map[string]*authtest.Response {
	t.Helper()
	d := p.front(t)
	withKey, withToken := p.key+": "+p.live.Key, bearerOf(p.signIn(t, p.live, "known"))
	plain := p.mint(t, mlm().holder...)
	gone := p.signIn(t, p.live, "gone")
	p.must(t, p.live, "PATCH", "users/"+gone.User, `{"is_active":false}`, new(any))
	p.register(t, p.live, "off", p.idp.Issuer(), p.idp.KeysURL(), `,"is_active":false`)
	p.register(t, p.live, "closed", p.idp.Issuer(), p.idp.KeysURL(), `,"auto_create_users":false`)
	p.register(t, p.live, "away", "https://192.0.2.1", "https://127.0.0.1:1/keys", "")
	exchange := func(provider, sub string, claims map[string]any) *authtest.Response {
		return p.ask(t, p.live, "POST", "exchange", fmt.Sprintf(`{"externalJwt":%q,"provider":%q}`, p.external(t, sub, claims), provider))
	}
	refresh := func(text string) *authtest.Response {
		return p.ask(t, p.live, "POST", "refresh", fmt.Sprintf(`{"refreshToken":%q}`, text))
	}
	stolen := p.signIn(t, p.live, "known")
	p.refresh(t, p.live, p.refresh(t, p.live, stolen))
	p.must(t, p.live, "POST", "link", fmt.Sprintf(`{"mlmUserId":%q,"externalId":"taken","provider":"closed"}`, gone.User), new(any))
	const person = `{"email":"once@example.com","idempotency_key":"once"}`
	p.ask(t, p.live, "POST", "users", person)
	ours := p.copied(t, token.FormMLM, token.Settings{Issuer: "https://app.example.com"})
	past := mint(t, ours, token.Grant{
		Tenant: p.live.Tenant, Environment: "LIVE", KeyID: p.live.ID, Subject: stolen.User, Provider: "my-app", ExternalID: "known", Session: "s",
		Audience: "https://app.example.com", ExpiresAt: time.Now().Add(-time.Minute),
	}, time.Now().Add(-time.Hour))

	return map[string]*authtest.Response{
		"bad_request":             d.send(t, "GET", "/api/v1/notes/%zz", withKey),
		"ambiguous":               d.send(t, "GET", "/api/v1/notes", withKey, withToken),
		"credential_missing":      d.send(t, "GET", "/api/v1/notes"),
		"credential_refused":      d.send(t, "GET", "/api/v1/notes", withKey+"x"),
		"token_missing":           d.send(t, "GET", takesToken),
		"token_refused":           d.send(t, "GET", takesToken, withToken+"x"),
		"token_expired":           d.send(t, "GET", takesToken, "Authorization: Bearer "+past),
		"credential_mismatch":     d.send(t, "GET", "/api/v1/transfers", p.key+": "+p.other.Key, withToken),
		"environment_not_allowed": d.send(t, "GET", "/api/v1/payouts", p.key+": "+p.other.Key),
		"forbidden":               p.ask(t, plain, "GET", "providers", ""),
		"unavailable":             authtest.HTTP1(t, p.back(t).addr, authtest.Lines("GET / HTTP/1.1", "Host: unknown.test")), // whose policy does not exist

		"validation_error":           p.ask(t, p.live, "POST", "link", `{}`),
		"not_found":                  d.send(t, "GET", "/api/v1/auth/nothing"),
		"method_not_allowed":         p.ask(t, p.live, "DELETE", "exchange", ""),
		"already_exists":             p.ask(t, p.live, "POST", "users", person),
		"payload_too_large":          p.ask(t, p.live, "POST", "link", strings.Repeat(" ", 64<<10+1)),
		"unsupported_media_type":     d.post(t, "POST", p.paths["link"], "{}", withKey, "Content-Type: text/plain"),
		"provider_not_found":         exchange("none", "known", nil),
		"provider_inactive":          exchange("off", "known", nil),
		"jwks_fetch_failed":          exchange("away", "known", nil),
		"invalid_issuer":             exchange("my-app", "known", map[string]any{"iss": "https://other.example.com"}),
		"invalid_audience":           exchange("my-app", "known", map[string]any{"aud": "api://other"}),
		"missing_claim":              exchange("my-app", "new", map[string]any{"email": nil}),
		"user_not_found":             exchange("closed", "stranger", nil),
		"user_inactive":              exchange("my-app", "gone", nil),
		"email_already_exists":       exchange("my-app", "new", map[string]any{"email": "known@example.com"}),
		"invalid_refresh_token":      refresh("mlm_refresh_x"),
		"refresh_token_reused":       refresh(stolen.Refresh),
		"external_id_already_linked": p.ask(t, p.live, "POST", "link", fmt.Sprintf(`{"mlmUserId":%q,"externalId":"taken","provider":"closed"}`, stolen.User)),
	}
}
