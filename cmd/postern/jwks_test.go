package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-auth/postern/jwks"
)

// runIn runs the command in this process, and wants status 0.
func runIn(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr); status != exitDone {
		t.Fatalf("postern %q: exit %d: %s", args, status, stderr.String())
	}
	return stdout.String()
}

// A library that is not ours verifies what sign signs, with what generate publishes, and finds the same thumbprint. So does the
// gate, which admits no other kind of key.
func TestGeneratedKeySetVerifiesSignedTokens(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			out := filepath.Join(dir, "idp")
			runIn(t, "jwks", "generate", "--alg", alg, "--out", out)
			text, err := os.ReadFile(filepath.Join(out, "jwks.json"))
			if err != nil {
				t.Fatal(err)
			}
			var set jose.JSONWebKeySet
			if err := json.Unmarshal(text, &set); err != nil {
				t.Fatal(err)
			}
			key := set.Keys[0]
			thumbprint, err := key.Thumbprint(crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			if !key.IsPublic() || !key.Valid() || key.Algorithm != alg || key.Use != "sig" || key.KeyID != base64.RawURLEncoding.EncodeToString(thumbprint) {
				t.Errorf("published %s", text)
			}
			claims := filepath.Join(dir, "claims.json")
			if err := os.WriteFile(claims, []byte(`{"iss": "i", "sub": "user_1", "aud": "a", "exp": 4102444800}`), 0o600); err != nil {
				t.Fatal(err)
			}
			token := strings.TrimSpace(runIn(t, "jwks", "sign", "--key", filepath.Join(out, "private-key.pem"), "--claims", claims))
			parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			if got := parsed.Signatures[0].Protected.KeyID; got != key.KeyID {
				t.Errorf("kid of the token = %q, want %q", got, key.KeyID)
			}
			payload, err := parsed.Verify(key)
			if err != nil || string(payload) != `{"iss":"i","sub":"user_1","aud":"a","exp":4102444800}` {
				t.Errorf("Verify() = %q, %v", payload, err)
			}
			admitted, err := jwks.ParseSet(text)
			if err != nil || len(admitted.Refused()) > 0 {
				t.Fatalf("ParseSet() refuses %v, %v", admitted.Refused(), err)
			}
			v := jwks.Verifier{Rules: jwks.Rules{Issuer: "i", Audiences: []string{"a"}}, Source: jwks.Fixed(admitted)}
			ours, err := jwks.Parse(token)
			if err != nil {
				t.Fatal(err)
			}
			if claims, _, err := v.Verify(t.Context(), &ours, time.Unix(1_800_000_000, 0)); err != nil || claims.Subject != "user_1" {
				t.Errorf("the gate: %+v, %v", claims, err)
			}
		})
	}
}
