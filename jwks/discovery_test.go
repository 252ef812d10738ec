package jwks_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/jwks"
)

// discovered adds a source whose key set stands where the provider says.
func (s *site) discovered(p *authtest.Provider, hosts ...string) *jwks.Remote {
	s.T.Helper()
	r, err := s.Remote(jwks.RemoteOptions{Issuer: p.Issuer(), Hosts: hosts, OnDemand: true, Wait: 10 * time.Second})
	if err != nil {
		s.T.Fatal(err)
	}
	return r
}

func TestTheIssuerSaysWhereItsKeysStand(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		r := s.discovered(p)
		if state := r.Status(time.Now()); state.URL != "" {
			t.Errorf("before the first fetch the URL is %q, want none", state.URL)
		}
		keys(t, r, p.Key().ID)
		if state := r.Status(time.Now()); state.URL != p.KeysURL() {
			t.Errorf("the URL is %q, want %q", state.URL, p.KeysURL())
		}
		for _, request := range p.Requests() {
			if request.Header.Get("User-Agent") != "postern" || request.Header.Get("Authorization") != "" {
				t.Errorf("a request for %s with the headers %v, want those of all fetches", request.Path, request.Header)
			}
		}
	})
}

// R-JWKS-4
func TestADiscoveryDocumentOfAnotherIssuerIsRefused(t *testing.T) {
	for _, issuer := range []any{"https://idp.example/", "https://IDP.example", "https://other.example", "http://idp.example", "https://idp.example:443", "", nil, 7} {
		inBubble(t, func(s *site) {
			p := s.provider("idp.example")
			p.SetDiscovery("issuer", issuer)
			if err := refusal(s.T, s.discovered(p)); !strings.Contains(err.Error(), `discovering issuer "https://idp.example"`) {
				s.T.Errorf("issuer %v: %v, want the discovery refused", issuer, err)
			}
			if n := p.Fetches(); n != 0 {
				s.T.Errorf("issuer %v: %d fetches of its keys, want none", issuer, n)
			}
		})
	}
}

// R-JWKS-4
func TestDiscoveredKeysStandAtTheIssuerOrAtAListedHost(t *testing.T) {
	tests := []struct {
		url    string
		hosts  []string
		reason string // empty: accepted
	}{
		{"https://idp.example" + authtest.KeysPath, nil, ""},
		{"https://IDP.example" + authtest.KeysPath, nil, ""},
		{"https://keys.example.com" + authtest.KeysPath, []string{"keys.example.com"}, ""},
		{"https://keys.example.com" + authtest.KeysPath, nil, "neither the issuer's nor listed"},
		{"https://keys.example.com" + authtest.KeysPath, []string{"example.com"}, "neither the issuer's nor listed"},
		{"https://idp.example.com" + authtest.KeysPath, nil, "neither the issuer's nor listed"},
		{"http://idp.example" + authtest.KeysPath, nil, "not https"},
		{"https://10.0.0.1" + authtest.KeysPath, []string{"10.0.0.1"}, "10.0.0.1 is private"},
		{"https://user:secret@idp.example" + authtest.KeysPath, nil, "credentials in a URL"},
		{"/keys", nil, "not a URL with a host"},
		{"", nil, "no usable jwks_uri"},
		{"https://idp.example/" + strings.Repeat("x", 2048), nil, "no usable jwks_uri"},
	}
	for _, test := range tests {
		inBubble(t, func(s *site) {
			p := s.provider("idp.example")
			s.Resolver.SetAddresses("keys.example.com", []netip.Addr{netip.MustParseAddr("9.9.9.1")})
			p.SetDiscovery("jwks_uri", test.url)
			r := s.discovered(p, test.hosts...)
			_, err := r.Keys(s.T.Context(), "", time.Now())
			switch {
			case test.reason == "" && err != nil:
				s.T.Errorf("keys at %.60q: %v, want them", test.url, err)
			case test.reason != "" && (err == nil || !strings.Contains(err.Error(), test.reason) || strings.Contains(err.Error(), "secret@")):
				s.T.Errorf("keys at %.60q: %v, want %q", test.url, err, test.reason)
			}
		})
	}
	inBubble(t, func(s *site) { // what is allowed to be private is allowed at all
		p := s.provider("idp.example")
		s.Resolver.SetAddresses("keys.example.com", []netip.Addr{netip.MustParseAddr("9.9.9.1")})
		p.SetDiscovery("jwks_uri", "https://keys.example.com"+authtest.KeysPath)
		s.AllowHosts([]string{"keys.example.com"})
		keys(s.T, s.discovered(p), p.Key().ID)
	})
}

// R-JWKS-3, R-JWKS-4: the limits of key sets are those of discovery.
func TestADiscoveryDocumentIsFetchedLikeAKeySet(t *testing.T) {
	for reason, fault := range map[string]authtest.Fault{
		"more than 1 MiB": authtest.FaultEndless, "redirects are not followed": authtest.FaultRedirect, "unexpected content type": authtest.FaultHTML,
		"unexpected status 500": authtest.FaultServerError, "no answer within 5s": authtest.FaultHang,
	} {
		inBubble(t, func(s *site) {
			p := s.provider("idp.example")
			p.BreakAt(s.T, authtest.DiscoveryPath, fault)
			err := refusal(s.T, s.discovered(p))
			if !strings.Contains(err.Error(), reason) || len(err.Error()) > 500 {
				s.T.Errorf("the error is %q, want %q, briefly", err, reason)
			}
		})
	}
}

// R-JWKS-2: both documents together have 5 seconds.
func TestDiscoveryAndKeysShareTheirTime(t *testing.T) {
	inBubble(t, func(s *site) {
		p := s.provider("idp.example")
		p.BreakAt(s.T, authtest.DiscoveryPath, authtest.FaultTrickle) // takes longer than that alone
		took := since(func() { unavailable(s.T, s.discovered(p)) })
		if took != 5*time.Second {
			s.T.Errorf("it took %s, want 5 s", took)
		}
	})
}
