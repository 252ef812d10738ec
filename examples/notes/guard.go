package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

// guard believes requests that carry a JWT of Postern (identity_jwt): the product then needs to trust neither the network nor
// the gate's configuration. Any JOSE library does; what matters is that issuer, audience and algorithm are named.
type guard struct{ verifier *oidc.IDTokenVerifier }

func newGuard(issuer, audience, keysURL string) *guard {
	keys := oidc.NewRemoteKeySet(context.Background(), keysURL)
	return &guard{oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{oidc.EdDSA, oidc.ES256, oidc.RS256}})}
}

// check says why the request is not believed.
func (g *guard) check(r *http.Request) error {
	if g == nil {
		return nil
	}
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return errors.New("no JWT")
	}
	token, err := g.verifier.Verify(r.Context(), text)
	if err != nil {
		return err
	}
	var claims struct {
		Account string `json:"account_id"` // mka1
		Tenant  string `json:"tenant_id"`  // mlm
		Key     string `json:"key_id"`
	}
	if err := token.Claims(&claims); err != nil {
		return err
	}
	// The headers repeat what the JWT says; one that says something else was made by somebody else.
	for _, pair := range [][2]string{{"X-Account-Id", claims.Account}, {"X-Tenant-Id", claims.Tenant}, {"X-Api-Key-Id", claims.Key}} {
		if r.Header.Get(pair[0]) != pair[1] {
			return fmt.Errorf("%s is %q, the JWT says %q", pair[0], r.Header.Get(pair[0]), pair[1])
		}
	}
	return nil
}
