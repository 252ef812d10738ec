package extauthz_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

func TestServiceAnswersInBothShapes(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	id, key := g.create(keystore.KeySpec{Permissions: []string{"note:read"}})
	path := filepath.Join(t.TempDir(), "authz.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := serveOn(t, g, nil, l, insecure.NewCredentials(), func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	})
	for _, shape := range extauthz.Shapes() {
		reply := s.check(t.Context(), t, extauthz.Sample(t, shape, key))
		if reasonOf(t, reply) != "allowed" || reply.GetDynamicMetadata().GetFields()["key_id"].GetStringValue() != id {
			t.Errorf("%s: %v, want key %s allowed", shape, reply, id)
		}
		set := map[string]string{}
		for _, h := range reply.GetOkResponse().GetHeaders() {
			set[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
		}
		if set["x-on-behalf-of"] != "user-4711" || set["x-tenant-id"] != "acme" || set["x-permissions"] != "note:read" {
			t.Errorf("%s: sets %v", shape, set)
		}
		reply = s.check(t.Context(), t, extauthz.Sample(t, shape, key+"x"))
		if reasonOf(t, reply) != "key_unknown" || reply.GetDeniedResponse().GetStatus().GetCode() != 401 {
			t.Errorf("%s: %v, want a wrong key refused", shape, reply)
		}
	}
	// What protobuf's own types send is the same.
	var request authv3.CheckRequest
	if err := proto.Unmarshal(extauthz.Sample(t, extauthz.ShapeMap, key), &request); err != nil {
		t.Fatal(err)
	}
	reply, err := authv3.NewAuthorizationClient(s).Check(t.Context(), &request)
	if err != nil || reasonOf(t, reply) != "allowed" {
		t.Errorf("Check = %v, %v, want allowed", reply, err)
	}
}

// R-RESP-6, R-RESP-1: each fault is a denial with 503, counted, and never an error of the call.
func TestFaultsAreDenials(t *testing.T) {
	t.Parallel()
	broken := newGate(t, options(t))
	key := broken.key(keystore.KeySpec{})
	if err := broken.keys.Close(); err != nil {
		t.Fatal(err)
	}
	panicking, registry := counted(t, options(t))
	panicking = panicking.with(func(o *extauthz.Options) { o.Keys = nil })
	message := extauthz.Sample(t, extauthz.ShapeList, key)
	for _, test := range []struct {
		name    string
		gate    *gate
		message []byte
		want    extauthz.Reason
	}{
		{"a closed store", broken, message, extauthz.ReasonStore},
		{"a panic", panicking, message, extauthz.ReasonPanic},
		{"a second panic", panicking, message, extauthz.ReasonPanic},
		{"no bytes", broken, nil, extauthz.ReasonRequestUnreadable},
		{"bytes that are no message", broken, []byte("\xff\xff"), extauthz.ReasonRequestUnreadable},
		{"nil attributes", broken, marshal(t, &authv3.CheckRequest{}), extauthz.ReasonRequestUnreadable},
		{"a nil request", broken, marshal(t, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{}}), extauthz.ReasonRequestUnreadable},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, test.gate, nil)
			unavailable(t, s.check(t.Context(), t, test.message), test.want)
			if !strings.Contains(s.log.String(), test.want.String()) || strings.Contains(s.log.String(), key) {
				t.Errorf("log %q, want %v and no key", s.log, test.want)
			}
		})
	}
	if got, _ := counts(t, registry); got["decisions_total panic deny"] != 2 {
		t.Errorf("counted %v, want 2 panics", got)
	}
}

