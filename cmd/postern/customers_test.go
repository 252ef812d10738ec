package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docs/customers.md tells customers what they must know, whoever rewrites it.
func TestCustomersDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "customers.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(strings.Fields(string(text)), " ") // without line breaks
	for _, want := range []string{
		// Keys, in any profile.
		"server-side use", "environment variable", "Rotation", "Monitoring", "revoke",
		// When to name an end user, and by what.
		"The key alone", "The key with `X-On-Behalf-Of`", "must be stable", "e-mail address", "display name",
		// Offline verification.
		"verify a token offline", "see its expiry only",
		// A provider of one's own.
		"public https URL", "`application/json`", "without authentication", "cache headers",
		// What may be wrong with a provider.
		"`postern providers test`", "issuer", "audience", "claims", "Cognito's access tokens lack `aud`", "exchange its ID tokens",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("docs/customers.md does not say %q", want)
		}
	}
	for _, c := range []carrier{carrierOf("mka1"), carrierOf("mlm"), carrierOf("default"), sandboxCarrier()} {
		for _, name := range append(c.variables, "--"+c.name, "`--sandbox`") {
			if !strings.Contains(all, name) {
				t.Errorf("docs/customers.md does not name %s", name)
			}
		}
	}
}
