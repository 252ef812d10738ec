package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-auth/postern/internal/authtest"
)

// identity_jwt: what arrives in the place of the credential is verified by an independent library, from the published key set alone.
// It is for the upstream only: the gate does not take it.
func TestTheUpstreamVerifiesWhoAsks(t *testing.T) {
	t.Parallel()
	authtest.RequireEnvoy(t)
	t.Run("mka1", func(t *testing.T) {
		t.Parallel()
		c := mka1()
		g := open(t, c.example, withAPI(t), change{"", "upstream_authorization: identity_jwt"})
		k := g.mint(t, "--tenant", "acme", "--permission", "agent:read")
		want := identity{Issuer: "https://apigw.example.com", Audience: "https://notes.example.com", Account: "acme", Key: k.ID, life: 60}
		for _, d := range g.doors(t) {
			want.Subject = "acme"
			g.identifies(t, d, c, want, c.credential(k.Key))
			want.Subject = "user_123"
			g.identifies(t, d, c, want, c.credential(k.Key), "X-On-Behalf-Of: user_123")
			g.identifies(t, d, c, want, "Authorization: Bearer "+g.exchanged(t, k, "user_123"))
		}
	})
	t.Run("mlm", func(t *testing.T) {
		t.Parallel()
		c := mlm()
		p := openPlatform(t, change{"", "upstream_credentials: identity_jwt"})
		s := p.signIn(t, p.live, "user_123")
		want := identity{Issuer: "https://app.example.com", Audience: "https://app.example.com", Tenant: p.live.Tenant, Environment: "LIVE", Key: p.live.ID, life: 60}
		for _, d := range p.doors(t) {
			want.Subject, want.External = p.live.Tenant, ""
			p.identifies(t, d, c, want, c.credential(p.live.Key))
			want.Subject, want.External = s.User, "user_123"
			p.identifies(t, d, c, want, bearerOf(s))
		}
	})
}

// identity is what a token for the upstream says.
type identity struct {
	Issuer      string `json:"iss"`
	Subject     string `json:"sub"`
	Audience    string `json:"aud"`
	Account     string `json:"account_id"`
	Tenant      string `json:"tenant_id"`
	Environment string `json:"environment"`
	External    string `json:"external_id"`
	Key         string `json:"key_id"`
	life        int64  // in seconds
}

// identifies sends a request of which the upstream must learn that identity.
func (g *gate) identifies(t *testing.T, d door, c contract, want identity, lines ...string) {
	t.Helper()
	set := g.keySet(t)
	echo := d.allowed(t, c.shut, lines...)
	text, ok := strings.CutPrefix(one(t, echo, "authorization"), "Bearer ")
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if !ok || err != nil || slices.Contains(lines, "Authorization: Bearer "+text) || one(t, echo, "x-tenant-api-key") != "" {
		t.Fatalf("authorization arrives as %q: %v", text, err)
	}
	payload, err := signed.Verify(set)
	if err != nil {
		t.Fatal(err)
	}
	var got identity
	var times struct{ Iat, Exp int64 }
	decode(t, string(payload), &got)
	decode(t, string(payload), &times)
	if got.life = times.Exp - times.Iat; got != want {
		t.Errorf("the upstream learns %+v, want %+v", got, want)
	}
	if r := g.refused(t, d, c.shut, "Authorization: Bearer "+text); r.Status != http.StatusUnauthorized {
		t.Errorf("the upstream's token passes the gate: %d", r.Status)
	}
}
