package authtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// built is the postern that this test process built, once.
var built struct {
	sync.Once
	dir string // to be removed
	err error
}

// Main runs the tests of a package that calls [Binary] or [StartPostern], and removes what was built for them.
func Main(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// Binary builds cmd/postern, with the race detector if the tests have it, and returns its path.
func Binary(tb testing.TB) string {
	tb.Helper()
	built.Do(func() { built.dir, built.err = build(moduleRoot(tb)) })
	if built.err != nil {
		tb.Fatal(built.err)
	}
	return filepath.Join(built.dir, "postern")
}

// build builds cmd/postern into a new folder.
func build(root string) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "postern"); err != nil {
		return "", err
	}
	command := exec.Command("go", "build", fmt.Sprintf("-race=%t", raceEnabled), "-o", dir, "./cmd/postern")
	command.Dir = root
	if log, err := command.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building postern: %w\n%s", err, log)
	}
	return dir, nil
}

// Postern is a running `postern serve`.
type Postern struct {
	process
	binary, config string
	env            []string
	sockets        []Socket
}

// Socket is a listening socket that a test holds for one Postern after another, as a service manager does.
type Socket struct {
	Name string // authz, admin or health
	File *os.File
}

// StartPostern serves the configuration in that file, and returns when it is ready. env is added to its environment,
// each as NAME=value. When the test ends it gets a SIGTERM and must exit with 0, unless the test stopped it before.
func StartPostern(tb testing.TB, config string, env ...string) *Postern {
	tb.Helper()
	return StartPosternOn(tb, config, nil, env...)
}

// StartPosternOn is StartPostern with sockets that are handed over as systemd does.
func StartPosternOn(tb testing.TB, config string, sockets []Socket, env ...string) *Postern {
	tb.Helper()
	p := &Postern{binary: Binary(tb), config: config, env: env, sockets: sockets}
	path, args := p.binary, []string{"serve", "--config", config}
	if len(sockets) > 0 {
		var names []string
		for _, s := range sockets {
			names = append(names, s.Name)
			p.files = append(p.files, s.File)
		}
		env = append(env, fmt.Sprintf("LISTEN_FDS=%d", len(sockets)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
		path, args = "/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, p.binary}, args...)
	}
	p.start(tb, path, args, env)
	ready := false
	tb.Cleanup(func() {
		if err := p.stop(syscall.SIGTERM); ready && err != nil && !errors.Is(err, errKilled) {
			tb.Errorf("postern serve, after SIGTERM: %v\n%s", err, p.Log())
		}
	})
	p.await(tb, "being ready", func() bool { return strings.Contains(p.Log(), `"msg":"ready"`) })
	ready = true
	return p
}

// Stop ends it with SIGTERM. It must exit with 0.
func (p *Postern) Stop(tb testing.TB) {
	tb.Helper()
	if err := p.stop(syscall.SIGTERM); err != nil {
		tb.Fatalf("postern serve, after SIGTERM: %v\n%s", err, p.Log())
	}
}

// Restart stops it, and starts a successor with the same configuration on the same sockets.
func (p *Postern) Restart(tb testing.TB) *Postern {
	tb.Helper()
	p.Stop(tb)
	return StartPosternOn(tb, p.config, p.sockets, p.env...)
}

// Reload asks it with a SIGHUP to read its configuration again, and waits until it has.
func (p *Postern) Reload(tb testing.TB) {
	tb.Helper()
	const done = `"msg":"configuration reloaded"`
	before := strings.Count(p.Log(), done)
	if err := p.command.Process.Signal(syscall.SIGHUP); err != nil {
		tb.Fatal(err)
	}
	p.await(tb, "a reload", func() bool { return strings.Count(p.Log(), done) > before })
}

var errKilled = errors.New("killed by the test")

// Kill ends it with SIGKILL, as a crash would.
func (p *Postern) Kill(tb testing.TB) {
	tb.Helper()
	_ = p.stop(syscall.SIGKILL)
	p.err = errKilled
}

// Log is what it wrote to stderr so far.
func (p *Postern) Log() string { return p.stderr.String() }

// Run runs another command of the same binary on the same configuration, and returns its stdout. It must exit with 0.
func (p *Postern) Run(tb testing.TB, args ...string) string {
	tb.Helper()
	return Run(tb, p.binary, p.config, args...)
}

// Run runs a command of the binary on a configuration, and returns its stdout. It must exit with 0.
func Run(tb testing.TB, binary, config string, args ...string) string {
	tb.Helper()
	var stderr bytes.Buffer
	command := exec.Command(binary, append(args, "--config", config)...)
	command.Env, command.Stderr = environment(), &stderr
	stdout, err := command.Output()
	if err != nil {
		tb.Fatalf("postern %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(stdout)
}
