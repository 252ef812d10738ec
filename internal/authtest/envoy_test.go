package authtest_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
)

func TestEnvoyStandsBetweenClientAndUpstream(t *testing.T) {
	g, socket := startGate(t)
	u := authtest.StartUpstream(t)
	e := authtest.StartEnvoy(t, authtest.BareEnvoy(t, socket, u, map[string]string{"public.test": "public"}))
	addr := e.Addr(t, authtest.BareRaw)

	t.Run("HTTP/1.1 reaches it with bytes, order and duplicates kept", func(t *testing.T) {
		r := authtest.HTTP1(t, addr, authtest.Lines("GET /a/../b?x=1 HTTP/1.1", "Host: test", "X_Odd: \xff\xe9", "X-A: 2", "X-A: 1"))
		echo, ok := r.Echo()
		if !ok || r.Status != 200 {
			t.Fatalf("got %+v, want the upstream's echo", r)
		}
		if got, want := echo.Path(), "/a/../b?x=1"; got != want {
			t.Errorf("path %q, want %q", got, want)
		}
		if diff := cmp.Diff([]string{"2", "1"}, authtest.Values(echo.Fields, "x-a")); diff != "" {
			t.Errorf("x-a (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"\xff\xe9"}, authtest.Values(echo.Fields, "x_odd")); diff != "" {
			t.Errorf("x_odd (-want +got):\n%s", diff)
		}
	})
	t.Run("HTTP/2 reaches it with fields as they were sent", func(t *testing.T) {
		r := authtest.HTTP2(t, addr, authtest.Fields(":method: GET", ":path: /h2?y", ":scheme: http", ":authority: test", "x-a: \xff"), nil)
		echo, ok := r.Echo()
		if !ok || r.Status != 200 || echo.Path() != "/h2?y" || authtest.Values(echo.Fields, "x-a")[0] != "\xff" {
			t.Errorf("got %+v with echo %+v", r, echo)
		}
	})
	t.Run("gRPC gets its status", func(t *testing.T) {
		r := authtest.GRPC(t, addr, "/notes.Notes/Get", authtest.Fields("x-a: 1")...)
		if code, message := r.GRPC(); code != 0 || message != "" {
			t.Errorf("grpc-status %d %q, want 0: %+v", code, message, r)
		}
	})
	for name, raw := range map[string]string{
		"a WebSocket": authtest.Lines("GET /ws HTTP/1.1", "Host: test", "Connection: Upgrade", "Upgrade: websocket"),
		"a CONNECT":   authtest.Lines("CONNECT test:443 HTTP/1.1", "Host: test:443"),
	} {
		t.Run(name+" talks with it", func(t *testing.T) {
			r, conn := authtest.Upgrade(t, addr, raw)
			if conn == nil {
				t.Fatalf("refused: %+v", r)
			}
			b := make([]byte, len("hello"))
			if _, err := io.WriteString(conn, "hello"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hello" {
				t.Errorf("got %q, %v, want the bytes back", b, err)
			}
		})
	}
	t.Run("the operator's word arrives for the hosts that have one", func(t *testing.T) {
		authtest.HTTP1(t, addr, authtest.Lines("GET / HTTP/1.1", "Host: public.test"))
		if got := g.last(t).GetAttributes().GetContextExtensions()["policy"]; got != "public" {
			t.Errorf("policy %q, want public", got)
		}
	})
	if !strings.Contains(e.Log(), "[warning]") {
		t.Errorf("no warning in Envoy's log, though it always has one about downstream connections: %q", e.Log())
	}
}

func TestEnvoyThatRefusesItsConfigurationSaysWhy(t *testing.T) {
	log, err := authtest.ValidateEnvoy(t, []byte("static_resources: { nonsense: 1 }"))
	if err == nil || !strings.Contains(log, "nonsense") {
		t.Errorf("got %v and %q, want an error about nonsense", err, log)
	}
}

// verdict is a test that only records how it ended.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (v *verdict) Helper()          {}
func (v *verdict) Skip(args ...any) { v.skipped, _ = args[0].(string); runtime.Goexit() }
func (v *verdict) Fatal(args ...any) {
	v.failed, _ = args[0].(string)
	runtime.Goexit()
}

func TestWithoutAnEnvoyNothingPassesInSilence(t *testing.T) {
	require := func() verdict {
		return attempt(t, func(tb testing.TB) {
			tb.Helper()
			authtest.RequireEnvoy(tb)
		})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("POSTERN_ENVOY", "")
	t.Setenv("PATH", dir)
	t.Setenv("CI", "")
	if v := require(); !strings.Contains(v.skipped, "NOT TESTED") || v.failed != "" {
		t.Errorf("on a workstation: %+v, want a skip that says so", v)
	}
	t.Setenv("CI", "1")
	if v := require(); !strings.Contains(v.failed, "NOT TESTED") || v.skipped != "" {
		t.Errorf("in CI: %+v, want a failure", v)
	}
	tool := filepath.Join(dir, ".tools", "envoy")
	if err := os.MkdirAll(filepath.Dir(tool), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tool, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := authtest.RequireEnvoy(t); got != tool {
		t.Errorf("RequireEnvoy = %q, want the one that make tools fetched, %q", got, tool)
	}
}
