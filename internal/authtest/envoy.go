package authtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// RequireEnvoy returns the path of the Envoy to test with: what POSTERN_ENVOY names, else the one in PATH, else the one
// in .tools at the root of the module. Without any the test is skipped, or fails where CI is set, as .ci/run does:
// there a test that nobody ran must not look like one that passed.
func RequireEnvoy(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv("POSTERN_ENVOY"); path != "" {
		return path
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return path
	}
	if path := filepath.Join(moduleRoot(tb), ".tools", "envoy"); isFile(path) {
		return path
	}
	const missing = "NOT TESTED: no Envoy in POSTERN_ENVOY, PATH or .tools; `make tools` fetches one"
	if os.Getenv("CI") != "" {
		tb.Fatal(missing)
	}
	tb.Skip(missing)
	return ""
}

// Envoy is a running Envoy. Its methods may be called by several goroutines at once.
type Envoy struct {
	process
	admin     string            // host:port of its admin listener
	listeners map[string]string // name → host:port
}

// StartEnvoy runs Envoy with a bootstrap in YAML, and returns when it serves; it ends with the test. The bootstrap needs
// an admin listener. Its ports should be 0, so that the kernel chooses free ones: [Envoy.Addr] tells which. env is
// added to its environment, each as NAME=value.
func StartEnvoy(tb testing.TB, bootstrap []byte, env ...string) *Envoy {
	tb.Helper()
	path, dir := RequireEnvoy(tb), tb.TempDir()
	config, admin := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "admin")
	if err := os.WriteFile(config, bootstrap, 0o600); err != nil {
		tb.Fatal(err)
	}
	e := &Envoy{listeners: map[string]string{}}
	e.start(tb, path, []string{
		"-c", config, "--admin-address-path", admin, "--disable-hot-restart", "--concurrency", "2",
		"--file-flush-interval-msec", "100", "--log-level", "warning",
	}, env)
	tb.Cleanup(e.Stop)
	e.await(tb, "its admin address", func() bool {
		b, err := os.ReadFile(admin)
		e.admin = strings.TrimSpace(string(b))
		return err == nil && e.admin != ""
	})
	e.await(tb, "being ready", func() bool {
		body, err := e.get("/ready")
		return err == nil && strings.HasPrefix(body, "LIVE")
	})
	e.readListeners(tb)
	return e
}

// ValidateEnvoy has Envoy read a bootstrap without serving it, and returns what it logs: at least its complaint about
// what is wrong or deprecated. The error says whether it accepted it.
func ValidateEnvoy(tb testing.TB, bootstrap []byte) (log string, err error) {
	tb.Helper()
	config := filepath.Join(tb.TempDir(), "envoy.yaml")
	if err := os.WriteFile(config, bootstrap, 0o600); err != nil {
		tb.Fatal(err)
	}
	b, err := exec.Command(RequireEnvoy(tb), "--mode", "validate", "-c", config, "--disable-hot-restart", "--log-level", "warning").CombinedOutput()
	return string(b), err
}

// Addr is the address of the listener with that name, as host:port.
func (e *Envoy) Addr(tb testing.TB, listener string) string {
	tb.Helper()
	addr, ok := e.listeners[listener]
	if !ok {
		tb.Fatalf("Envoy has no listener %q, but %v", listener, e.listeners)
	}
	return addr
}

// Log is what Envoy wrote to stderr so far: warnings and errors.
func (e *Envoy) Log() string { return e.stderr.String() }

// AccessLog is what Envoy wrote to stdout so far; what it logged in the last tenth of a second may be missing.
func (e *Envoy) AccessLog() string { return e.stdout.String() }

// AwaitAccessLog waits for a line of the access log that holds the text, and returns it.
func (e *Envoy) AwaitAccessLog(tb testing.TB, text string) string {
	tb.Helper()
	var found string
	e.await(tb, fmt.Sprintf("access log line with %q", text), func() bool {
		for line := range strings.Lines(e.AccessLog()) {
			if strings.Contains(line, text) && strings.HasSuffix(line, "\n") {
				found = line
			}
		}
		return found != ""
	})
	return found
}

// ConfigDump is what Envoy says about its configuration, endpoints included.
func (e *Envoy) ConfigDump(tb testing.TB) []byte {
	tb.Helper()
	body, err := e.get("/config_dump?include_eds")
	if err != nil {
		tb.Fatal(err)
	}
	return []byte(body)
}

// Stat is the value of one of Envoy's counters or gauges.
func (e *Envoy) Stat(tb testing.TB, name string) int {
	tb.Helper()
	body, err := e.get("/stats?filter=" + url.QueryEscape("^"+regexp.QuoteMeta(name)+"$"))
	if err != nil {
		tb.Fatal(err)
	}
	_, value, found := strings.Cut(strings.TrimSpace(body), ": ")
	n, err := strconv.Atoi(value)
	if !found || err != nil {
		tb.Fatalf("Envoy has no counter %q, but %q", name, body)
	}
	return n
}

// Stop ends Envoy. It may be called more than once.
func (e *Envoy) Stop() { _ = e.stop(syscall.SIGKILL) }

func (e *Envoy) get(path string) (string, error) {
	client := http.Client{Timeout: patience}
	response, err := client.Get("http://" + e.admin + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	return string(b), err
}

func (e *Envoy) readListeners(tb testing.TB) {
	tb.Helper()
	body, err := e.get("/listeners?format=json")
	if err != nil {
		tb.Fatal(err)
	}
	var reply struct {
		Statuses []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(body), &reply); err != nil {
		tb.Fatal(err)
	}
	for _, l := range reply.Statuses {
		e.listeners[l.Name] = net.JoinHostPort(l.Address.Socket.Address, fmt.Sprint(l.Address.Socket.Port))
	}
}

// moduleRoot is the folder of go.mod.
func moduleRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for !isFile(filepath.Join(dir, "go.mod")) {
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod in any folder above this test")
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
