package e2e

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// truncated is a gate whose file is gone, and a key of which nothing is in memory.
func truncated(t *testing.T, changes ...change) (g *gate, unread key) {
	t.Helper()
	g = open(t, "quickstart", changes...)
	unread = g.mint(t)
	g.mint(t) // its write is in the file, so that what follows finds a record to miss
	if err := os.Truncate(filepath.Join(g.dir, "data", "postern.db"), 0); err != nil {
		t.Fatal(err)
	}
	return g, unread
}

// Told to, Postern leaves what it cannot check to Envoy's failure mode: that, and nothing else.
func TestAnErrorResponseFollowsEnvoysMode(t *testing.T) { // R-RESP-1, T-9
	t.Parallel()
	knowsErrorResponse(t)
	c := quickstart()
	g, unread := truncated(t, change{"", "authz: { on_failure: error_response }"})
	g.logged(t, `"level":"WARN"`, `"field":"authz.on_failure"`, "pass without authentication")
	failOpen := door{"fail-open", g.bare.Addr(t, authtest.BareOpen)}

	got := failOpen.allowed(t, c.shut, c.credential(unread.Key), "X-Tenant-Id: spoofed")
	if id := one(t, got, "x-tenant-id"); id != "spoofed" { // Envoy lets it pass as it came: what docs/threat-model.md warns about
		t.Errorf("x-tenant-id arrived as %q", id)
	}
	for _, d := range g.doors(t) {
		c.unavailable.is(t, g.refused(t, d, c.shut, c.credential(unread.Key)))
	}
	// Who is refused stays refused, and so does what a client or Envoy's route got wrong.
	c.refused.is(t, g.refused(t, failOpen, c.shut, c.credential("unknown")))
	c.missing.is(t, g.refused(t, failOpen, c.shut))
	before := len(g.upstream.Requests())
	c.unavailable.is(t, authtest.HTTP1(t, failOpen.addr, authtest.Lines("GET "+c.open+" HTTP/1.1", "Host: unknown.test")))
	if n := len(g.upstream.Requests()) - before; n != 0 {
		t.Errorf("%d requests of an unknown policy reached the upstream", n)
	}
	g.counted(t, `postern_decisions_total{reason="store",result="deny"} 4`, `postern_decisions_total{reason="policy_unknown",result="deny"} 1`)
	g.Kill(t) // on SIGTERM it would say that it cannot save what it counted
}

func (g *gate) counted(t *testing.T, lines ...string) {
	t.Helper()
	metrics := g.metrics(t)
	for _, line := range lines {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics lack %q:\n%s", line, metrics)
		}
	}
}

// knowsErrorResponse skips what Envoy 1.36 cannot do: it reads an error_response as a denial with 403.
func knowsErrorResponse(t *testing.T) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), authtest.RequireEnvoy(t), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "/1.36.") {
		t.Skip("Envoy 1.36 knows no error_response")
	}
}

// fault is something that goes wrong in Postern.
type fault struct {
	reason  extauthz.Reason
	options func(*extauthz.Options)
	service func(*extauthz.ServiceOptions)
	cache   keystore.Cache // nil: one that works
	retries int            // how often Envoy may be faster
	denied  bool           // whatever Postern was told to do on failure
}

// stuck is a cache that makes the reading of every record last until it is closed.
type stuck chan struct{}

func (stuck) Get(uint64) (*keystore.Cached, bool)   { return nil, false }
func (s stuck) Set(uint64, *keystore.Cached, int64) { <-s }

// What goes wrong here is a denial with 503, even where Envoy fails open, or what Envoy's mode makes of it.
func TestInjectedFaults(t *testing.T) { // R-RESP-6, T-9
	t.Parallel()
	authtest.RequireEnvoy(t)
	for _, mode := range []extauthz.OnFailure{extauthz.FailureDeny, extauthz.FailureErrorResponse} {
		late := make(stuck)
		t.Cleanup(func() { close(late) })
		for name, f := range map[string]fault{
			"a panic":           {reason: extauthz.ReasonPanic, options: func(o *extauthz.Options) { o.Keys = nil }},
			"a passed deadline": {reason: extauthz.ReasonDeadline, cache: late, retries: 20},
			"no signing key": {reason: extauthz.ReasonSigningKey, denied: true, options: func(o *extauthz.Options) { // mka1 41, mlm 36
				o.Profile, _ = extauthz.ProfileByName("mka1")
				o.Default = extauthz.PolicySpec{Auth: extauthz.AuthKeyOrToken, Credentials: extauthz.CredentialsIdentityJWT}
			}},
			"overload": {reason: extauthz.ReasonOverloaded, service: func(o *extauthz.ServiceOptions) { o.MaxInFlight = -1 }},
		} {
			t.Run(fmt.Sprintf("%s, on failure %s", name, mode), func(t *testing.T) {
				t.Parallel()
				if mode == extauthz.FailureErrorResponse {
					knowsErrorResponse(t)
				}
				f.inject(t, mode)
			})
		}
	}
}

