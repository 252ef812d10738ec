package authtest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/postern-auth/postern/internal/authtest"
)

// client trusts the provider and reaches it whatever the address is.
func client(tb testing.TB, p *authtest.Provider) *http.Client {
	tb.Helper()
	t := &http.Transport{DialContext: p.Dial, TLSClientConfig: &tls.Config{RootCAs: authtest.ProviderRoots(), MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}
	return &http.Client{Transport: t, Timeout: 5 * time.Second}
}

func fetch(tb testing.TB, c *http.Client, url string) (int, []byte, error) {
	tb.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(tb.Context()), http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 2<<20))
	return response.StatusCode, body, err
}

func TestEachAlgorithmOfTheProviderVerifiesWithAnotherLibrary(t *testing.T) {
	p := authtest.StartProvider(t)
	for _, algorithm := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		k := p.AddKey(t, algorithm)
		_, body, err := fetch(t, client(t, p), p.KeysURL())
		if err != nil {
			t.Fatal(err)
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(body, &set); err != nil {
			t.Fatal(err)
		}
		token, err := jwt.ParseSigned(p.Sign(t, map[string]any{"sub": "u1"}), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		var claims jwt.Claims
		if err := token.Claims(set, &claims); err != nil {
			t.Errorf("%s with the published set: %v", algorithm, err)
		}
		if claims.Subject != "u1" || claims.Issuer != p.Issuer() {
			t.Errorf("%s: claims = %+v, want those that were signed", algorithm, claims)
		}
		p.Withdraw(t, k.ID)
	}
}

func TestAProviderInMemoryServesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := authtest.StartProviderInMemory(t, "idp.example")
		status, body, err := fetch(t, client(t, p), p.KeysURL())
		if err != nil || status != http.StatusOK {
			t.Fatalf("fetching the keys = %v, %v", status, err)
		}
		if want := `"kid":"` + p.Key().ID + `"`; !bytes.Contains(body, []byte(want)) {
			t.Errorf("the key set is %s, want %s in it", body, want)
		}
		p.Break(t, authtest.FaultHang)
		start := time.Now()
		if _, _, err := fetch(t, client(t, p), p.KeysURL()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("fetching from a provider that hangs: %v, want the end of patience", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("it took %v of the bubble's time, want the client's 5 s", took)
		}
	})
}

func TestTheProviderRecordsWhatItIsAsked(t *testing.T) {
	p := authtest.StartProvider(t)
	if _, _, err := fetch(t, client(t, p), p.Issuer()+authtest.DiscoveryPath); err != nil {
		t.Fatal(err)
	}
	if _, _, err := fetch(t, client(t, p), p.KeysURL()); err != nil {
		t.Fatal(err)
	}
	if n := p.Fetches(); n != 1 {
		t.Errorf("Fetches = %d, want 1: discovery is none", n)
	}
	if r := p.Requests(); len(r) != 2 || r[0].Path != authtest.DiscoveryPath || r[1].Header.Get("User-Agent") == "" {
		t.Errorf("Requests = %+v, want both with their headers", r)
	}
}
