package jwks_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/jwks"
)

// R-JWKS-4: each range, by its first and its last address.
func TestNoKeysComeFromAddressesThatAreNotPublic(t *testing.T) {
	addresses := []string{
		"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.100.100.200", "100.127.255.255",
		"127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.255.255",
		"172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255",
		"198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:0:7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
		"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:1ff::1", "2001:db8::1",
		"2002:7f00:1::", "2002:a00:1::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fdff:ffff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1",
		"1::1", "4000::1", "5f00::1", "e000::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	}
	for _, address := range addresses {
		t.Run(address, func(t *testing.T) {
			inBubble(t, func(s *site) {
				t := s.T
				p := s.provider("idp.example")
				s.providers[netip.MustParseAddr(address).Unmap().String()] = p
				s.Resolver.SetAddresses("idp.example", []netip.Addr{netip.MustParseAddr(address)})
				if err := refusal(t, s.remote(p, onDemand)); !errors.Is(err, jwks.ErrAddress) {
					t.Errorf("a name for it: %v, want ErrAddress", err)
				}
				host := address
				if strings.Contains(host, ":") {
					host = "[" + host + "]"
				}
				if _, err := s.Remote(jwks.RemoteOptions{URL: "https://" + host + "/keys"}); !errors.Is(err, jwks.ErrAddress) {
					t.Errorf("the address itself: %v, want ErrAddress", err)
				}
				if n := len(p.Requests()); n != 0 {
					t.Errorf("%d requests arrived, want none", n)
				}
			})
		})
	}
}

// R-JWKS-4
func TestKeysComeFromPublicAddresses(t *testing.T) {
	for _, address := range []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "223.255.255.255",
		"::ffff:1.1.1.1", "2001:4860:4860::8888", "2606:4700::1111", "2003::1",
	} {
		inBubble(t, func(s *site) {
			t := s.T
			p := s.provider("idp.example")
			s.providers[netip.MustParseAddr(address).Unmap().String()] = p
			s.Resolver.SetAddresses("idp.example", []netip.Addr{netip.MustParseAddr(address)})
			keys(t, s.remote(p), p.Key().ID)
		})
	}
}

// R-JWKS-4: a name that has one address inside is refused, whichever would be dialled.
func TestANameThatIsHalfInsideIsRefused(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		s.Resolver.SetAddresses("idp.example", []netip.Addr{netip.MustParseAddr("9.9.9.1"), netip.MustParseAddr("10.0.0.1")})
		if err := refusal(t, s.remote(p)); !errors.Is(err, jwks.ErrAddress) {
			t.Errorf("the error is %v, want ErrAddress", err)
		}
	})
}

// R-JWKS-4: the address that is judged is the one that is dialled; the name is asked once.
func TestANameThatResolvesDifferentlyAMomentLaterGainsNothing(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		good, inside := s.provider("idp.example"), s.provider("inside.example")
		s.providers["10.0.0.1"] = inside
		public, private := []netip.Addr{netip.MustParseAddr("9.9.9.1")}, []netip.Addr{netip.MustParseAddr("10.0.0.1")}
		s.Resolver.SetAddresses("idp.example", public, private)
		r := s.remote(good, onDemand)
		keys(t, r, good.Key().ID)
		if n := len(s.Resolver.Asked()); n != 1 {
			t.Errorf("the name was asked for %d times in a fetch, want once", n)
		}
		pass(15 * time.Minute)
		if state := r.Status(time.Now()); !errors.Is(state.Err, jwks.ErrAddress) {
			t.Errorf("the refresh that resolved to a private address: %v, want ErrAddress", state.Err)
		}
		if n := len(inside.Requests()); n != 0 {
			t.Errorf("%d requests went inside, want none", n)
		}
	})
}

func TestAnotherAddressOfANameIsTriedWhereOneDoesNotAnswer(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		s.Resolver.SetAddresses("idp.example", []netip.Addr{netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("9.9.9.1")})
		if took := since(func() { keys(t, s.remote(p, patient), p.Key().ID) }); took != 2*time.Second {
			t.Errorf("it took %s, want the 2 s that one address is tried", took)
		}
	}, func(o *jwks.FetcherOptions) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "8.8.8.8:443" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return dial(ctx, network, address)
		}
	})
}

