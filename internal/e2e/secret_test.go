package e2e

import (
	"context"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// canary looks for what must be nowhere: the secrets of all keys that the gate made, and its pepper, in everything that
// Postern and Envoy wrote, eight bytes at a time.
func canary(g *gate) func(*testing.T) { // R-LOG-1, mka1 25 and 38, mlm 33
	return func(t *testing.T) {
		secrets := [][]byte{g.pepper(t), []byte(nobodysToken)}
		misplaced(t, g)
		for _, k := range g.minted {
			_, _, secret := parts(k.Key)
			secrets = append(secrets, []byte(secret))
		}
		secrets = append(secrets, g.secrets...)
		if len(secrets) < 10 {
			t.Fatalf("only %d secrets to look for", len(secrets))
		}
		eight := map[string]bool{} // windows of secrets
		for _, s := range secrets {
			for i := range len(s) - 7 {
				eight[string(s[i:i+8])] = true
			}
		}
		for name, written := range g.written(t) {
			if len(written) == 0 {
				t.Errorf("%s is empty, so nothing was proven", name)
			}
			for i := range max(0, len(written)-7) {
				if eight[string(written[i:i+8])] {
					t.Errorf("%s holds eight bytes of a secret, near %q", name, written[max(0, i-40):i])
					break
				}
			}
		}
	}
}

// misplaced sends keys where no key belongs.
func misplaced(t *testing.T, g *gate) { // R-CRED-5
	t.Helper()
	flags := []string{"--tenant", g.minted[0].Tenant, "--env", g.minted[0].Environment}
	k, inPath := g.mint(t, flags...), g.mint(t, flags...)
	g.minted = g.minted[:len(g.minted)-1] // Envoy logs paths, and cannot know what stands in one
	for _, d := range g.doors(t) {
		d.send(t, "GET", "/a?key="+k.Key+"&"+k.Key, "Referer: http://a/?key="+k.Key, "User-Agent: "+k.Key, "Cookie: key="+k.Key)
		d.send(t, "GET", "/a", "Authorization: Basic "+k.Key, "Proxy-Authorization: Bearer "+k.Key, "X-Api_Key: "+k.Key)
		d.send(t, "GET", "/a/"+inPath.Key)
	}
	if _, _, secret := parts(inPath.Key); strings.Contains(g.Log(), secret) {
		t.Error("Postern's log holds a key that stood in a path")
	}
}

// written is all that Postern and Envoy wrote, by a name for test output.
func (g *gate) written(t *testing.T) map[string][]byte {
	t.Helper()
	g.Run(t, "store", "backup", filepath.Join(g.dir, "backup.db"))
	all := map[string][]byte{
		"Postern's log":      []byte(g.Log()),
		"Envoy's log":        []byte(g.rendered.Log()),
		"Envoy's access log": []byte(g.rendered.AccessLog()),
		"a bare Envoy's log": []byte(g.bare.Log()),
		"the metrics":        []byte(g.metrics(t)),
		"the audit":          []byte(g.ask(t, "data/admin.sock", "/v1/audit?limit=10000")),
		"the list of keys":   []byte(g.Run(t, "keys", "list", "-o", "json")),
		"an export":          []byte(g.Run(t, "keys", "export")),
		"a bootstrap":        g.render(t),
	}
	if g.errors.Len() > 0 {
		all["an error reply"] = g.errors.Bytes()
	}
	err := filepath.WalkDir(g.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || entry.Name() == "pepper" {
			return err
		}
		all[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// metrics is what Prometheus would read.
func (g *gate) metrics(t *testing.T) string {
	t.Helper()
	text := g.ask(t, "health.sock", "/metrics")
	if !strings.Contains(text, "postern_") {
		t.Fatalf("metrics: %.200q", text)
	}
	return text
}

// ask reads a path of one of Postern's sockets.
func (g *gate) ask(t *testing.T, socket, path string) string {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(g.dir, socket))
		},
	}}
	response, err := client.Get("http://postern" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v, %s, %.200q", path, err, response.Status, body)
	}
	return string(body)
}