// R-RESP-1: told to, a Service says what fails here as an error; what clients, other callers and Envoy's routes get wrong stays
// a denial.
func TestFaultsAreErrorsOnRequest(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.OnFailure = extauthz.FailureErrorResponse
	g := newGate(t, o)
	key := g.key(keystore.KeySpec{})
	if err := g.keys.Close(); err != nil {
		t.Fatal(err)
	}
	message := extauthz.Sample(t, extauthz.ShapeList, key)
	unknown := get("/")
	unknown.Policy.Present = true
	for _, test := range []struct {
		name    string
		gate    *gate
		left    time.Duration
		message []byte
		change  func(*extauthz.ServiceOptions)
		want    extauthz.Reason
		asError bool
	}{
		{"a closed store", g, time.Minute, message, nil, extauthz.ReasonStore, true},
		{"a panic", g.with(func(o *extauthz.Options) { o.Keys = nil }), time.Minute, message, nil, extauthz.ReasonPanic, true},
		{"a passed deadline", g, -time.Second, message, nil, extauthz.ReasonDeadline, true},
		{"overload", g, time.Minute, message, func(o *extauthz.ServiceOptions) { o.MaxInFlight = -1 }, extauthz.ReasonOverloaded, true},
		{"no message", g, time.Minute, []byte("\xff"), nil, extauthz.ReasonRequestUnreadable, false},
		{"a caller without the secret", g, time.Minute, message, func(o *extauthz.ServiceOptions) { o.SharedSecret = []byte("s3cret") }, extauthz.ReasonCallerRefused, false},
		{"an unknown policy", g, time.Minute, messageOf(t, extauthz.ShapeList, unknown), nil, extauthz.ReasonPolicyUnknown, false},
		{"no credential", g, time.Minute, messageOf(t, extauthz.ShapeList, get("/")), nil, extauthz.ReasonCredentialMissing, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), test.left)
			defer cancel()
			var r authv3.CheckResponse
			if err := proto.Unmarshal(serve(t, test.gate, test.change).Answer(ctx, test.message), &r); err != nil {
				t.Fatal(err)
			}
			if got := r.GetDynamicMetadata().GetFields()["reason"].GetStringValue(); got != test.want.String() {
				t.Fatalf("reason %s, want %s", got, test.want)
			}
			if r.GetStatus().GetCode() == 0 || (r.GetErrorResponse() != nil) != test.asError || (r.GetDeniedResponse() != nil) == test.asError {
				t.Errorf("%v, want an error: %v", &r, test.asError)
			}
		})
	}
	if x := g.explain(get("/", "x-api-key: "+key)); x.Status != 503 || x.Steps[7].Outcome != "error: 503, class unavailable, unless Envoy is set to fail open" {
		t.Errorf("%d\n%s", x.Status, story(x))
	}
}

func marshal(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestCallsThatAreOverAreNotDecided(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	s := serve(t, g, nil)
	message := extauthz.Sample(t, extauthz.ShapeList, g.key(keystore.KeySpec{}))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	passed, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, passed} {
		var reply authv3.CheckResponse
		if err := proto.Unmarshal(s.Answer(ctx, message), &reply); err != nil {
			t.Fatal(err)
		}
		unavailable(t, &reply, extauthz.ReasonDeadline)
	}
}

// R-RESP-6: a check that waits for the store is answered a little before its deadline.
func TestSlowStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache := newStuckCache()
		g := newGateWith(t, options(t), cache)
		t.Cleanup(func() { close(cache.released) })
		s := serve(t, g, nil)
		const timeout = 200 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		begun := time.Now()
		var reply authv3.CheckResponse
		if err := proto.Unmarshal(s.Answer(ctx, extauthz.Sample(t, extauthz.ShapeList, g.key(keystore.KeySpec{}))), &reply); err != nil {
			t.Fatal(err)
		}
		unavailable(t, &reply, extauthz.ReasonDeadline)
		if left := timeout - time.Since(begun); left < time.Millisecond || left > 20*time.Millisecond {
			t.Errorf("answered %v before the deadline, want a few milliseconds", left)
		}
	})
}

// R-PROC-2: what is too much at once is denied at once; the rest is answered.
func TestOverload(t *testing.T) {
	t.Parallel()
	const atOnce, all = 10, 1000
	cache := newStuckCache()
	g := newGateWith(t, options(t), cache)
	s := serve(t, g, func(o *extauthz.ServiceOptions) { o.MaxInFlight = atOnce })
	message := extauthz.Sample(t, extauthz.ShapeList, g.key(keystore.KeySpec{}))
	answers := make(chan string)
	patient, cancel := context.WithTimeout(t.Context(), time.Minute) // or those in flight are given up after a second, however long the others take
	defer cancel()
	for range all {
		go func() { answers <- s.reason(patient, message) }()
	}
	got := map[string]int{}
	for i := range all {
		if i == all-atOnce {
			close(cache.released)
		}
		got[<-answers]++
	}
	if want := map[string]int{"overloaded": all - atOnce, "allowed": atOnce}; !maps.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
}

// R-PROC-2: 1000 requests with 60 KiB of headers at once are answered, in bounded memory.
func TestManyLargeRequestsAtOnce(t *testing.T) {
	g := newGate(t, options(t))
	s := serve(t, g, nil)
	key := g.key(keystore.KeySpec{})
	var large []extauthz.Header
	for i := range 15 {
		large = append(large, extauthz.Header{Name: fmt.Sprint("x-large-", i), Value: strings.Repeat("v", 4<<10)})
	}
	message := extauthz.Sample(t, extauthz.ShapeList, key, large...)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var wait sync.WaitGroup
	for range 1000 {
		wait.Go(func() {
			reply, err := s.send(t.Context(), message)
			if err != nil || reply.GetOkResponse() == nil {
				t.Errorf("Check = %v, %v, want allowed", reply, err)
			}
		})
	}
	wait.Wait()
	runtime.ReadMemStats(&after)
	// The messages alone are 60 MiB on each side of the connection.
	if limit := before.HeapSys + 400<<20; after.HeapSys > limit {
		t.Errorf("the heap grew from %d to %d MiB", before.HeapSys>>20, after.HeapSys>>20)
	}
}

