package jwks_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/jwks"
)

func TestAnOversizeOrUnreadableSetIsRefused(t *testing.T) {
	tests := map[string]struct {
		fault authtest.Fault
		err   string
	}{
		"a body without end":      {authtest.FaultEndless, "more than 1 MiB"},
		"a gzip bomb":             {authtest.FaultGzipBomb, "more than 1 MiB"},
		"101 keys":                {authtest.FaultManyKeys, "more than 100 keys"},
		"deep JSON":               {authtest.FaultDeep, "nested too deeply"},
		"a repeated name":         {authtest.FaultDuplicate, "repeated name"},
		"half of its bytes":       {authtest.FaultCut, "unexpected EOF"},
		"broken JSON":             {authtest.FaultBrokenJSON, "not JSON"},
		"a page for people":       {authtest.FaultHTML, `unexpected content type "text/html; charset=utf-8"`},
		"another content type":    {authtest.FaultContentType, `unexpected content type "text/plain"`},
		"another status":          {authtest.FaultServerError, "unexpected status 500"},
		"a redirect":              {authtest.FaultRedirect, "redirects are not followed: status 302"}, // R-JWKS-4
		"no keys":                 {authtest.FaultEmptySet, "without a usable key"},                   // R-JWKS-2
		"no usable keys":          {authtest.FaultUnusable, "without a usable key"},                   // R-JWKS-5, unknown kty
		"private keys":            {authtest.FaultPrivateKeys, "publishes secret keys"},               // R-JWKS-6
		"a shared secret":         {authtest.FaultSymmetric, "publishes secret keys"},                 // R-JWKS-6
		"a head larger than 32 K": {hugeHead, "server response headers exceeded 32768 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(s *site) {
				t := s.T
				p := s.provider("idp.example")
				p.Break(t, test.fault)
				r := s.remote(p, onDemand)
				if err := refusal(t, r); !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %q, want %q in it", err, test.err)
				}
				p.Break(t, nil)
				pass(10 * time.Second)
				good := keys(t, r, "")
				p.Break(t, test.fault)
				pass(time.Hour)
				if r.Current(time.Now()) != good {
					t.Error("a failed refresh replaced the good set")
				}
				if !strings.Contains(s.Log.String(), strings.ReplaceAll(test.err, `"`, `\"`)) {
					t.Errorf("the log lacks %q:\n%.2000s", test.err, &s.Log)
				}
			})
		})
	}
}

func hugeHead(_ *authtest.Provider, w http.ResponseWriter, _ *http.Request, body []byte) {
	w.Header().Set("X-Huge", strings.Repeat("x", 40<<10))
	_, _ = w.Write(body)
}

func TestTheContentTypeMayBeLeftToTheProvider(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		p.Break(t, authtest.FaultContentType)
		keys(t, s.remote(p), p.Key().ID)
	}, func(o *jwks.FetcherOptions) { o.AnyContentType = true })
}

func TestAFetchCarriesNoCredential(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		p.SetHeader("Set-Cookie", "session=1; Path=/")
		keys(t, s.remote(p), p.Key().ID)
		pass(time.Hour)
		requests := p.Requests()
		if len(requests) < 2 {
			t.Fatalf("%d fetches, want several", len(requests))
		}
		want := http.Header{
			"Accept": {"application/jwk-set+json, application/json"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"postern"}, "Connection": {"close"},
		}
		for _, r := range requests {
			if diff := cmp.Diff(want, r.Header); diff != "" || r.Method != http.MethodGet {
				t.Errorf("a %s with other headers (-want +got):\n%s", r.Method, diff)
			}
		}
	})
}

