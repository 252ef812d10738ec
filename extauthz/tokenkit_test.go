package extauthz_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/jwks"
	"github.com/postern-auth/postern/keystore"
)

// api is who issues our own tokens in tests, and whom they are for.
const api = "https://api.example.com"

// mint is a gate to which tokens of our own are brought.
type mint struct {
	*gate
	authority *token.Authority
	tokens    *extauthz.Tokens
	options   extauthz.TokensOptions // of tokens

	mu       sync.Mutex
	inactive map[string]bool // users
}

// newMint makes a gate that knows tokens of our own, and those of o.Issuers.
func newMint(tb testing.TB, o extauthz.Options) *mint {
	tb.Helper()
	m := &mint{inactive: map[string]bool{}}
	m.gate = newGate(tb, o)
	form := token.FormDefault
	users := (func(tenant, environment, user string) bool)(nil)
	switch o.Profile.Name() {
	case "mka1":
		form = token.FormMKA1
	case "mlm":
		form = token.FormMLM
		users = func(_, _, user string) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return !m.inactive[user]
		}
	}
	var err error
	m.authority, err = token.Open(token.Options{
		DB: m.db, Secret: make([]byte, 32), Form: form, Settings: token.Settings{Issuer: api, Environment: environmentOf(o)},
		Change: func(ctx context.Context, now time.Time, fn func(*store.Tx) (*token.Event, error)) error {
			return m.keys.Change(ctx, now, func(tx *store.Tx) (*keystore.Record, error) {
				e, err := fn(tx)
				if e == nil || err != nil {
					return nil, err
				}
				return &keystore.Record{Action: e.Action}, nil
			})
		},
	}, noon().Add(-time.Hour))
	if err != nil {
		tb.Fatal(err)
	}
	m.options = extauthz.TokensOptions{Authority: m.authority, UserActive: users}
	if m.tokens, err = extauthz.NewTokens(m.options); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(m.tokens.Close)
	m.gate = m.with(func(o *extauthz.Options) {
		o.Tokens, o.UpstreamAudience = m.tokens, "https://upstream.example"
		if o.Own.Issuer == "" {
			o.Own = extauthz.OwnTokens{Issuer: api, Audiences: []string{api}}
		}
	})
	return m
}

// environmentOf is the environment that tokens need not name.
func environmentOf(o extauthz.Options) string {
	if o.Profile.Name() == "mka1" && !o.InjectEnvironment {
		return o.Environments[0].Name
	}
	return ""
}

// token makes a token of our own for ada with that key of acme's in LIVE, for an hour, unless change says otherwise.
func (m *mint) token(key string, change func(*token.Grant)) string {
	m.t.Helper()
	text, _ := m.minted(key, change)
	return text
}

func (m *mint) minted(key string, change func(*token.Grant)) (string, token.Grant) {
	m.t.Helper()
	g := token.Grant{
		Tenant: "acme", Environment: "LIVE", KeyID: key, Subject: "ada", Audience: api, Permissions: []string{"note:read"}, ExpiresAt: noon().Add(time.Hour),
	}
	if m.o.Profile.Name() == "mlm" {
		g.Provider, g.ExternalID, g.Session, g.Permissions = "my-app", "ada@home", "session-1", []string{"user:self"}
	}
	if change != nil {
		change(&g)
	}
	text, g, err := m.authority.Mint(g, noon())
	if err != nil {
		m.t.Fatal(err)
	}
	return text, g
}

// withToken is a request with a token.
func withToken(text string, headers ...string) *extauthz.Request {
	return get("/v1/notes", append([]string{"authorization: Bearer " + text}, headers...)...)
}

// at decides at another time than noon.
func (g *gate) at(now time.Time, r *extauthz.Request) extauthz.Reason {
	g.t.Helper()
	d := g.Authorize(g.t.Context(), r, now)
	return d.Reason()
}

// idp is somebody else's identity provider.
type idp struct {
	tb     testing.TB
	issuer string
	key    ed25519.PrivateKey
	set    atomic.Pointer[jwks.Set]
	asked  atomic.Int64 // for keys
	gone   atomic.Bool
	wait   chan struct{} // for keys; nil: they are there
}

func newIDP(tb testing.TB, issuer string) *idp {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	p := &idp{tb: tb, issuer: issuer, key: key}
	p.publish("k1")
	return p
}

// publish makes the key set one with the key under that id.
func (p *idp) publish(kid string) {
	p.tb.Helper()
	x := base64.RawURLEncoding.EncodeToString(p.key.Public().(ed25519.PublicKey))
	set, err := jwks.ParseSet(fmt.Appendf(nil, `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":%q,"x":%q}]}`, kid, x))
	if err != nil {
		p.tb.Fatal(err)
	}
	p.set.Store(set)
}

// Keys is asked by proofs alone, and only for keys that are not there.
func (p *idp) Keys(ctx context.Context, _ string, _ time.Time) (*jwks.Set, error) {
	p.asked.Add(1)
	if p.wait != nil {
		select {
		case <-p.wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", jwks.ErrUnavailable, ctx.Err())
		}
	}
	if p.gone.Load() {
		return nil, jwks.ErrUnavailable
	}
	return p.set.Load(), nil
}

// Current is asked by every check of a token of this issuer.
func (p *idp) Current(time.Time) *jwks.Set {
	p.asked.Add(1)
	if p.gone.Load() {
		return nil
	}
	if p.wait != nil {
		select {
		case <-p.wait:
		default:
			return nil
		}
	}
	return p.set.Load()
}

// spec takes its tokens for acme in LIVE.
func (p *idp) spec() extauthz.IssuerSpec {
	return extauthz.IssuerSpec{
		Issuer: p.issuer, Audiences: []string{api}, Tenant: "acme", Environment: "LIVE", PermissionsClaim: "scope",
		Leeway: 30 * time.Second, MaxLifetime: 24 * time.Hour, Source: p,
	}
}

// sign makes a token for ada that is good for an hour, with other claims; nil takes one away.
func (p *idp) sign(other map[string]any) string {
	return p.signAs(map[string]any{"alg": "EdDSA", "kid": "k1"}, other)
}

func (p *idp) signAs(header, other map[string]any) string {
	p.tb.Helper()
	b, err := json.Marshal(header)
	if err != nil {
		p.tb.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString(b) + "." + base64.RawURLEncoding.EncodeToString(p.claims(p.tb, other))
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(p.key, []byte(text)))
}

// claims are what it says of ada for an hour, with others in their place; nil takes one away.
func (p *idp) claims(tb testing.TB, other map[string]any) []byte {
	tb.Helper()
	claims := map[string]any{
		"iss": p.issuer, "aud": api, "sub": "ada", "iat": noon().Unix(), "exp": noon().Add(time.Hour).Unix(), "scope": "note:read note:create",
	}
	maps.Copy(claims, other)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	b, err := json.Marshal(claims)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// canceled is a context that has ended.
func canceled(tb testing.TB) (context.Context, context.CancelFunc) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	return ctx, cancel
}