// R-JWKS-4
func TestAURLThatIsNotAProvidersIsRefusedBeforeAnythingIsSent(t *testing.T) {
	f := jwks.NewFetcher(jwks.FetcherOptions{})
	for _, url := range []string{
		"", "keys", "/keys", "//idp.example/keys", "http://idp.example/keys", "HTTP://idp.example/keys", "http://127.0.0.1/keys", "http://localhost/keys",
		"ftp://idp.example/keys", "file:///etc/passwd", "https:///keys", "https://:443/keys", "https:idp.example", "https://user:secret@idp.example/keys",
		"https://idp.example/keys#1", "https://127.0.0.1/keys", "https://[::1]/keys", "https://[::ffff:9.9.9.9]/keys", "https://[fe80::1%25eth0]/keys",
		"https://idp.example\x00/keys", "https://idp.example:port/keys", "https://idp.example/" + strings.Repeat("x", 2048),
	} {
		if err := jwks.CheckURL(url, []string{"10.0.0.1"}); !errors.Is(err, jwks.ErrAddress) {
			t.Errorf("CheckURL(%.80q) = %v, want ErrAddress", url, err)
		}
		_, err := f.Remote(jwks.RemoteOptions{URL: url})
		if url == "" {
			_, err = f.Remote(jwks.RemoteOptions{})
		}
		if !errors.Is(err, jwks.ErrAddress) {
			t.Errorf("Remote(%.80q) = %v, want ErrAddress", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("Remote(%.80q) = %v, want the credential not quoted", url, err)
		}
	}
}

// R-JWKS-4
func TestAURLThatIsAllowedIsNotRefused(t *testing.T) {
	allowed := []string{"10.0.0.1", "idp.internal:8443"}
	for _, url := range []string{"https://idp.example/keys", "https://10.0.0.1/keys", "https://10.0.0.1:8443/keys", "https://idp.internal/keys"} {
		if err := jwks.CheckURL(url, allowed); err != nil {
			t.Errorf("CheckURL(%q) = %v", url, err)
		}
	}
}

// R-JWKS-4: what an operator allows, and what that does not reach.
func TestAnAllowedHostMayBePrivate(t *testing.T) {
	tests := []struct {
		allow, host, address string
		want                 bool
	}{
		{"idp.internal.example", "idp.internal.example", "10.1.2.3", true},
		{"IDP.internal.example.", "idp.internal.example", "10.1.2.3", true},
		{"idp.internal.example:443", "idp.internal.example", "fd12::1", true},
		{"idp.internal.example", "idp.internal.example", "127.0.0.1", true},
		{"10.1.2.3", "idp.internal.example", "10.1.2.3", true},
		{"10.1.2.3:443", "idp.internal.example", "10.1.2.3", true},
		{"[fd12::1]:443", "idp.internal.example", "fd12::1", true},
		{"[fd12::1]", "idp.internal.example", "fd12::1", true},
		{"169.254.169.254", "idp.internal.example", "169.254.169.254", true},
		{"10.1.2.3:8443", "idp.internal.example", "10.1.2.3", false},
		{"10.1.2.4", "idp.internal.example", "10.1.2.3", false},
		{"idp.internal.example:8443", "idp.internal.example", "10.1.2.3", false},
		{"internal.example", "idp.internal.example", "10.1.2.3", false},
		{"other.internal.example", "idp.internal.example", "10.1.2.3", false},
		{"idp.internal.example", "idp.internal.example", "169.254.169.254", false}, // a name that was taken over
		{"idp.internal.example", "idp.internal.example", "fd00:ec2::254", false},
		{"idp.internal.example", "idp.internal.example", "fd20:ce::254", false},
		{"idp.internal.example", "idp.internal.example", "100.100.100.200", false},
		{"idp.internal.example", "idp.internal.example", "100.100.100.201", true},
		{"idp.internal.example", "idp.internal.example", "fe80::1", false},
		{"idp.internal.example", "idp.internal.example", "0.0.0.0", false},
		{"idp.internal.example", "idp.internal.example", "64:ff9b::a00:1", false},
		{"", "idp.internal.example", "10.1.2.3", false},
	}
	for _, test := range tests {
		t.Run(test.allow+" for "+test.host+" at "+test.address, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := authtest.StartProviderInMemory(t, "idp.example.com")
				p.Host = test.host
				resolve := func(context.Context, string) ([]netip.Addr, error) {
					return []netip.Addr{netip.MustParseAddr(test.address)}, nil
				}
				dialled := ""
				dial := func(_ context.Context, _, address string) (net.Conn, error) {
					dialled = address
					return nil, errors.New("nobody is there")
				}
				f := jwks.NewFetcher(jwks.FetcherOptions{Resolve: resolve, Dial: dial})
				f.AllowHosts([]string{test.allow})
				r, err := f.Remote(jwks.RemoteOptions{URL: p.KeysURL(), OnDemand: true})
				if err != nil {
					t.Fatal(err)
				}
				err = refusal(t, r)
				if refused := errors.Is(err, jwks.ErrAddress); refused == test.want || (dialled != "") != test.want {
					t.Errorf("it was dialled at %q: %v; want allowed = %v", dialled, err, test.want)
				}
			})
		})
	}
}

// R-JWKS-4: http only to loopback, and only by the option.
func TestHTTPIsForTestsOnLoopback(t *testing.T) {
	f := jwks.NewFetcher(jwks.FetcherOptions{Loopback: true})
	for url, want := range map[string]bool{
		"http://127.0.0.1:8080/keys": true, "http://localhost/keys": true, "http://[::1]:80/keys": true, "https://127.0.0.1/keys": true, "https://idp.example/keys": true,
		"http://idp.example/keys": false, "http://10.0.0.1/keys": false, "http://127.0.0.1.idp.example/keys": false, "https://10.0.0.1/keys": false,
	} {
		if _, err := f.Remote(jwks.RemoteOptions{URL: url, OnDemand: true}); (err == nil) != want {
			t.Errorf("Remote(%q) = %v, want allowed = %v", url, err, want)
		}
	}
	p := authtest.StartProvider(t)
	f = jwks.NewFetcher(jwks.FetcherOptions{Loopback: true, Roots: authtest.ProviderRoots()})
	r, err := f.Remote(jwks.RemoteOptions{URL: p.KeysURL(), OnDemand: true, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	keys(t, r, p.Key().ID)
}
