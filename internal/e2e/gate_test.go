// Package e2e tests Postern as its users meet it: the built binary, with the files of examples/, behind a real Envoy.
//
// Each profile has one gate: Postern, an echoing upstream, and two Envoys. One has the configuration that Postern renders;
// the other strips and normalises nothing, so that Postern alone stands between client and upstream. What holds must hold
// behind both. A test names the rule that it proves (R-…, of docs/threat-model.md) or the guarded behaviour of Envoy (T-…).
package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

func TestMain(m *testing.M) { authtest.Main(m) }

// gate is Postern between an upstream and two Envoys.
type gate struct {
	*authtest.Postern

	dir      string // of the configuration file; the data is in its subfolder data
	upstream *authtest.Upstream
	rendered *authtest.Envoy
	bare     *authtest.Envoy
	minted   []key // all keys that it made

	secrets [][]byte     // other than keys: what [canary] looks for besides
	errors  bytes.Buffer // replies of its own endpoints that were errors
}

// added is what every example gets besides: a stop without the delay in which load balancers notice it, a log of all
// decisions, and a socket with metrics.
const added = `
shutdown: { delay: 0s }
telemetry: { log: { decisions: all } }
listen: { health: "unix://DIR/health.sock" }
`

// open serves an example, changed, with two Envoys around it.
func open(t *testing.T, example string, changes ...change) *gate {
	t.Helper()
	authtest.RequireEnvoy(t)
	g := serve(t, example, changes...)
	g.rendered = authtest.StartEnvoy(t, g.render(t))
	// Hosts that the operator's word stands above: their policy is named by Envoy, whatever the path is.
	policies := map[string]string{"public.test": "public", "unknown.test": "no-such-policy"}
	g.bare = authtest.StartEnvoy(t, authtest.BareEnvoy(t, g.socket(), g.upstream, policies))
	return g
}

// serve serves examples/NAME/postern.yaml, changed, without an Envoy.
func serve(t *testing.T, example string, changes ...change) *gate {
	t.Helper()
	g := &gate{dir: folder(t), upstream: authtest.StartUpstream(t)}
	g.Postern = authtest.StartPostern(t, configure(t, g.dir, example, changes...), "SSL_CERT_FILE="+authtest.WriteCA(t))
	g.owners(t, example)
	return g
}

// owners makes the tenant acme that the contracts' keys belong to; the default profile has one from the start.
func (g *gate) owners(t *testing.T, example string) {
	t.Helper()
	switch example {
	case "mka1":
		g.tenant(t, "--id", "acme")
	case "mlm":
		g.tenant(t, "--name", "acme")
	}
}

// change replaces text that stands in an example once; with an empty from it adds to the end.
type change struct{ from, to string }

// configure writes an example, changed, into dir, and returns the file's path.
func configure(t *testing.T, dir, example string, changes ...change) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", example, "postern.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// These tests are about the gate; the listener for clients has its own, and the walkthroughs.
	config := strings.Replace(string(text), "\nlisten: { api: 127.0.0.1:9192 } ", "\n", 1) + strings.ReplaceAll(added, "DIR", dir)
	for _, c := range changes {
		switch n := strings.Count(config, c.from); {
		case c.from == "":
			config += c.to + "\n"
		case n != 1:
			t.Fatalf("examples/%s/postern.yaml holds %q %d times, want once", example, c.from, n)
		default:
			config = strings.Replace(config, c.from, c.to, 1)
		}
	}
	path := filepath.Join(dir, "postern.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder makes a folder with a short name: the path of a socket has little room.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e") //nolint:usetesting // t.TempDir's name holds the test's and is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// render is the bootstrap that Postern writes for itself and the upstream.
func (g *gate) render(t *testing.T, args ...string) []byte {
	t.Helper()
	return g.renderFor(t, g.upstream.Addr, args...)
}

