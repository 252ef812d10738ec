package jwks_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/jwks"
)

// site is a fetcher in a synctest bubble, and the providers that it reaches by name: each resolves to an address of the public
// Internet, and a connection to that address ends at the provider. Names, TLS and HTTP are real, time is not.
type site struct {
	*jwks.Fetcher
	Resolver authtest.Resolver
	Log      syncBuffer

	T         *testing.T                    // that of the bubble
	providers map[string]*authtest.Provider // address → who is there
}

// inBubble runs a test at a site whose fetcher runs. The options of the fetcher may be changed before it is made.
func inBubble(t *testing.T, test func(s *site), change ...func(*jwks.FetcherOptions)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &site{T: t, providers: map[string]*authtest.Provider{}}
		o := jwks.FetcherOptions{Resolve: s.Resolver.Resolve, Dial: s.dial, Log: slog.New(slog.NewTextHandler(&s.Log, nil))}
		o.Roots = authtest.ProviderRoots()
		for _, c := range change {
			c(&o)
		}
		s.Fetcher = jwks.NewFetcher(o)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		t.Cleanup(func() {
			cancel()
			running.Wait()
		})
		test(s)
	})
}

// provider starts one under the name host.
func (s *site) provider(host string) *authtest.Provider {
	s.T.Helper()
	p := authtest.StartProviderInMemory(s.T, host)
	address := netip.AddrFrom4([4]byte{9, 9, 9, byte(len(s.providers) + 1)})
	s.Resolver.SetAddresses(host, []netip.Addr{address})
	s.providers[address.String()] = p
	return p
}

func (s *site) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if p := s.providers[host]; p != nil {
		return p.Dial(ctx, network, address)
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: context.DeadlineExceeded}
}

// remote adds a source with the provider's key set.
func (s *site) remote(p *authtest.Provider, change ...func(*jwks.RemoteOptions)) *jwks.Remote {
	s.T.Helper()
	o := jwks.RemoteOptions{URL: p.KeysURL(), Issuer: p.Issuer()}
	for _, c := range change {
		c(&o)
	}
	r, err := s.Remote(o)
	if err != nil {
		s.T.Fatal(err)
	}
	return r
}

// pass lets time pass, and what is due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// syncBuffer is a buffer for several writers.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// publicAddress resolves every name to an address of the public Internet.
func publicAddress(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("9.9.9.9")}, nil
}

// keys asks for the set, which must be there.
func keys(t *testing.T, r *jwks.Remote, kid string) *jwks.Set {
	t.Helper()
	set, err := r.Keys(t.Context(), kid, time.Now())
	if err != nil || set == nil {
		t.Fatalf("Keys(%q) = %v, %v, want a set", kid, set, err)
	}
	return set
}

// refusal asks for the set, which must not be there, and returns why.
func refusal(t *testing.T, r *jwks.Remote) error {
	t.Helper()
	set, err := r.Keys(t.Context(), "", time.Now())
	if set != nil || !errors.Is(err, jwks.ErrUnavailable) {
		t.Fatalf("Keys = %v, %v, want ErrUnavailable", set, err)
	}
	return err
}

func unavailable(t *testing.T, r *jwks.Remote) {
	t.Helper()
	_ = refusal(t, r)
}

// since is how long it takes.
func since(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}

func onDemand(o *jwks.RemoteOptions) { o.OnDemand = true }

func patient(o *jwks.RemoteOptions) { o.Wait = 5 * time.Second }