// inject asks behind two listeners of an Envoy, of which one fails open.
func (f fault) inject(t *testing.T, mode extauthz.OnFailure) {
	t.Helper()
	upstream := authtest.StartUpstream(t)
	socket, key, registry := f.serve(t, mode)
	bootstrap := strings.ReplaceAll(string(authtest.BareEnvoy(t, socket, upstream, nil)), "timeout: 10s", "timeout: 1s")
	envoy := authtest.StartEnvoy(t, []byte(bootstrap))
	ask := func(listener string) (status int, ours bool) {
		r := door{listener, envoy.Addr(t, listener)}.send(t, "GET", "/", "Authorization: Bearer "+key)
		return r.Status, strings.Contains(string(r.Body), "unavailable")
	}
	answered := false
	for range f.retries + 1 { // Postern answers a little before Envoy's time is over, which a busy machine may use up
		status, ours := ask(authtest.BareOpen)
		if answered = status == 503 && ours; mode == extauthz.FailureErrorResponse && !f.denied {
			answered = status == 200
		}
		if answered {
			break
		}
	}
	if !answered {
		t.Errorf("where Envoy fails open, on failure %s: not answered as it should be", mode)
	}
	n := len(upstream.Requests())
	if status, ours := ask(authtest.BareRaw); status != 503 || !ours && f.retries == 0 {
		t.Errorf("where Envoy fails closed: %d, said by Postern: %v", status, ours)
	}
	if got := len(upstream.Requests()) - n; got != 0 {
		t.Errorf("%d requests reached the upstream", got)
	}
	if count(t, registry, f.reason) == 0 {
		t.Errorf("%s was not counted", f.reason)
	}
}

// serve is a Postern in this process with the fault, and one key.
func (f fault) serve(t *testing.T, mode extauthz.OnFailure) (socket, printed string, registry *prometheus.Registry) {
	t.Helper()
	dir := folder(t)
	db, err := store.Open(store.Options{Path: filepath.Join(dir, "data", "postern.db")})
	if err != nil {
		t.Fatal(err)
	}
	environments := []keystore.Environment{{Name: "LIVE", KeyPrefix: "live_"}}
	keys, err := keystore.Open(keystore.Options{
		DB: db, Pepper: make([]byte, 32), Profile: "default", Environments: environments, TenantIDs: keystore.TenantIDs{First: "default"}, Cache: f.cache,
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, printed, err = keys.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	profile, _ := extauthz.ProfileByName("default")
	registry = prometheus.NewRegistry()
	o := extauthz.Options{Profile: profile, Environments: environments, Keys: keys, OnFailure: mode, Registerer: registry}
	if f.options != nil {
		f.options(&o)
	}
	authorizer, err := extauthz.New(o)
	if err != nil {
		t.Fatal(err)
	}
	so := extauthz.ServiceOptions{Snapshot: extauthz.Snapshot{Authorizer: authorizer}, Log: slog.New(slog.DiscardHandler)}
	if f.service != nil {
		f.service(&so)
	}
	socket = filepath.Join(dir, "authz.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	service, ended := extauthz.NewService(so), make(chan error, 1)
	go func() { ended <- service.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(service.Drain(t.Context()), <-ended); err != nil {
			t.Log("ending the service: ", err)
		}
		go func() { _ = errors.Join(keys.Close(), db.Close()) }() // when what is stuck is released
	})
	return socket, printed, registry
}

// count is how many decisions had the reason.
func count(t *testing.T, registry *prometheus.Registry, reason extauthz.Reason) (n float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "reason" && l.GetValue() == reason.String() {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}