// renderFor is render for another upstream. One thing is changed: a check may take its time, since these tests are not
// about time and the machine may be busy.
func (g *gate) renderFor(t *testing.T, upstream string, args ...string) []byte {
	t.Helper()
	args = append([]string{"render", "envoy", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", upstream}, args...)
	return edit(t, []byte(g.Run(t, args...)), "                timeout: 0.25s", "                timeout: 10s")
}

func (g *gate) socket() string { return filepath.Join(g.dir, "data", "authz.sock") }

// door is a listener of an Envoy, by a name for test output.
type door struct{ name, addr string }

// doors are the ways to the upstream that fail closed: the rendered Envoy, then the bare one in both header shapes.
func (g *gate) doors(t *testing.T) []door {
	t.Helper()
	return []door{g.front(t), g.back(t), {"behind a bare Envoy with joined headers", g.bare.Addr(t, authtest.BareJoined)}}
}

// front is the door of the rendered Envoy.
func (g *gate) front(t *testing.T) door {
	t.Helper()
	return door{"behind the rendered Envoy", g.rendered.Addr(t, "gate")}
}

// back is the door of the bare Envoy that passes header lines on as they came.
func (g *gate) back(t *testing.T) door {
	t.Helper()
	return door{"behind a bare Envoy", g.bare.Addr(t, authtest.BareRaw)}
}

// send sends a request over HTTP/1.1, its target and header lines byte for byte.
func (d door) send(t *testing.T, method, target string, lines ...string) *authtest.Response {
	t.Helper()
	return authtest.HTTP1(t, d.addr, authtest.Lines(slices.Concat([]string{method + " " + target + " HTTP/1.1", "Host: api.test"}, lines)...))
}

// post sends a request with a body over HTTP/1.1.
func (d door) post(t *testing.T, method, target, body string, lines ...string) *authtest.Response {
	t.Helper()
	head := slices.Concat([]string{method + " " + target + " HTTP/1.1", "Host: api.test"}, lines, []string{"Content-Length: " + strconv.Itoa(len(body))})
	return authtest.HTTP1(t, d.addr, authtest.Lines(head...)+body)
}

// get are the fields of a GET over HTTP/2 with these header lines.
func get(target string, lines ...string) []authtest.Field {
	return append(authtest.Fields(":method: GET", ":scheme: http", ":authority: api.test", ":path: "+target), lower(lines...)...)
}

// lower are header lines as HTTP/2 has them.
func lower(lines ...string) []authtest.Field {
	fields := authtest.Fields(lines...)
	for i, f := range fields {
		fields[i].Name = strings.ToLower(f.Name)
	}
	return fields
}

// allowed sends a GET that must reach the upstream, and returns what arrived there.
func (d door) allowed(t *testing.T, target string, lines ...string) authtest.Received {
	t.Helper()
	r := d.send(t, "GET", target, lines...)
	echo, ok := r.Echo()
	if r.Status != 200 || !ok {
		t.Fatalf("GET %s with %q: status %d, body %q; want the upstream's echo", target, lines, r.Status, r.Body)
	}
	return echo
}

// refused sends a GET that must not reach the upstream, and returns the refusal.
func (g *gate) refused(t *testing.T, d door, target string, lines ...string) *authtest.Response {
	t.Helper()
	before := len(g.upstream.Requests())
	r := d.send(t, "GET", target, lines...)
	if n := len(g.upstream.Requests()) - before; n != 0 || r.Status < 300 {
		t.Errorf("GET %s with %q: status %d, and %d requests reached the upstream; want a refusal and none", target, lines, r.Status, n)
	}
	return r
}

// key is a key that the command line made.
type key struct {
	ID          string `json:"id"`
	Tenant      string `json:"tenant"`
	Environment string `json:"environment"`
	Key         string `json:"key"` // as printed
}

// mint makes a key with `keys create` and these flags.
func (g *gate) mint(t *testing.T, flags ...string) key {
	t.Helper()
	var k key
	decode(t, g.Run(t, append([]string{"keys", "create", "-o", "json"}, flags...)...), &k)
	if k.Key == "" || k.ID == "" {
		t.Fatalf("keys create %q printed %+v", flags, k)
	}
	g.minted = append(g.minted, k)
	return k
}

// tenant makes a tenant with `tenants create` and these flags, and returns its id.
func (g *gate) tenant(t *testing.T, flags ...string) string {
	t.Helper()
	var made struct {
		ID string `json:"id"`
	}
	decode(t, g.Run(t, append([]string{"tenants", "create", "-o", "json"}, flags...)...), &made)
	return made.ID
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

// one is the only value of a header that the upstream received; "" stands for none.
func one(t *testing.T, r authtest.Received, name string) string {
	t.Helper()
	values := authtest.Values(r.Fields, name)
	if len(values) > 1 {
		t.Errorf("the upstream got %s %d times: %q", name, len(values), values)
	}
	return strings.Join(values, "|")
}

// logged waits for a line of Postern's log with all these texts.
func (g *gate) logged(t *testing.T, texts ...string) {
	t.Helper()
	eventually(t, func() bool {
		for line := range strings.Lines(g.Log()) {
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
				return true
			}
		}
		return false
	})
}
