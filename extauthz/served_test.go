package extauthz_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/postern-auth/postern/extauthz"
)

// What Envoy calls.
const (
	authorization = "envoy.service.auth.v3.Authorization"
	checkMethod   = "/" + authorization + "/Check"
)

// served is a Service that answers, and a client of it.
type served struct {
	*extauthz.Service
	*grpc.ClientConn
	log *lockedBuffer
}

// serve serves g as change says, in memory.
func serve(tb testing.TB, g *gate, change func(*extauthz.ServiceOptions)) *served {
	tb.Helper()
	l := bufconn.Listen(1 << 20)
	return serveOn(tb, g, change, l, insecure.NewCredentials(), func(context.Context, string) (net.Conn, error) { return l.Dial() })
}

func serveOn(tb testing.TB, g *gate, change func(*extauthz.ServiceOptions), l net.Listener, c credentials.TransportCredentials,
	dial func(context.Context, string) (net.Conn, error), client ...grpc.DialOption,
) *served {
	tb.Helper()
	log := &lockedBuffer{}
	o := extauthz.ServiceOptions{Snapshot: extauthz.Snapshot{Authorizer: g.Authorizer}, Log: slog.New(slog.NewJSONHandler(log, nil))}
	if change != nil {
		change(&o)
	}
	s := extauthz.NewService(o)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	client = append(client, grpc.WithTransportCredentials(c), grpc.WithContextDialer(dial))
	conn, err := grpc.NewClient("passthrough:postern", client...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(conn.Close(), s.Drain(ctx), <-ended); err != nil {
			tb.Errorf("ending the service: %v", err)
		}
	})
	return &served{s, conn, log}
}

// check sends one CheckRequest, and reads the reply as Envoy does.
func (s *served) check(ctx context.Context, tb testing.TB, message []byte) *authv3.CheckResponse {
	tb.Helper()
	reply, err := s.send(ctx, message)
	if err != nil {
		tb.Fatalf("Check: %v", err)
	}
	return reply
}

// reason sends one CheckRequest and returns the reason in the reply, or what went wrong: for goroutines.
func (s *served) reason(ctx context.Context, message []byte) string {
	reply, err := s.send(ctx, message)
	if err != nil {
		return err.Error()
	}
	return reply.GetDynamicMetadata().GetFields()["reason"].GetStringValue()
}

func (s *served) send(ctx context.Context, message []byte) (*authv3.CheckResponse, error) {
	var reply []byte
	if err := s.Invoke(ctx, checkMethod, message, &reply, grpc.ForceCodecV2(bytesCodec{})); err != nil {
		return nil, err
	}
	var r authv3.CheckResponse
	return &r, proto.Unmarshal(reply, &r)
}

// bytesCodec sends and receives bytes as they are.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (bytesCodec) Name() string { return "proto" }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// reasonOf is the reason in a reply, "allowed" and the like where it allows. It must be a reply of either kind.
func reasonOf(tb testing.TB, r *authv3.CheckResponse) string {
	tb.Helper()
	reason := r.GetDynamicMetadata().GetFields()["reason"].GetStringValue()
	if r.GetStatus() == nil || (r.GetStatus().GetCode() == 0) != (r.GetOkResponse() != nil) || reason == "" {
		tb.Fatalf("reply %v is neither an allow nor a denial", r)
	}
	return reason
}

// unavailable expects a denial with 503 for a reason (R-RESP-6).
func unavailable(tb testing.TB, r *authv3.CheckResponse, reason extauthz.Reason) {
	tb.Helper()
	denial := r.GetDeniedResponse()
	if got := reasonOf(tb, r); got != reason.String() || denial.GetStatus().GetCode() != 503 || r.GetStatus().GetCode() != 7 {
		tb.Errorf("reply %v, want a denial with 503 for %v", r, reason)
	}
	for _, h := range denial.GetHeaders() {
		if h.GetHeader().GetKey() == "retry-after" && h.GetHeader().GetValue() == "1" {
			return
		}
	}
	tb.Errorf("reply %v has no retry-after", r)
}
