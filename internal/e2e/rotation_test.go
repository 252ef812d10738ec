package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/token"
)

// mka1 16, mlm 30: tokens from before and after a rotation are verified by an independent library from the published key set alone,
// and pass the gate. The key that has retired stays published.
func TestTokensOutliveTheKeyThatSignedThem(t *testing.T) {
	t.Parallel()
	g := open(t, "mka1", withAPI(t))
	k := g.mint(t, "--tenant", "acme", "--permission", "agent:read")
	before := g.exchanged(t, k, "user_1")
	published := g.keySet(t)
	g.Run(t, "signing-keys", "rotate")
	waiting := g.exchanged(t, k, "user_1") // the new key is published, and does not sign for an hour
	g.Stop(t)
	t.Run("an hour later", func(t *testing.T) {
		path, later := filepath.Join(g.dir, "data", "postern.db"), time.Now().Add(time.Hour+time.Minute)
		authorityAt(t, path, g.pepper(t), token.FormMKA1, token.Settings{Issuer: "https://apigw.example.com"}, later)
	})
	g.Postern = authtest.StartPostern(t, filepath.Join(g.dir, "postern.yaml"))

	after := g.exchanged(t, k, "user_1")
	set := g.keySet(t)
	if first, second := kidOf(t, before), kidOf(t, after); first == second || kidOf(t, waiting) != first || len(published.Keys) != 1 || len(set.Keys) != 2 {
		t.Fatalf("signed by %s, %s, then %s, of %d keys and then %d", first, kidOf(t, waiting), second, len(published.Keys), len(set.Keys))
	}
	for _, text := range []string{before, waiting, after} {
		signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signed.Verify(set); err != nil {
			t.Error(err)
		}
		for _, d := range g.doors(t) {
			d.allowed(t, "/api/v1/agents", "Authorization: Bearer "+text)
		}
	}
}

// keySet is what is published, which holds nothing private.
func (g *gate) keySet(t *testing.T) (set jose.JSONWebKeySet) {
	t.Helper()
	var raw struct{ Keys []map[string]json.RawMessage }
	r := g.front(t).send(t, "GET", "/.well-known/jwks.json")
	if r.Status != http.StatusOK {
		t.Fatalf("key set: %d", r.Status)
	}
	decode(t, string(r.Body), &set)
	decode(t, string(r.Body), &raw)
	for _, k := range raw.Keys {
		for name := range k {
			switch name {
			case "kty", "crv", "x", "kid", "alg", "use":
			default:
				t.Errorf("the key set holds %q", name)
			}
		}
	}
	return set
}

func kidOf(t *testing.T, text string) string {
	t.Helper()
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return signed.Signatures[0].Header.KeyID
}