func TestASetIsCachedAsLongAsTheProviderSays(t *testing.T) {
	tests := []struct {
		header, age string
		want        time.Duration
	}{
		{"", "", 15 * time.Minute},
		{"max-age=3600", "", time.Hour},
		{"public, MAX-AGE=3600, must-revalidate", "", time.Hour},
		{`max-age="3600"`, "", time.Hour},
		{"max-age=3600", "600", 50 * time.Minute},
		{"max-age=3600", "-600", time.Hour},
		{"max-age=60", "", 5 * time.Minute},
		{"max-age=0", "", 5 * time.Minute},
		{"max-age=3600, no-store", "", 5 * time.Minute},
		{"no-cache", "", 5 * time.Minute},
		{"max-age=31536000", "", 24 * time.Hour},
		{"max-age=99999999999999999999", "", 15 * time.Minute},
		{"max-age=-1", "", 15 * time.Minute},
		{"max-age=soon", "", 15 * time.Minute},
		{"s-maxage=3600", "", 15 * time.Minute},
		{"max-age=3600, max-age=7200", "", time.Hour},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%q and age %q", test.header, test.age), func(t *testing.T) {
			inBubble(t, func(s *site) {
				t := s.T
				p := s.provider("idp.example")
				p.SetHeader("Cache-Control", test.header)
				p.SetHeader("Age", test.age)
				r := s.remote(p)
				pass(0)
				state := r.Status(time.Now())
				got := state.Next.Sub(state.Success)
				least, most := test.want-test.want/10, test.want
				if test.want == 5*time.Minute {
					least, most = 5*time.Minute, 5*time.Minute+30*time.Second
				}
				if got < least || got > most {
					t.Errorf("the next refresh is after %s, want %s to %s", got, least, most)
				}
			})
		})
	}
}

func TestAProviderThatPublishesSecretsRaisesAnAlarm(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		p.Break(t, authtest.FaultPrivateKeys)
		unavailable(t, s.remote(p))
		if log := s.Log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "issuer=https://idp.example") {
			t.Errorf("the log has no error that names the issuer:\n%s", log)
		}
	})
}

func TestRefusedKeysAreReportedOnce(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		p.Publish([]byte(`{"keys":[{"kty":"RSA","use":"enc","kid":"enc","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","kid":"good","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
		r := s.remote(p)
		pass(3 * time.Hour)
		state := r.Status(time.Now())
		if diff := cmp.Diff([]string{"good"}, state.KeyIDs); diff != "" || len(state.Refused) != 1 || state.Refused[0].KeyID != "enc" {
			t.Errorf("Status = %+v, want the key good, and enc refused", state)
		}
		if n := strings.Count(s.Log.String(), "not admitted"); n != 1 {
			t.Errorf("the log says %d times that a key was refused, want once:\n%s", n, &s.Log)
		}
	})
}

// R-JWKS-4: TLS is checked against the CAs and the name.
func TestAProviderWithoutAGoodCertificateIsRefused(t *testing.T) {
	inBubble(t, func(s *site) {
		if err := refusal(s.T, s.remote(s.provider("idp.wrong.test"))); !strings.Contains(err.Error(), "certificate is valid for") {
			s.T.Errorf("a certificate for another name: %v, want it refused", err)
		}
	})
	inBubble(t, func(s *site) {
		if err := refusal(s.T, s.remote(s.provider("idp.example"))); !strings.Contains(err.Error(), "certificate") {
			s.T.Errorf("a certificate of an unknown CA: %v, want it refused", err)
		}
	}, func(o *jwks.FetcherOptions) { o.Roots = x509.NewCertPool() })
}

// R-JWKS-4: what the environment says of proxies is for others.
func TestNoProxyStandsBetween(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.example:3128")
	t.Setenv("https_proxy", "http://proxy.example:3128")
	inBubble(t, func(s *site) {
		p := s.provider("idp.example")
		keys(s.T, s.remote(p), p.Key().ID)
		if asked := s.Resolver.Asked(); !slices.Equal(asked, []string{"idp.example"}) {
			s.T.Errorf("the names asked for are %q, want only the provider's", asked)
		}
	})
}
