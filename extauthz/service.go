package extauthz

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// ServiceOptions are what [NewService] needs. Authorizer and Log must be set.
type ServiceOptions struct {
	Snapshot // what it begins with

	// MaxInFlight is how many checks may be worked on at once; one more is denied as overloaded. 0: 4096.
	MaxInFlight int

	Log *slog.Logger
}

// What the listener takes. A check has about a kilobyte; 60 KiB of headers is Envoy's own limit for what it repeats there.
const (
	maxMessage        = 256 << 10
	maxMetadata       = 64 << 10
	maxStreams        = 1024            // of a connection: as many as Envoy opens before it has seen our settings
	streamWorkers     = 32              // goroutines with a stack that has grown already
	staticWindow      = 1 << 20         // estimating the window costs frames
	minPing           = 5 * time.Second // grpc-go's own answers Envoy's keepalive with GOAWAY
	connectionTimeout = 10 * time.Second
	defaultInFlight   = 4096
)

const (
	authorizationService = "envoy.service.auth.v3.Authorization"
	secretMetadata       = "x-postern-secret"
)

// Service answers Envoy's checks over gRPC, and gRPC's health checks beside them.
//
// Each Check gets a CheckResponse: what goes wrong is a denial with 503. An error of the call would let the request pass
// wherever Envoy is told to fail open.
type Service struct {
	now         atomic.Pointer[generation]
	maxInFlight int64
	inFlight    atomic.Int64
	log         *decisionLog
	rooms       sync.Pool // of *[headerRoom]Header
	replies     bufferPool

	server   *grpc.Server
	health   *health.Server
	draining chan struct{}
	drain    func() // closes draining, once
}

// NewService returns a Service that is not ready yet. It must be drained or closed in the end, even if it never served.
func NewService(o ServiceOptions) *Service {
	s := &Service{maxInFlight: int64(o.MaxInFlight), log: newDecisionLog(o.Log), health: health.NewServer()}
	s.now.Store(newGeneration(o.Snapshot))
	if s.maxInFlight == 0 {
		s.maxInFlight = defaultInFlight
	}
	s.rooms.New = func() any { return new([headerRoom]Header) }

	s.draining = make(chan struct{})
	s.drain = sync.OnceFunc(func() { close(s.draining) })
	s.server = grpc.NewServer(s.serverOptions()...)
	s.server.RegisterService(&grpc.ServiceDesc{
		ServiceName: authorizationService,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Check",
			Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				return s.check(ctx, decode)
			},
		}},
	}, nil)
	s.health.SetServingStatus(authorizationService, healthpb.HealthCheckResponse_NOT_SERVING)
	s.Unready()
	healthpb.RegisterHealthServer(s.server, s.health)
	return s
}

func (s *Service) serverOptions() []grpc.ServerOption {
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)}),
		grpc.StreamInterceptor(s.stream),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.StaticStreamWindowSize(staticWindow),
		grpc.StaticConnWindowSize(staticWindow),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxHeaderListSize(maxMetadata),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(connectionTimeout),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
	}
	if s.now.Load().tls != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.now.Load().tls, nil },
			MinVersion:         tls.VersionTLS12, // of every Snapshot's too
		})))
	}
	return options
}

// Swap makes n count from the next check and the next connection on; those begun go on with its predecessor.
//
// A connection stays what its handshake made it, whatever certificates and authorities n has. Whether there is TLS at all
// cannot change: then Swap panics.
func (s *Service) Swap(n Snapshot) {
	if (n.TLS == nil) != (s.now.Load().tls == nil) {
		panic("extauthz: Swap between TLS and plaintext")
	}
	s.now.Store(newGeneration(n))
}

// Ready makes health checks answer SERVING, for "" and for Envoy's Authorization service. Checks are answered either way.
func (s *Service) Ready() { s.health.Resume() }

// Unready makes health checks answer NOT_SERVING: callers should go elsewhere.
func (s *Service) Unready() { s.health.Shutdown() }

// Serve answers on l until Drain is called, which makes it return nil. It closes l.
func (s *Service) Serve(l net.Listener) error {
	if err := s.server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) { // before it began
		return fmt.Errorf("serving checks on %s: %w", l.Addr(), err)
	}
	return nil
}

// Drain stops: no further connection, and an end to every stream of health; checks in flight are answered, until ctx ends,
// whose error is then returned. The Service cannot be used again.
func (s *Service) Drain(ctx context.Context) error {
	s.Unready()
	s.drain()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.server.GracefulStop()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.server.Stop()
		<-done
		return ctx.Err()
	}
}

// Close stops at once, unless Drain has already.
func (s *Service) Close() {
	s.drain()
	s.server.Stop()
}

