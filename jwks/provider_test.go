package jwks_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/postern-auth/postern/jwks"
)

// recorded is a key set in the style of a product, and a token that it proves at the time now. The keys were made for this; what
// the set, its headers and the claims look like is the product's.
type recorded struct {
	headers  http.Header
	set      []byte
	token    string
	expected map[string]string // issuer, audience, subject, refused: ids of keys that are not admitted
}

func readRecorded(t *testing.T, path string) recorded {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := recorded{headers: http.Header{}, expected: map[string]string{}}
	for _, f := range archive.Files {
		text := strings.TrimSpace(string(f.Data))
		switch f.Name {
		case "headers":
			for line := range strings.Lines(text) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				r.headers.Set(name, value)
			}
		case "jwks.json":
			r.set = f.Data
		case "expected":
			for line := range strings.Lines(text) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				r.expected[name] = value
			}
		case "token":
			r.token = text
		}
	}
	return r
}

// R-JWKS-6, and item 25 of the profile mlm.
func TestTokensOfKnownProductsAreProven(t *testing.T) {
	paths, err := filepath.Glob("testdata/providers/*.txtar")
	if err != nil || len(paths) != 8 {
		t.Fatalf("testdata holds %q, %v, want 8 products", paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			product := readRecorded(t, path)
			inBubble(t, func(s *site) {
				t := s.T
				time.Sleep(time.Until(now)) // the tokens are of that day
				p := s.provider("idp.example")
				p.Publish(product.set)
				for name := range product.headers {
					p.SetHeader(name, product.headers.Get(name))
				}
				source := s.remote(p, onDemand)
				v := jwks.Verifier{Source: source, Rules: jwks.Rules{Issuer: product.expected["issuer"], Audiences: []string{product.expected["audience"]}}}
				token, err := jwks.Parse(product.token)
				if err != nil {
					t.Fatal(err)
				}
				claims, _, err := v.Verify(t.Context(), &token, time.Now())
				if err != nil || claims.Subject != product.expected["subject"] {
					t.Fatalf("Verify = %q, %v, want the subject %q", claims.Subject, err, product.expected["subject"])
				}
				var refused []string
				for _, r := range source.Status(time.Now()).Refused {
					refused = append(refused, r.KeyID)
				}
				if diff := cmp.Diff(product.expected["refused"], strings.Join(refused, " ")); diff != "" {
					t.Errorf("refused keys (-want +got):\n%s", diff)
				}

				// The same token is nothing to another issuer's set, or when its key is withdrawn.
				p.Publish(nil)
				pass(24 * time.Hour)
				if _, _, err := v.Verify(t.Context(), &token, now); !errors.Is(err, jwks.ErrUnknownKey) {
					t.Errorf("Verify with another set = %v, want ErrUnknownKey", err)
				}
			})
		})
	}
}

// Firebase has a map of certificates beside its key set, which is easily taken for it.
func TestAMapOfCertificatesIsNoKeySet(t *testing.T) {
	inBubble(t, func(s *site) {
		p := s.provider("idp.example")
		p.Publish([]byte(`{"8e2a":"-----BEGIN CERTIFICATE-----\nMIIDHDCCAgSgAwIBAgI=\n-----END CERTIFICATE-----\n"}`))
		if err := refusal(s.T, s.remote(p)); !errors.Is(err, jwks.ErrMalformedSet) || !strings.Contains(err.Error(), "no list of keys") {
			s.T.Errorf("the error is %v, want it to say that there are no keys", err)
		}
	})
}
