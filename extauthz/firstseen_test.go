package extauthz_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/jwks"
)

// BenchmarkTokenFirstSeen is a whole check of a token that was never seen, from the bytes of the CheckRequest to those of the
// CheckResponse, with the hand-over to the goroutine that verifies and with all that is kept of the token, against the standard
// library's check of its signature alone. The two take turns; "ratio" is the one's median over the other's.
func BenchmarkTokenFirstSeen(b *testing.B) {
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		b.Run(algorithm, func(b *testing.B) {
			key := authtest.NewProviderKey(b, "k1", algorithm)
			p := newIDP(b, "https://login.example.com/")
			p.set.Store(setOf(b, key))
			m := newMint(b, options(b, manyPolicies(10)...))
			m.gate = m.with(func(o *extauthz.Options) { o.Issuers = []extauthz.IssuerSpec{p.spec()} })
			c := extauthz.NewChecker(m.Authorizer)
			var messages [256][]byte
			var bare [len(messages)]func() bool
			for i := range messages {
				text := key.Sign(b, nil, p.claims(b, map[string]any{"jti": fmt.Sprint("f2d5c0de-3c2e-4c1a-9d0e-", i)}))
				messages[i], bare[i] = tokenMessage(b, extauthz.Shapes()[0], text), key.BareCheck(b, text)
			}
			var ours, theirs []time.Duration
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i %= len(messages); i == 0 {
					m.tokens.Forget()
				}
				start := time.Now()
				allowed := c.Check(b.Context(), messages[i], noon())
				middle := time.Now()
				if !allowed || !bare[i]() {
					b.Fatal("refused")
				}
				ours, theirs = append(ours, middle.Sub(start)), append(theirs, time.Since(middle))
			}
			slices.Sort(ours)
			slices.Sort(theirs)
			whole, alone := float64(ours[len(ours)/2]), float64(theirs[len(theirs)/2])
			b.ReportMetric(whole/alone, "ratio")
			b.ReportMetric(whole, "whole-ns")
			b.ReportMetric(alone, "bare-ns")
		})
	}
}

// setOf is the key set that publishes a key.
func setOf(tb testing.TB, key *authtest.ProviderKey) *jwks.Set {
	tb.Helper()
	text, err := json.Marshal(map[string]any{"keys": []any{key.JWK()}})
	if err != nil {
		tb.Fatal(err)
	}
	set, err := jwks.ParseSet(text)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}
