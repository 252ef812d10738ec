package authtest_test

import (
	"net/netip"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/postern-auth/postern/internal/authtest"
)

// TestChecksAreWhatEnvoySends asks a real Envoy about the same requests and compares.
func TestChecksAreWhatEnvoySends(t *testing.T) {
	g, socket := startGate(t)
	u := authtest.StartUpstream(t)
	e := authtest.StartEnvoy(t, authtest.BareEnvoy(t, socket, u, nil))
	for name, c := range map[string]authtest.Check{
		"a plain request":        authtest.NewCheck("GET", "/v1/notes?a=b", "X-Api-Key: key", "X-On-Behalf-Of: user_1"),
		"repeated header lines":  authtest.NewCheck("POST", "/", "X-Api-Key: a", "x-api-key: b", "Cookie: a=1", "Cookie: b=2"),
		"lines that Envoy joins": authtest.NewCheck("GET", "/", "Authorization: Bearer a", "authorization: Bearer b", "Via: a", "via: b", "Accept: x", "X-Forwarded-For: 10.0.0.1", "User-Agent: a"),
		"bytes that are no text": authtest.NewCheck("GET", "/", "X-On-Behalf-Of: caf\xe9", "x-environment: \xff\xfe", "x-a: caf\u00e9"),
		"an odd path":            authtest.NewCheck("PUT", "//a/../b;c?%zz", "x_tenant.id: a"),
	} {
		t.Run(name, func(t *testing.T) {
			for listener, want := range map[string]*authv3.CheckRequest{authtest.BareRaw: c.Raw(), authtest.BareJoined: c.Joined()} {
				send(t, e.Addr(t, listener), c)
				if diff := cmp.Diff(normal(want), normal(g.last(t)), protocmp.Transform()); diff != "" {
					t.Errorf("%s (-kit +Envoy):\n%s", listener, diff)
				}
			}
		})
	}
}

func TestChecksCarryWhatTheOperatorSays(t *testing.T) {
	c := authtest.NewCheck("GET", "/")
	c.Context, c.Source = map[string]string{"policy": "public"}, netip.AddrPort{}
	for _, r := range []*authv3.CheckRequest{c.Raw(), c.Joined()} {
		if got := r.GetAttributes().GetContextExtensions()["policy"]; got != "public" {
			t.Errorf("policy %q, want public", got)
		}
		if r.GetAttributes().GetSource() != nil {
			t.Errorf("source %v, want none", r.GetAttributes().GetSource())
		}
	}
}

// send sends the request that c is about.
func send(t *testing.T, addr string, c authtest.Check) {
	t.Helper()
	pseudo := func(name string) string { return authtest.Values(c.Fields, name)[0] }
	lines := []string{pseudo(":method") + " " + pseudo(":path") + " HTTP/1.1", "Host: " + pseudo(":authority")}
	for _, f := range c.Fields {
		if f.Name[0] != ':' {
			lines = append(lines, f.Name+": "+f.Value)
		}
	}
	if r := authtest.HTTP1(t, addr, authtest.Lines(lines...)); r.Status != 200 {
		t.Fatalf("got %+v, want 200", r)
	}
}

// normal takes away what differs from request to request.
func normal(r *authv3.CheckRequest) *authv3.CheckRequest {
	a := r.GetAttributes()
	a.Source, a.Destination, a.Request.Time = nil, nil, nil
	http := a.GetRequest().GetHttp()
	http.Id = ""
	if http.GetHeaders() != nil {
		http.Headers["x-request-id"] = ""
	}
	for _, h := range http.GetHeaderMap().GetHeaders() {
		if h.GetKey() == "x-request-id" {
			h.RawValue = nil
		}
	}
	return r
}
