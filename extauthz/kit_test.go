package extauthz_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// noon is when tests take place.
func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// profile returns the profile of that name.
func profile(tb testing.TB, name string) extauthz.Profile {
	tb.Helper()
	p, ok := extauthz.ProfileByName(name)
	if !ok {
		tb.Fatalf("there is no profile %q", name)
	}
	return p
}

// options are those of a file with these policies in profile default.
func options(tb testing.TB, policies ...extauthz.PolicySpec) extauthz.Options {
	tb.Helper()
	return extauthz.Options{
		Profile:      profile(tb, "default"),
		Environments: []keystore.Environment{{Name: "LIVE", KeyPrefix: "live_"}, {Name: "TEST", KeyPrefix: "test_"}},
		Policies:     policies,
	}
}

// authorizer makes one that is expected to be right.
func authorizer(tb testing.TB, o extauthz.Options) *extauthz.Authorizer {
	tb.Helper()
	a, err := extauthz.New(o)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return a
}

// get is a request as Envoy sends it; headers are "name: value".
func get(path string, headers ...string) *extauthz.Request {
	return request("GET", "api.example.com", path, headers...)
}

func request(method, host, path string, headers ...string) *extauthz.Request {
	r := &extauthz.Request{Method: method, Host: host, Path: path, Protocol: "HTTP/2", Source: "192.0.2.7"}
	r.Headers = append(r.Headers, extauthz.Header{Name: ":method", Value: method}, extauthz.Header{Name: ":path", Value: path})
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ": ")
		if !ok {
			name, value = strings.TrimSuffix(h, ":"), ""
		}
		r.Headers = append(r.Headers, extauthz.Header{Name: name, Value: value})
	}
	return r
}

// gate is an Authorizer in front of real keys, with tenant acme.
type gate struct {
	*extauthz.Authorizer
	t    testing.TB
	o    extauthz.Options
	keys *keystore.Store
	db   *store.DB
}

func newGate(tb testing.TB, o extauthz.Options) *gate {
	tb.Helper()
	return newGateWith(tb, o, nil)
}

// newGateWith is newGate with a cache of its own for the records of keys.
func newGateWith(tb testing.TB, o extauthz.Options, cache keystore.Cache) *gate {
	tb.Helper()
	db, err := store.Open(store.Options{Path: filepath.Join(tb.TempDir(), "data", "postern.db")})
	if err != nil {
		tb.Fatalf("opening the database: %v", err)
	}
	keys, err := keystore.Open(keystore.Options{
		DB: db, Pepper: make([]byte, 32), Profile: o.Profile.Name(), Environments: o.Environments,
		TenantIDs: keystore.TenantIDs{First: "acme"}, Cache: cache,
	}, noon())
	if err != nil {
		tb.Fatalf("opening the keys: %v", err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(keys.Close(), db.Check(), db.Close()); err != nil {
			tb.Errorf("closing the keys: %v", err)
		}
	})
	o.Keys = keys
	return &gate{Authorizer: authorizer(tb, o), t: tb, o: o, keys: keys, db: db}
}

// with is another gate to the same keys.
func (g *gate) with(change func(*extauthz.Options)) *gate {
	g.t.Helper()
	other := *g
	change(&other.o)
	other.Authorizer = authorizer(g.t, other.o)
	return &other
}

// create makes a key of acme for LIVE, unless spec says otherwise, and returns its id and printed form.
func (g *gate) create(spec keystore.KeySpec) (id, printed string) {
	g.t.Helper()
	if spec.Tenant == "" {
		spec.Tenant = "acme"
	}
	if spec.Environment == "" {
		spec.Environment = "LIVE"
	}
	key, printed, err := g.keys.Create(g.t.Context(), spec, noon())
	if err != nil {
		g.t.Fatalf("creating a key: %v", err)
	}
	return key.ID, printed
}

// key is create for tests that need only the printed form.
func (g *gate) key(spec keystore.KeySpec) string {
	g.t.Helper()
	_, printed := g.create(spec)
	return printed
}

// answer is what Envoy is told.
type answer struct {
	Decision extauthz.Decision
	Set      map[string]string // request headers
	Remove   []string          // request headers, sorted
	Respond  map[string]string // headers of the response, after an allow
	Status   int               // of a denial
	Headers  []string          // of a denial: "name: value", in order
	Body     string            // of a denial
	Metadata map[string]string
}

// ask decides on r at noon and reads the reply as Envoy does. What must hold for every reply is checked here.
func (g *gate) ask(r *extauthz.Request) answer {
	g.t.Helper()
	return g.askAt(noon(), r)
}

