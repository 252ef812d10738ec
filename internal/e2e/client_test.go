package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The clients here are made from the originals' public references alone: their paths, the spelling of their members, their
// headers. They share no line with Postern and none with the other tests, and are told nothing but where the server is.

// original is what both clients do: JSON to an address below the server's, JSON back.
type original struct {
	server string
	http   http.Client
	header map[string]string
}

// statusError is a reply that is no success.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d %s", e.status, e.body) }

// call sends a value, if there is one, and reads the reply, if it is wanted: into members that are all known.
func (o *original) call(ctx context.Context, method, path string, send, into any) error {
	var body io.Reader
	if send != nil {
		text, err := json.Marshal(send)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, o.server+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	for name, value := range o.header {
		r.Header.Set(name, value)
	}
	reply, err := o.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return err
	}
	if reply.StatusCode/100 != 2 {
		return &statusError{reply.StatusCode, string(text)}
	}
	if into == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// mka1Client is one of the original's SDKs: it puts its credential behind the word Bearer, whatever it is.
type mka1Client struct{ original }

func newMKA1Client(server, bearerAuth, onBehalfOf string) *mka1Client {
	c := &mka1Client{original{server: server, header: map[string]string{"Authorization": "Bearer " + bearerAuth}}}
	if onBehalfOf != "" {
		c.header["X-On-Behalf-Of"] = onBehalfOf
	}
	return c
}

// getJwtFromKeyRequest has the members of the reference.
type getJwtFromKeyRequest struct {
	Audience       string `json:"audience"`
	ExternalUserID string `json:"externalUserId"`
	ExpiresIn      int    `json:"expiresIn,omitempty"`
}

func (c *mka1Client) getJwtFromKey(ctx context.Context, r getJwtFromKeyRequest) (string, error) {
	var reply struct {
		Token string `json:"token"`
	}
	err := c.call(ctx, "POST", "/api/v1/authentication/api-key/exchange-token", r, &reply)
	return reply.Token, err
}

// mka1 item 36: a client of the original's public reference works with nothing but the server's URL changed, with its
// credential as the reference's examples have it (`Bearer <key>`) and bare, and with a JWT in the key's place.
func TestAClientOfMKA1sReference(t *testing.T) {
	t.Parallel()
	g := open(t, "mka1", withAPI(t))
	k := g.mint(t, "--tenant", "acme", "--permission", "agent:read")
	server := "http://" + g.front(t).addr
	for _, bearerAuth := range []string{k.Key, "Bearer " + k.Key} {
		c := newMKA1Client(server, bearerAuth, "")
		arrived := g.arrived(t, &c.original, "/api/v1/agents")
		if arrived["x-on-behalf-of"] != "" || arrived["x-api-key-id"] != k.ID {
			t.Errorf("the key's own: %v", arrived)
		}
		arrived = g.arrived(t, &newMKA1Client(server, bearerAuth, "user_123").original, "/api/v1/agents")
		if arrived["x-on-behalf-of"] != "user_123" || arrived["x-account-id"] != "acme" {
			t.Errorf("for an end user: %v", arrived)
		}
		for _, r := range []getJwtFromKeyRequest{
			{Audience: "https://apigw.example.com", ExternalUserID: "user_123"},
			{Audience: "https://apigw.example.com", ExternalUserID: "user_123", ExpiresIn: 3600},
		} {
			token, err := c.getJwtFromKey(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			for _, jwt := range []string{token, "Bearer " + token} {
				arrived = g.arrived(t, &newMKA1Client(server, jwt, "").original, "/api/v1/agents")
				if arrived["x-on-behalf-of"] != "user_123" || arrived["x-api-key-id"] != k.ID || arrived["authorization"] != "" {
					t.Errorf("with a JWT: %v", arrived)
				}
			}
		}
	}
	_, err := newMKA1Client(server, "mk-unknown", "").getJwtFromKey(t.Context(), getJwtFromKeyRequest{"https://a.example", "u", 0})
	if diff := cmp.Diff(`401 {"error": "Unauthorized"}`, fmt.Sprint(err)); diff != "" {
		t.Errorf("a wrong key (-want +got):\n%s", diff)
	}
	_, err = newMKA1Client(server, k.Key, "").getJwtFromKey(t.Context(), getJwtFromKeyRequest{"https://a.example", "u", 299})
	if diff := cmp.Diff(`400 {"error": "expiresIn must be a whole number from 300 to 2592000"}`, fmt.Sprint(err)); diff != "" {
		t.Errorf("a short life (-want +got):\n%s", diff)
	}
}

// mlmClient is a tenant's server, or with an access token, its user.
type mlmClient struct{ original }

func newMLMClient(server, apiKey string) *mlmClient {
	return &mlmClient{original{server: server, header: map[string]string{"x-tenant-api-key": apiKey}}}
}

// asUser is the client of a user who has signed in.
func (c *mlmClient) asUser(accessToken string) *mlmClient {
	return &mlmClient{original{server: c.server, header: map[string]string{"Authorization": "Bearer " + accessToken}}}
}

type mlmTokens struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	TokenType    string `json:"tokenType"`
	ExpiresIn    int    `json:"expiresIn"`
	Scope        string `json:"scope"`
	MLMUserID    string `json:"mlmUserId"`
	IsNewUser    bool   `json:"isNewUser"`
}

type mlmProvider struct {
	ProviderID       string   `json:"provider_id"`
	DisplayName      string   `json:"display_name"`
	Issuer           string   `json:"issuer"`
	JWKSURI          string   `json:"jwks_uri"`
	AllowedAudiences []string `json:"allowed_audiences"`
	AutoCreateUsers  bool     `json:"auto_create_users"`
	MembershipTier   string   `json:"default_membership_tier,omitempty"`
	IsActive         bool     `json:"is_active,omitempty"`
}

// mlm item 37: a client of the original's public reference works with only its base URL changed, from the registration of a
// provider to a user's refreshed session.
func TestAClientOfMLMsReference(t *testing.T) {
	t.Parallel()
	p := openPlatform(t)
	ctx := t.Context()
	c := newMLMClient("http://"+p.front(t).addr, p.live.Key)
	want := mlmProvider{"web", "Web", p.idp.Issuer(), p.idp.KeysURL(), []string{"api://my-app"}, true, "", false}
	var made mlmProvider
	if err := c.call(ctx, "POST", "/api/v1/admin/auth/providers", want, &made); err != nil {
		t.Fatal(err)
	}
	want.MembershipTier, want.IsActive = "ORDINARY", true
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("the provider (-want +got):\n%s", diff)
	}
	external := p.external(t, "user_1", nil)
	var first, again, next mlmTokens
	exchange := map[string]string{"externalJwt": external, "provider": "web"}
	if err := c.call(ctx, "POST", "/api/v1/auth/exchange", exchange, &first); err != nil {
		t.Fatal(err)
	}
	if first.TokenType != "Bearer" || first.ExpiresIn != 3600 || first.Scope != "user:self" || !first.IsNewUser {
		t.Errorf("%+v", first)
	}
	// The older name of the member, and the same user.
	if err := c.call(ctx, "POST", "/api/v1/auth/exchange", map[string]string{"token": external, "provider": "web"}, &again); err != nil || again.IsNewUser || again.MLMUserID != first.MLMUserID {
		t.Errorf("%+v: %v", again, err)
	}
	if err := c.call(ctx, "POST", "/api/v1/auth/refresh", map[string]string{"refreshToken": first.RefreshToken}, &next); err != nil || next.RefreshToken == first.RefreshToken || next.ExpiresIn != 3600 {
		t.Errorf("%+v: %v", next, err)
	}
	for _, access := range []string{first.AccessToken, next.AccessToken} {
		if arrived := p.arrived(t, &c.asUser(access).original, "/api/v1/notes"); arrived["x-user-id"] != first.MLMUserID || arrived["x-end-user"] != "user_1" || arrived["x-environment"] != "LIVE" {
			t.Errorf("the user's: %v", arrived)
		}
	}
	link := map[string]string{"mlmUserId": first.MLMUserID, "externalId": "other", "provider": "web"}
	if err := c.call(ctx, "POST", "/api/v1/auth/link", link, nil); err != nil {
		t.Error(err)
	}
	for apiKey, want := range map[string]string{
		"":                 `401 {"error":"Missing API key","code":"MISSING_API_KEY"}`,
		"mlm_live_revoked": `401 {"error":"Invalid API key","code":"INVALID_API_KEY"}`,
	} {
		if err := newMLMClient(c.server, apiKey).call(ctx, "POST", "/api/v1/auth/exchange", exchange, nil); fmt.Sprint(err) != want {
			t.Errorf("key %q: %v, want %s", apiKey, err, want)
		}
	}
}

// arrived has a client read a route of the product, and returns the headers with which that arrived there.
func (g *gate) arrived(t *testing.T, o *original, path string) map[string]string {
	t.Helper()
	before := len(g.upstream.Requests())
	if err := o.call(t.Context(), "GET", path, nil, nil); err != nil {
		t.Fatal(err)
	}
	requests := g.upstream.Requests()
	if len(requests) != before+1 {
		t.Fatalf("%d requests reached the upstream, want one", len(requests)-before)
	}
	headers := map[string]string{}
	for _, f := range requests[len(requests)-1].Fields {
		headers[f.Name] = f.Value
	}
	return headers
}