func TestTooLargeMessagesAreErrors(t *testing.T) {
	t.Parallel()
	s := serve(t, newGate(t, options(t)), nil)
	if _, err := s.send(t.Context(), make([]byte, 256<<10+1)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("Check of 256 KiB and a byte: %v, want ResourceExhausted", err)
	}
	unavailable(t, s.check(t.Context(), t, make([]byte, 256<<10)), extauthz.ReasonRequestUnreadable)
}

// R-GRPC-1: whoever does not know the secret learns nothing.
func TestSharedSecret(t *testing.T) {
	t.Parallel()
	g, registry := counted(t, options(t))
	s := serve(t, g, func(o *extauthz.ServiceOptions) { o.SharedSecret = []byte("s3cret") })
	message := extauthz.Sample(t, extauthz.ShapeList, g.key(keystore.KeySpec{}))
	for _, sent := range [][]string{nil, {""}, {"s3cre"}, {"s3crett"}, {"S3CRET"}, {"s3cret", "s3cret"}} {
		ctx := t.Context()
		for _, secret := range sent {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-postern-secret", secret)
		}
		unavailable(t, s.check(ctx, t, message), extauthz.ReasonCallerRefused)
	}
	if got, _ := counts(t, registry); got["decisions_total caller_refused deny"] != 6 {
		t.Errorf("counted %v, want 6 callers refused", got)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-postern-secret", "s3cret")
	if got := reasonOf(t, s.check(ctx, t, message)); got != "allowed" {
		t.Errorf("with the secret: %s, want allowed", got)
	}
	if strings.Contains(s.log.String(), "s3cre") {
		t.Errorf("the log has the secret: %s", s.log)
	}
}

func TestSwapTakesEffectOnTheNextCheck(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	s := serve(t, g, nil)
	message := extauthz.Sample(t, extauthz.ShapeList, g.key(keystore.KeySpec{}))
	if got := reasonOf(t, s.check(t.Context(), t, message)); got != "allowed" {
		t.Errorf("at first: %s, want allowed", got)
	}
	s.Swap(extauthz.Snapshot{Authorizer: g.with(func(o *extauthz.Options) { o.Default.Permissions = []string{"a:b"} }).Authorizer})
	if got := reasonOf(t, s.check(t.Context(), t, message)); got != "permission_missing" {
		t.Errorf("after the swap: %s, want permission_missing", got)
	}
}

// All that a Snapshot holds is swapped, not the Authorizer alone.
func TestSwapTakesAll(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	s := serve(t, g, nil)
	message := extauthz.Sample(t, extauthz.ShapeList, g.key(keystore.KeySpec{}))
	s.Swap(extauthz.Snapshot{Authorizer: g.Authorizer, SharedSecret: []byte("first"), Decisions: extauthz.LogAll})
	unavailable(t, s.check(t.Context(), t, message), extauthz.ReasonCallerRefused)
	first := metadata.AppendToOutgoingContext(t.Context(), "x-postern-secret", "first")
	if got := reasonOf(t, s.check(first, t, message)); got != "allowed" || !strings.Contains(s.log.String(), "request allowed") {
		t.Errorf("with the new secret: %s; the log: %s", got, s.log)
	}
	s.Swap(extauthz.Snapshot{Authorizer: g.Authorizer, SharedSecret: []byte("second")})
	unavailable(t, s.check(first, t, message), extauthz.ReasonCallerRefused)
	s.Swap(extauthz.Snapshot{Authorizer: g.Authorizer})
	if got := reasonOf(t, s.check(t.Context(), t, message)); got != "allowed" {
		t.Errorf("without a secret: %s, want allowed", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("plaintext became TLS under those who are connected")
		}
	}()
	s.Swap(extauthz.Snapshot{Authorizer: g.Authorizer, TLS: &tls.Config{MinVersion: tls.VersionTLS13}})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	authority := httptest.NewTLSServer(nil) // for its certificate
	defer authority.Close()
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	l := bufconn.Listen(1 << 20)
	g := newGate(t, options(t))
	s := serveOn(t, g, func(o *extauthz.ServiceOptions) {
		o.TLS = &tls.Config{Certificates: authority.TLS.Certificates, MinVersion: tls.VersionTLS13}
	}, l, credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS13}),
		func(context.Context, string) (net.Conn, error) { return l.Dial() })
	if got := reasonOf(t, s.check(t.Context(), t, extauthz.Sample(t, extauthz.ShapeList, "x"))); got != "key_unknown" {
		t.Errorf("over TLS: %s, want key_unknown", got)
	}
}
