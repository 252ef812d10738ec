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
}

// StartPostern serves the configuration in that file, and returns when it is ready. env is added to its environment,
// each as NAME=value. When the test ends it gets a SIGTERM and must exit with 0, unless the test stopped it before.
func StartPostern(tb testing.TB, config string, env ...string) *Postern {
	tb.Helper()
	p := &Postern{binary: Binary(tb), config: config}
	p.start(tb, p.binary, []string{"serve", "--config", config}, env)
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
