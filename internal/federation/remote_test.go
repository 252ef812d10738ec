package federation_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/jwks"
)

// fetching is a store whose key sets are fetched, as cmd/postern has it.
func fetching(t *testing.T, o jwks.FetcherOptions) *federation.Store {
	t.Helper()
	fetcher := jwks.NewFetcher(o)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- fetcher.Run(ctx) }()
	j := &journal{db: authtest.NewDatabase(t)}
	s, err := federation.Open(federation.Options{DB: j.db, Change: j.change, Keys: func(_ federation.Owner, url, issuer string) (federation.KeySet, error) {
		set, err := fetcher.Remote(jwks.RemoteOptions{URL: url, Issuer: issuer, OnDemand: true, Wait: 2 * time.Second})
		if err != nil {
			return nil, err
		}
		return set, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ran, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// providerOf is a provider whose keys an identity provider serves.
func providerOf(id string, idp *authtest.Provider) federation.ProviderSpec {
	spec := provider(id)
	spec.Issuer, spec.JWKSURI = idp.Issuer(), idp.KeysURL()
	return spec
}

func exchangeOf(t *testing.T, s *federation.Store, id string, idp *authtest.Provider, email string) (federation.Exchanged, error) {
	t.Helper()
	jwt := idp.Sign(t, map[string]any{"aud": "api://my-app", "sub": email, "email": email})
	return s.Exchange(t.Context(), acme, federation.ExchangeSpec{Provider: id, JWT: jwt}, time.Now())
}

// R-PROV-5: a provider that hangs is its own trouble, and its set is fetched once however often it is needed.
func TestAProviderThatHangsHoldsUpNobodyElse(t *testing.T) {
	s := fetching(t, jwks.FetcherOptions{Loopback: true, Roots: authtest.ProviderRoots()})
	good, bad := authtest.StartProvider(t), authtest.StartProvider(t)
	bad.Break(t, authtest.FaultHang)
	put(t, s, acme, providerOf("good", good))
	put(t, s, acme, providerOf("bad", bad))
	hung := make(chan error, 8)
	for range cap(hung) {
		go func() {
			_, err := exchangeOf(t, s, "bad", bad, "x@example.com")
			hung <- err
		}()
	}
	for _, email := range []string{"a@example.com", "b@example.com"} {
		if got, err := exchangeOf(t, s, "good", good, email); err != nil || !got.Created {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if n := good.Fetches(); n != 1 {
		t.Errorf("%d fetches of the good one", n)
	}
	for range cap(hung) {
		if err := <-hung; !errors.Is(err, federation.ErrKeysUnavailable) {
			t.Error(err)
		}
	}
	if n := bad.Fetches(); n > 1 {
		t.Errorf("%d fetches of the bad one", n)
	}
}

// R-PROV-4: a tenant has nothing fetched from where it could not reach itself.
func TestATenantCannotHavePrivateAddressesAsked(t *testing.T) {
	s := fetching(t, jwks.FetcherOptions{Roots: authtest.ProviderRoots()})
	idp := authtest.StartProvider(t)
	for _, url := range []string{idp.KeysURL(), "https://169.254.169.254/latest", "https://[::1]/keys", "https://10.0.0.1/keys", "https://localhost/keys"} {
		spec := provider("p")
		spec.JWKSURI = url
		put(t, s, acme, spec)
		if _, err := exchangeOf(t, s, "p", idp, "a@example.com"); !errors.Is(err, federation.ErrInvalidToken) && !errors.Is(err, federation.ErrKeysUnavailable) {
			t.Errorf("%s: %v", url, err)
		}
		found, err := s.TestProvider(t.Context(), acme, "p", "", time.Now())
		if err != nil || found.KeysErr == nil || len(found.KeyIDs) != 0 {
			t.Errorf("%s: %+v, %v", url, found, err)
		}
	}
	if n := len(idp.Requests()); n != 0 {
		t.Errorf("%d requests reached a loopback address", n)
	}
}

// R-PROV-7: what stands at a URL is not told by a test of a provider, if it is no key set.
func TestATestTellsNothingOfWhatItRead(t *testing.T) {
	s := fetching(t, jwks.FetcherOptions{Loopback: true, Roots: authtest.ProviderRoots()})
	idp := authtest.StartProvider(t)
	put(t, s, acme, providerOf("p", idp))
	const secret = "internal-secret-4711"
	for name, fault := range map[string]authtest.Fault{
		"a page": func(_ *authtest.Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
			_, _ = w.Write([]byte("<p>" + secret))
		},
		"JSON": func(_ *authtest.Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
			_, _ = w.Write([]byte(`{"password":"` + secret + `"}`))
		},
		"keys": func(_ *authtest.Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
			_, _ = w.Write([]byte(`{"keys":[{"kty":"` + secret + `"}]}`))
		},
		"an error": func(_ *authtest.Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
			http.Error(w, secret, http.StatusTeapot)
		},
		"a redirect": func(_ *authtest.Provider, w http.ResponseWriter, r *http.Request, _ []byte) {
			http.Redirect(w, r, "https://"+secret+".example.com/", http.StatusFound)
		},
		"broken JSON": func(_ *authtest.Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
			_, _ = w.Write([]byte(`{"` + secret))
		},
	} {
		idp.Break(t, fault)
		found, err := s.TestProvider(t.Context(), acme, "p", idp.Sign(t, nil), time.Now())
		if err != nil || found.KeysErr == nil {
			t.Errorf("%s: %+v, %v", name, found, err)
			continue
		}
		text := found.KeysErr.Error()
		for _, step := range found.Steps {
			if step.Err != nil {
				text += step.Err.Error()
			}
		}
		if strings.Contains(text, secret) {
			t.Errorf("%s: %s", name, text)
		}
	}
}
