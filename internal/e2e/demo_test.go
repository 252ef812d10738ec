package e2e

import (
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

// TestDemo runs what the README promises for the first minute.
func TestDemo(t *testing.T) {
	envoy := authtest.RequireEnvoy(t)
	demo := exec.CommandContext(t.Context(), filepath.Join("examples", "quickstart", "demo"))
	demo.Dir = filepath.Join("..", "..")
	demo.Env = append(demo.Environ(), "POSTERN="+authtest.Binary(t), "POSTERN_ENVOY="+envoy, "DEMO_DIR="+filepath.Join(folder(t), "demo"),
		"DEMO_GATE_PORT="+freePort(t), "DEMO_UPSTREAM_PORT="+freePort(t))
	out, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("the demo ended with %v:\n%s", err, out)
	}
	_, denied, found := strings.Cut(string(out), "4. Denied")
	denied, allowed, ok := strings.Cut(denied, "5. Allowed")
	allowed, public, okToo := strings.Cut(allowed, "6. Public")
	if !found || !ok || !okToo {
		t.Fatalf("the demo lacks one of its last three steps:\n%s", out)
	}
	for _, step := range []struct {
		name, text   string
		holds, lacks []string
	}{
		{"denied", denied, []string{"401 Unauthorized", "urn:postern:error:credential_missing"}, []string{"GET /v1/notes\n"}},
		{"allowed", allowed, []string{"200 OK", "GET /v1/notes\n", "\nx-tenant-id: default\n", "\nx-environment: LIVE\n", "\nx-on-behalf-of: user_123\n", "\nx-api-key-id: "}, []string{"\nauthorization: ", "\nx-tenant-id: somebody-else"}},
		{"public", public, []string{"200 OK", "GET /public/hello\n"}, []string{"\nx-tenant-id: "}},
	} {
		for _, text := range step.holds {
			if !strings.Contains(step.text, text) {
				t.Errorf("the %s request: no %q in\n%s", step.name, text, step.text)
			}
		}
		for _, text := range step.lacks {
			if strings.Contains(step.text, text) {
				t.Errorf("the %s request: %q in\n%s", step.name, text, step.text)
			}
		}
	}
}

// freePort is a port that nothing listens on at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
