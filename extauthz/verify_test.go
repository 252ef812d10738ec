package extauthz_test

import (
	"strings"
	"testing"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// Verify says what Authorize would say of a request that holds the key and nothing else to refuse.
func TestVerifySaysWhatTheGateSays(t *testing.T) {
	g := newGate(t, options(t))
	_, valid := g.create(keystore.KeySpec{})
	id, revoked := g.create(keystore.KeySpec{})
	if _, err := g.keys.Revoke(t.Context(), id, noon()); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text string
		want extauthz.Reason
	}{
		"a valid key":                       {valid, extauthz.ReasonAllowed},
		"a revoked key":                     {revoked, extauthz.ReasonKeyRevoked},
		"an unknown key":                    {"live_nobody", extauthz.ReasonKeyUnknown},
		"a text that no header can hold":    {valid + " ", extauthz.ReasonCredentialMalformed},
		"a text that is longer than a key":  {strings.Repeat("a", 257), extauthz.ReasonCredentialMalformed},
		"a text that is as long as allowed": {strings.Repeat("a", 256), extauthz.ReasonKeyUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := g.Verify(t.Context(), tt.text, noon())
			if err != nil || got != tt.want {
				t.Errorf("Verify = %v, %v, want %v", got, err, tt.want)
			}
			if strings.TrimSpace(tt.text) != tt.text {
				return // on its way through a header it would lose the space
			}
			d := g.Authorize(t.Context(), get("/", "x-api-key: "+tt.text), noon())
			if d.Reason() != tt.want {
				t.Errorf("Authorize = %v, want %v", d.Reason(), tt.want)
			}
		})
	}
}