// check is where a request enters, and where the clock is read for it.
func (s *Service) check(ctx context.Context, decode func(any) error) (mem.Buffer, error) {
	now := time.Now()
	var message mem.Buffer
	if err := decode(&message); err != nil {
		return nil, err // the call broke; there is nobody to answer
	}
	defer message.Free()
	return s.answer(ctx, message.ReadOnlyData(), now), nil
}

// answer returns the CheckResponse to message, whatever happens.
func (s *Service) answer(ctx context.Context, message []byte, now time.Time) (response mem.Buffer) {
	g := s.now.Load()
	room := s.rooms.Get().(*[headerRoom]Header)
	defer func() {
		clear(room[:])
		s.rooms.Put(room)
		if v := recover(); v != nil {
			s.log.panicked(v, now)
			response = s.reply(g, &Decision{reason: ReasonPanic}, &Request{}, now)
		}
	}()
	r, d := s.decide(ctx, g, message, room[:0], now)
	return s.reply(g, &d, &r, now)
}

// decide decides, unless nobody may ask, the question cannot be read, or it comes too late or beside too many others.
func (s *Service) decide(ctx context.Context, g *generation, message []byte, room []Header, now time.Time) (Request, Decision) {
	if !g.admits(ctx) {
		return Request{}, Decision{reason: ReasonCallerRefused}
	}
	r, err := scan(message, room)
	if err != nil {
		return Request{}, Decision{reason: ReasonRequestUnreadable, cause: err}
	}
	defer s.inFlight.Add(-1)
	if refused, err := s.enter(ctx); refused != ReasonUndecided {
		return r, Decision{reason: refused, cause: err}
	}
	return r, g.authorizer.Authorize(ctx, &r, now)
}

// enter takes a place among the decisions in flight, which the caller gives back in any case. It is refused where it comes too late,
// or where there are too many.
func (s *Service) enter(ctx context.Context) (Reason, error) {
	n := s.inFlight.Add(1)
	if err := ctx.Err(); err != nil {
		return ReasonDeadline, err
	}
	if n > s.maxInFlight {
		return ReasonOverloaded, nil
	}
	return ReasonUndecided, nil
}

// admits reports whether the caller may ask at all (R-GRPC-1).
func (g *generation) admits(ctx context.Context) bool {
	if g.secret == nil {
		return true
	}
	sent := metadata.ValueFromIncomingContext(ctx, secretMetadata)
	if len(sent) != 1 {
		return false
	}
	sum := sha256.Sum256([]byte(sent[0]))
	return subtle.ConstantTimeCompare(sum[:], g.secret[:]) == 1
}

// answered counts and logs that d was said.
func (s *Service) answered(g *generation, d *Decision, r *Request, now time.Time) {
	g.authorizer.Count(d, time.Since(now), now)
	s.log.decided(g.decisions, d, r, now)
}

// reply says d, and counts and logs that it was said.
func (s *Service) reply(g *generation, d *Decision, r *Request, now time.Time) mem.Buffer {
	b := s.replies.Get(replySize)
	*b = g.authorizer.appendResponse((*b)[:0], d, r)
	s.answered(g, d, r, now)
	return mem.NewBuffer(b, &s.replies)
}

// codec passes the bytes of checks as they are, and protobuf messages, which are those of health, as ever.
type codec struct{ encoding.CodecV2 }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if message, ok := v.(*mem.Buffer); ok {
		*message = data.MaterializeToBuffer(mem.DefaultBufferPool()) // a copy only where it came in pieces
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if message, ok := v.(mem.Buffer); ok {
		return mem.BufferSlice{message}, nil
	}
	return c.CodecV2.Marshal(v)
}

// replySize is the room for a reply: more than nearly all of them need. From grpc-go's threshold for pooling on.
const replySize = 4 << 10

// bufferPool is a mem.BufferPool for replies that does not overwrite them with zeros first.
type bufferPool struct{ sync.Pool }

func (p *bufferPool) Get(size int) *[]byte {
	b, ok := p.Pool.Get().(*[]byte)
	if !ok || cap(*b) < size {
		return new(make([]byte, size))
	}
	*b = (*b)[:size]
	return b
}

func (p *bufferPool) Put(b *[]byte) {
	if cap(*b) <= 4*replySize {
		p.Pool.Put(b)
	}
}

// stream ends a stream when the service drains. It would last as long as its caller wants, and the drain with it.
func (s *Service) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	go func() {
		select {
		case <-s.draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	return handle(srv, endingStream{stream, func() context.Context { return ctx }})
}

type endingStream struct {
	grpc.ServerStream
	context func() context.Context
}

// Context returns the context of the stream.
func (s endingStream) Context() context.Context { return s.context() }
