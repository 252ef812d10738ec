package extauthz_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	s := serve(t, newGate(t, options(t)), nil)
	client := healthpb.NewHealthClient(s)
	expect := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", authorization} {
			got, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || got.GetStatus() != want {
				t.Errorf("health of %q: %v, %v, want %v", service, got, err, want)
			}
		}
	}
	watch, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: authorization})
	if err != nil {
		t.Fatal(err)
	}
	seen := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if got, err := watch.Recv(); err != nil || got.GetStatus() != want {
			t.Errorf("watched health: %v, %v, want %v", got, err, want)
		}
	}
	expect(healthpb.HealthCheckResponse_NOT_SERVING)
	seen(healthpb.HealthCheckResponse_NOT_SERVING)
	s.Ready()
	expect(healthpb.HealthCheckResponse_SERVING)
	seen(healthpb.HealthCheckResponse_SERVING)
	s.Unready()
	expect(healthpb.HealthCheckResponse_NOT_SERVING)
	seen(healthpb.HealthCheckResponse_NOT_SERVING)
	s.Ready()
	seen(healthpb.HealthCheckResponse_SERVING)
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("health of another service: %v, want NotFound", err)
	}
	// A drain ends the watch; otherwise it would wait for ever.
	if err := s.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	for err = nil; err == nil; {
		_, err = watch.Recv()
	}
}

// stuckCache makes the reading of a record last until it is released.
type stuckCache struct{ reached, released chan struct{} }

func newStuckCache() stuckCache { return stuckCache{make(chan struct{}, 1), make(chan struct{})} }

func (c stuckCache) Get(uint64) (*keystore.Cached, bool) { return nil, false }

func (c stuckCache) Set(uint64, *keystore.Cached, int64) {
	select {
	case c.reached <- struct{}{}:
	default: // it holds one already
	}
	<-c.released
}

func TestDrainAnswersWhatIsInFlight(t *testing.T) {
	t.Parallel()
	cache := newStuckCache()
	g := newGateWith(t, options(t), cache)
	s := serve(t, g, nil)
	message := extauthz.Sample(t, extauthz.ShapeList, g.key(keystore.KeySpec{}))
	answered := make(chan string, 1)
	go func() { answered <- s.reason(t.Context(), message) }()
	<-cache.reached // the check waits for the store
	time.AfterFunc(50*time.Millisecond, func() { close(cache.released) })
	if err := s.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if got := <-answered; got != "allowed" {
		t.Errorf("the check in flight: %s, want allowed", got)
	}
}

func TestDrainHasAnEnd(t *testing.T) {
	t.Parallel()
	cache := newStuckCache()
	g := newGateWith(t, options(t), cache)
	t.Cleanup(func() { close(cache.released) })
	s := serve(t, g, nil)
	message := extauthz.Sample(t, extauthz.ShapeList, g.key(keystore.KeySpec{}))
	ended := make(chan error, 1)
	go func() {
		_, err := s.send(t.Context(), message)
		ended <- err
	}()
	<-cache.reached // the check waits for the store
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v, want its deadline", err)
	}
	if err := <-ended; err == nil {
		t.Error("the check that was cut off has an answer")
	}
}

func TestServeSaysWhatFailed(t *testing.T) {
	t.Parallel()
	l := bufconn.Listen(1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := extauthz.NewService(extauthz.ServiceOptions{Snapshot: extauthz.Snapshot{Authorizer: newGate(t, options(t)).Authorizer}, Log: slog.New(slog.DiscardHandler)})
	if err := s.Serve(l); err == nil || !strings.Contains(err.Error(), "serving checks on bufconn") {
		t.Errorf("Serve on a closed listener: %v", err)
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
}

// One that is stopped before it has begun to serve has done as it was told.
func TestDrainBeforeServe(t *testing.T) {
	t.Parallel()
	s := extauthz.NewService(extauthz.ServiceOptions{Snapshot: extauthz.Snapshot{Authorizer: newGate(t, options(t)).Authorizer}, Log: slog.New(slog.DiscardHandler)})
	if err := s.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	s.Close()
	if err := s.Serve(bufconn.Listen(1)); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// Envoy pings idle connections. A server that minds answers with GOAWAY, and a check in flight fails with it.
func TestKeepaliveCostsNoConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := bufconn.Listen(1 << 20)
		dials := 0
		s := serveOn(t, newGate(t, options(t)), nil, l, insecure.NewCredentials(), func(context.Context, string) (net.Conn, error) {
			dials++
			return l.Dial()
		}, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}))
		for range 3 {
			if got := s.reason(t.Context(), nil); got != "request_unreadable" {
				t.Errorf("a check after pings: %s", got)
			}
			time.Sleep(10 * time.Minute)
		}
		if dials != 1 {
			t.Errorf("%d connections, want 1", dials)
		}
	})
}
