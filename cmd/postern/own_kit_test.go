package main

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// endpoints is a Postern that serves its own endpoints, as a client that Envoy forwards sees them.
type endpoints struct {
	*postern
	said lines
	at   string // http://host:port
	http *http.Client
}

// servingAPI serves the file, which begins with these lines, on a listener of its own.
func servingAPI(tb testing.TB, text string) *endpoints {
	tb.Helper()
	p, said := serving(tb, tb.TempDir(), "version: 1\nlisten: { api: \"127.0.0.1:0\" }\nshutdown: { delay: 0s }\n"+text)
	e := &endpoints{postern: p, said: said, at: "http://" + p.apiAddress(tb), http: &http.Client{Transport: &http.Transport{}}}
	tb.Cleanup(e.http.CloseIdleConnections)
	return e
}

func (p *postern) apiAddress(tb testing.TB) string {
	tb.Helper()
	for _, s := range p.servers {
		if s.Handler == http.Handler(p.api) {
			return s.listener.Addr().String()
		}
	}
	tb.Fatal("there is no listener for clients")
	return ""
}

// answer is what a client got.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// do sends a request with headers, "Name: value" each.
func (e *endpoints) do(tb testing.TB, method, path, text string, headers ...string) answer {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, e.at+strings.TrimPrefix(path, "*"), strings.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	if path == "*" {
		r.URL.Opaque = path
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if r.Header.Add(name, value); name == "Host" {
			r.Host = value
		}
	}
	reply, err := e.http.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	got, err := io.ReadAll(reply.Body)
	if err != nil {
		tb.Fatal(err)
	}
	a := answer{reply.StatusCode, reply.Header, string(got)}
	e.conforms(tb, method, path, body{r.Header.Get("Content-Type"), text}, a)
	return a
}

// create makes a key, of a tenant that is made if need be.
func (e *endpoints) create(t *testing.T, spec keystore.KeySpec) (keystore.Key, string) {
	t.Helper()
	if spec.Tenant == "" {
		spec.Tenant = "default"
	}
	if spec.Environment == "" {
		spec.Environment = "LIVE"
	}
	k, printed, err := e.data.keys.Create(t.Context(), spec, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return k, printed
}

// tenant makes one and returns its id.
func (e *endpoints) tenant(t *testing.T, spec keystore.TenantSpec) string {
	t.Helper()
	made, err := e.data.keys.CreateTenant(t.Context(), spec, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// decisions is how many decisions were counted, by reason.
func (e *endpoints) decisions(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := e.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "postern_decisions_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if n := m.GetCounter().GetValue(); n > 0 {
				counted[m.GetLabel()[0].GetValue()] += n
			}
		}
	}
	return counted
}

func prefixesOf(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
