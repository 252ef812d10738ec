package e2e

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
)

// protocols asks over HTTP/1.1, HTTP/2, gRPC, WebSocket and CONNECT.
func protocols(g *gate, c contract) func(*testing.T) { // R-UPG-1, T-1, T-12
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		want := c.upstream(k, "")
		credential := lower(c.credential(k.Key))

		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				t.Run("HTTP/2", func(t *testing.T) {
					c.missing.is(t, authtest.HTTP2(t, d.addr, get(c.shut), nil))
					r := authtest.HTTP2(t, d.addr, get(c.shut, c.credential(k.Key)), nil)
					echo, ok := r.Echo()
					if !ok {
						t.Fatalf("got %+v, want the echo", r)
					}
					arrives(t, want, echo)
				})
				t.Run("WebSocket", func(t *testing.T) {
					upgrade := []string{"GET " + c.shut + " HTTP/1.1", "Host: api.test", "Connection: Upgrade", "Upgrade: websocket"}
					r, _ := authtest.Upgrade(t, d.addr, authtest.Lines(upgrade...))
					c.missing.is(t, r)
					before := len(g.upstream.Requests())
					_, conn := authtest.Upgrade(t, d.addr, authtest.Lines(append(upgrade, c.credential(k.Key))...))
					talk(t, conn)
					arrives(t, want, g.upstream.Requests()[before])
				})
				t.Run("WebSocket over HTTP/2", func(t *testing.T) {
					r := authtest.HTTP2(t, d.addr, authtest.Fields(":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: api.test", ":path: "+c.shut), nil)
					c.missing.is(t, r)
				})
				t.Run("CONNECT", func(t *testing.T) {
					connect := []string{"CONNECT api.test:443 HTTP/1.1", "Host: api.test:443"}
					r, _ := authtest.Upgrade(t, d.addr, authtest.Lines(connect...))
					if r.Status != c.missing.status {
						t.Errorf("without a credential: status %d, want %d", r.Status, c.missing.status)
					}
					r, conn := authtest.Upgrade(t, d.addr, authtest.Lines(append(connect, c.credential(k.Key))...))
					if d == g.front(t) { // no policy names connect, so it goes nowhere
						if r.Status != 404 {
							t.Errorf("with a key: status %d, want 404", r.Status)
						}
						return
					}
					talk(t, conn)
				})
				t.Run("CONNECT over HTTP/2", func(t *testing.T) {
					c.missing.is(t, authtest.HTTP2(t, d.addr, authtest.Fields(":method: CONNECT", ":authority: api.test:443"), nil))
				})
			})
		}
		t.Run("gRPC", func(t *testing.T) { grpcStatuses(t, g, c, credential) })
	}
}

// grpcStatuses looks at the status that a gRPC client gets for each refusal, once.
func grpcStatuses(t *testing.T, g *gate, c contract, credential []authtest.Field) {
	t.Helper()
	const method = "/notes.Notes/Get"
	unknown := authtest.Fields(credential[0].Name + ": " + strings.Replace(credential[0].Value, credential[0].Value[len(credential[0].Value)-44:], strings.Repeat("0", 44), 1))
	for name, want := range map[string]struct {
		code     int
		refusal  refusal
		method   string
		metadata []authtest.Field
	}{
		"400":                         {3, c.ambiguous, method, append(credential, credential...)},
		"401":                         {16, c.missing, method, nil},
		"401 of a refused credential": {16, c.refused, method, unknown},
		"403":                         {7, c.forbidden, c.guarded, credential},
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range []door{g.front(t), g.back(t)} {
				r := authtest.GRPC(t, d.addr, want.method, want.metadata...)
				code, message := r.GRPC()
				body := strings.NewReplacer("%25", "%").Replace(message)
				if r.Status != 200 || code != want.code || body != want.refusal.body {
					t.Errorf("%s: HTTP %d, grpc-status %d, grpc-message %q; want 200, %d, %q", d.name, r.Status, code, message, want.code, want.refusal.body)
				}
				if diff := cmp.Diff("application/grpc", r.Value("content-type")); diff != "" {
					t.Errorf("content-type (-want +got):\n%s", diff)
				}
			}
		})
	}
	t.Run("allowed", func(t *testing.T) {
		r := authtest.GRPC(t, g.back(t).addr, method, credential...)
		if code, message := r.GRPC(); code != 0 {
			t.Errorf("grpc-status %d, %q, want 0", code, message)
		}
	})
	t.Run("503", func(t *testing.T) {
		fields := authtest.Fields(":method: POST", ":scheme: http", ":path: "+method, ":authority: unknown.test", "te: trailers", "content-type: application/grpc")
		r := authtest.HTTP2(t, g.back(t).addr, fields, make([]byte, 5))
		if code, message := r.GRPC(); code != 14 || message != c.unavailable.body {
			t.Errorf("grpc-status %d, %q, want 14 and the body", code, message)
		}
	})
}

// talk sends bytes and expects them back.
func talk(t *testing.T, conn io.ReadWriter) {
	t.Helper()
	if conn == nil {
		t.Fatal("refused, want a connection to the upstream")
	}
	b := make([]byte, len("hello"))
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hello" {
		t.Errorf("got %q, %v, want the bytes back", b, err)
	}
}
