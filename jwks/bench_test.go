package jwks_test

import (
	"slices"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/jwks"
)

// payload is what an ordinary access token says.
const payload = `{"iss":"https://login.example.com/","sub":"auth0|64f1c0ffee0123456789abcd","aud":["https://api.example.com","https://login.example.com/userinfo"],` +
	`"iat":1800000000,"exp":1800086400,"scope":"openid profile email note:read note:create","azp":"AbCdEfGhIjKlMnOpQrStUvWxYz012345","jti":"f2d5c0de-3c2e-4c1a-9d0e-1f2a3b4c5d6e",` +
	`"https://example.com/org":"acme","permissions":["note:create","note:read","user:self"]}`

// BenchmarkVerify measures a token that was never seen before, from its text to its claims, against the standard library's
// check of the same signature alone. The two take turns, so that whatever else the machine does meets both; the metric "ratio"
// is the one's median over the other's.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []jwks.Algorithm{jwks.RS256, jwks.PS256, jwks.ES256, jwks.EdDSA} {
		b.Run(string(alg), func(b *testing.B) {
			s := newSigner(b, alg, "k1")
			v, text := verifier(b, s), s.token(b, payload)
			bare := bareCheck(b, s, text)
			var ours, theirs []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				token, err := jwks.Parse(text)
				if err == nil {
					_, _, err = v.Verify(b.Context(), &token, now)
				}
				middle := time.Now()
				if err != nil || !bare() {
					b.Fatal(err)
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

// BenchmarkParse measures what is ours alone.
func BenchmarkParse(b *testing.B) {
	s := newSigner(b, jwks.EdDSA, "k1")
	text := s.token(b, payload)
	b.ReportAllocs()
	for b.Loop() {
		token, err := jwks.Parse(text)
		if err == nil {
			_, err = token.Issuer()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// bareCheck is the standard library's check of that signature: hash and verify, nothing decoded.
func bareCheck(tb testing.TB, s signer, text string) func() bool {
	tb.Helper()
	k := authtest.ProviderKey{Algorithm: string(s.alg), Private: s.private}
	return k.BareCheck(tb, text)
}

// What comes on top of the standard library's check: the text as bytes, header, its members, payload, signature, its members, aud.
func TestAllocationsOfATokenNotSeenBeforeAreFew(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := newSigner(t, jwks.EdDSA, "k1")
	v, text := verifier(t, s), s.token(t, payload)
	bare := testing.AllocsPerRun(100, func() { bareCheck(t, s, text)() })
	bare -= testing.AllocsPerRun(100, func() { bareCheck(t, s, text) })
	whole := testing.AllocsPerRun(1000, func() {
		token, err := jwks.Parse(text)
		if err == nil {
			_, _, err = v.Verify(t.Context(), &token, now)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if whole-bare > 7 {
		t.Errorf("%v allocations beside the %v of the signature, want at most 7", whole, bare)
	}
}