func (g *gate) askAt(now time.Time, r *extauthz.Request) answer {
	g.t.Helper()
	d := g.Authorize(g.t.Context(), r, now)
	var reply authv3.CheckResponse
	if err := proto.Unmarshal(g.Response(&d, r), &reply); err != nil {
		g.t.Fatalf("reading the reply: %v", err)
	}
	a := answer{Decision: d, Set: map[string]string{}, Respond: map[string]string{}, Metadata: map[string]string{}}
	if allowed := reply.GetStatus() != nil && reply.GetStatus().GetCode() == 0; allowed != d.Allowed() {
		g.t.Fatalf("the decision is %s, the reply allows: %v", d.Reason(), allowed)
	}
	for name, value := range reply.GetDynamicMetadata().GetFields() {
		a.Metadata[name] = value.GetStringValue()
	}
	for _, h := range reply.GetOkResponse().GetHeaders() {
		if _, twice := a.Set[h.GetHeader().GetKey()]; twice || h.GetHeader().GetValue() == "" {
			g.t.Errorf("%q is set twice, or to nothing", h.GetHeader().GetKey())
		}
		a.Set[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
	}
	a.Remove = slices.Sorted(slices.Values(reply.GetOkResponse().GetHeadersToRemove()))
	for _, h := range reply.GetOkResponse().GetResponseHeadersToAdd() {
		a.Respond[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
	}
	a.Status, a.Body = int(reply.GetDeniedResponse().GetStatus().GetCode()), reply.GetDeniedResponse().GetBody()
	for _, h := range reply.GetDeniedResponse().GetHeaders() {
		a.Headers = append(a.Headers, h.GetHeader().GetKey()+": "+h.GetHeader().GetValue())
	}
	if d.Allowed() {
		g.managed(a)
	}
	return a
}

// managed checks the law of every allow: each managed name is either set or removed, and nothing else is set (R-RESP-2,
// R-SPOOF-2).
func (g *gate) managed(a answer) {
	g.t.Helper()
	names := g.o.Profile.Names()
	managed := slices.Concat(names.Outputs, names.Inputs)
	for _, name := range managed {
		_, set := a.Set[name]
		if removed := slices.Contains(a.Remove, name); set == removed {
			g.t.Errorf("%s: %q is set: %v, removed: %v", a.Decision.Reason(), name, set, removed)
		}
	}
	for name := range a.Set {
		if !slices.Contains(managed, name) && name != "authorization" { // where a token of ours takes its place
			g.t.Errorf("%q is set and not managed", name)
		}
	}
	if len(slices.Compact(slices.Clone(a.Remove))) != len(a.Remove) {
		g.t.Errorf("removed twice: %q", a.Remove)
	}
}

// allow asks, and expects a proven credential to pass.
func (g *gate) allow(r *extauthz.Request) answer {
	g.t.Helper()
	return g.expect(extauthz.ReasonAllowed, r)
}

// deny asks, and expects a refusal.
func (g *gate) deny(want extauthz.Reason, r *extauthz.Request) answer {
	g.t.Helper()
	a := g.expect(want, r)
	if len(a.Set)+len(a.Remove)+len(a.Respond) > 0 {
		g.t.Errorf("a refusal changes the request: %+v", a)
	}
	return a
}

func (g *gate) expect(want extauthz.Reason, r *extauthz.Request) answer {
	g.t.Helper()
	a := g.ask(r)
	if a.Decision.Reason() != want {
		g.t.Errorf("%s %s%s %q is %s, want %s", r.Method, r.Host, r.Path, r.Headers[2:], a.Decision.Reason(), want)
	}
	if a.Metadata["reason"] != a.Decision.Reason().String() {
		g.t.Errorf("metadata says %q, the decision %s", a.Metadata["reason"], a.Decision.Reason())
	}
	return a
}

// problemsOf lists what is wrong: "path: message; hint", and the path that a conflict is with.
func problemsOf(tb testing.TB, err error) []string {
	tb.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		tb.Fatalf("got the error %v, want joined problems", err)
	}
	var all []string
	for _, one := range joined.Unwrap() {
		var p *extauthz.ProblemError
		if !errors.As(one, &p) {
			tb.Fatalf("got the error %v, want a ProblemError", one)
		}
		all = append(all, describe(p))
	}
	return all
}

func describe(p *extauthz.ProblemError) string {
	s := p.Error()
	if p.First != "" {
		s += " (" + p.First + ")"
	}
	return s
}

// refuses checks that o is refused for these problems, all of them and in this order.
func refuses(tb testing.TB, o extauthz.Options, want ...string) {
	tb.Helper()
	a, err := extauthz.New(o)
	if err == nil || a != nil {
		tb.Fatalf("New = %v, %v, want problems and nothing else", a, err)
	}
	if diff := cmp.Diff(want, problemsOf(tb, err)); diff != "" {
		tb.Errorf("problems (-want +got):\n%s", diff)
	}
}
