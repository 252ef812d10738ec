package authtest_test

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
)

// gate is an authorization server that allows everything and remembers what it was asked.
type gate struct {
	authv3.UnimplementedAuthorizationServer

	mu    sync.Mutex // guards the fields below
	asked []*authv3.CheckRequest
	reply *authv3.OkHttpResponse
}

// startGate listens on a socket until the test ends.
func startGate(t *testing.T) (g *gate, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "authz.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	g = &gate{reply: &authv3.OkHttpResponse{}}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, g)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	return g, socket
}

func (g *gate) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r)
	return &authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: g.reply}}, nil
}

// answer sets what is replied from now on.
func (g *gate) answer(reply *authv3.OkHttpResponse) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reply = reply
}

// last is the question that was asked last.
func (g *gate) last(t *testing.T) *authv3.CheckRequest {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.asked) == 0 {
		t.Fatal("nothing was asked")
	}
	return slices.Clone(g.asked)[len(g.asked)-1]
}
