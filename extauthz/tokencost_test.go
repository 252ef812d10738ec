package extauthz_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// tokenMessage is a CheckRequest with a token in the place of a key.
func tokenMessage(tb testing.TB, shape extauthz.Shape, text string) []byte {
	tb.Helper()
	return extauthz.Sample(tb, shape, "", extauthz.Header{Name: "authorization", Value: "Bearer " + text}, extauthz.Header{Name: "x-on-behalf-of", Value: "ada"})
}

// From the bytes of a CheckRequest to those of the CheckResponse nothing is allocated for a token that was seen before.
func TestACheckOfATokenSeenBeforeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m := newMint(t, options(t, manyPolicies(10)...))
	p := newIDP(t, "https://login.example.com/")
	m.gate = m.with(func(o *extauthz.Options) { o.Issuers = []extauthz.IssuerSpec{p.spec()} })
	id, _ := m.create(keystore.KeySpec{Permissions: []string{"note:read"}})
	c := extauthz.NewChecker(m.Authorizer)
	for name, text := range map[string]string{"our own": m.token(id, nil), "an issuer's": p.sign(nil)} {
		for _, shape := range extauthz.Shapes() {
			message := tokenMessage(t, shape, text)
			check := func() {
				if !c.Check(t.Context(), message, noon()) {
					t.Fatal("denied")
				}
			}
			settle(check)
			if n := testing.AllocsPerRun(1000, check); n != 0 {
				t.Errorf("%s, %s: %v allocations, want 0", name, shape, n)
			}
		}
	}
}

// BenchmarkToken is BenchmarkCheck for tokens of our own that were seen before, beside the keys that they were made with, in turns of
// one run: what counts is the ratio.
func BenchmarkToken(b *testing.B) {
	for _, crowd := range []int{1, 1000} {
		b.Run(fmt.Sprintf("tokens=%d", crowd), func(b *testing.B) {
			m := newMint(b, options(b, manyPolicies(10)...))
			c := extauthz.NewChecker(m.Authorizer)
			var byToken, byKey [][]byte
			for range crowd {
				id, key := m.create(keystore.KeySpec{Permissions: []string{"note:read"}})
				byToken = append(byToken, tokenMessage(b, extauthz.Shapes()[0], m.token(id, nil)))
				byKey = append(byKey, extauthz.Sample(b, extauthz.Shapes()[0], key))
			}
			ctx, now := b.Context(), noon()
			for range 3 {
				for i := range byToken {
					if !c.Check(ctx, byToken[i], now) || !c.Check(ctx, byKey[i], now) {
						b.Fatal("denied")
					}
				}
				time.Sleep(100 * time.Millisecond)
			}
			const row = 1000
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, uint64(crowd-1))
			order := make([]int, row)
			least := [2]time.Duration{time.Hour, time.Hour}
			for b.Loop() {
				for i := range order {
					order[i] = int(zipf.Uint64())
				}
				for kind, messages := range [2][][]byte{byToken, byKey} {
					began := time.Now()
					for _, i := range order {
						if !c.Check(ctx, messages[i], now) {
							b.Fatal("denied")
						}
					}
					least[kind] = min(least[kind], time.Since(began))
				}
			}
			b.ReportMetric(float64(least[0])/row, "token-ns/check")
			b.ReportMetric(float64(least[1])/row, "key-ns/check")
			b.ReportMetric(float64(least[0])/float64(least[1]), "token/key")
		})
	}
}

// No bytes are allowed without a token that was proven, as FuzzCheck says of keys.
func FuzzCheckOfTokens(f *testing.F) {
	m := newMint(f, options(f))
	p := newIDP(f, "https://login.example.com/")
	m.gate = m.with(func(o *extauthz.Options) { o.Issuers = []extauthz.IssuerSpec{p.spec()} })
	id, _ := m.create(keystore.KeySpec{})
	good := []string{m.mintedAt(id), p.sign(map[string]any{"exp": 1 << 40, "iat": nil, "scope": nil})}
	m.gate = m.with(func(o *extauthz.Options) { o.Issuers[0].MaxLifetime = 0 })
	s := serve(f, m.gate, logging(extauthz.LogNone))
	const first, second = "TOKEN.OF.OURS", "TOKEN.OF.OTHERS"
	for _, shape := range extauthz.Shapes() {
		f.Add(tokenMessage(f, shape, first))
		f.Add(tokenMessage(f, shape, second))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		sent := bytes.ReplaceAll(message, []byte(first), []byte(good[0]))
		sent = bytes.ReplaceAll(sent, []byte(second), []byte(good[1]))
		var reply authv3.CheckResponse
		if err := proto.Unmarshal(s.Answer(t.Context(), sent), &reply); err != nil {
			t.Fatal(err)
		}
		allowed := reasonOf(t, &reply) == "allowed"
		proven := bytes.Contains(sent, []byte(good[0])) || bytes.Contains(sent, []byte(good[1]))
		if allowed && !proven || !allowed && reply.GetOkResponse() != nil {
			t.Fatalf("%x: %v", sent, &reply)
		}
	})
}

// mintedAt is a token that is good at the time of the machine, as far as the keys and the length of its life let it be.
func (m *mint) mintedAt(id string) string {
	m.t.Helper()
	now := time.Now()
	text, _, err := m.authority.Mint(token.Grant{
		Tenant: "acme", Environment: "LIVE", KeyID: id, Subject: "ada", Audience: api, ExpiresAt: now.Add(24 * time.Hour),
	}, now)
	if err != nil {
		m.t.Fatal(err)
	}
	return text
}

// No change of one byte of a good token leaves a good token.
func TestNoMutationOfATokenIsAccepted(t *testing.T) {
	m := newMint(t, options(t))
	id, _ := m.create(keystore.KeySpec{})
	good := m.token(id, nil)
	m.allow(withToken(good))
	random := rand.New(rand.NewPCG(3, 4))
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.="
	for range 2000 {
		b := []byte(good)
		at := random.IntN(len(b))
		switch random.IntN(3) {
		case 0:
			b[at] = letters[random.IntN(len(letters))]
		case 1:
			b = append(b[:at], b[at+1:]...)
		default:
			b = append(b[:at], append([]byte{letters[random.IntN(len(letters))]}, b[at:]...)...)
		}
		if a := m.Authorize(t.Context(), withToken(string(b)), noon()); a.Allowed() && string(b) != good {
			t.Fatalf("%s passes", strings.TrimPrefix(string(b), good[:at]))
		}
	}
}
