package authtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// patience is how long the kit waits for anything before it gives up. It is long: the machine may be busy.
const patience = 20 * time.Second

// process is a child that a test started, and that ends with the test at the latest.
type process struct {
	command        *exec.Cmd
	files          []*os.File // that it inherits
	stdout, stderr output
	ended          chan struct{} // closed when it has ended; then err is set
	err            error
}

func (p *process) start(tb testing.TB, path string, args, env []string) {
	tb.Helper()
	p.command = exec.Command(path, args...)
	p.command.Env = append(environment(), env...)
	p.command.Stdout, p.command.Stderr = &p.stdout, &p.stderr
	p.command.ExtraFiles = p.files
	p.command.SysProcAttr = dieWithParent()
	p.ended = make(chan struct{})
	if err := p.command.Start(); err != nil {
		tb.Fatalf("starting %s: %v", path, err)
	}
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
}

// environment is that of a child: ours, and for one built with the race detector a word not to wait a second before it ends.
func environment() []string {
	return append(os.Environ(), "GORACE=atexit_sleep_ms=0")
}

// stop sends the signal and waits. The error says how the process ended, if not with status 0.
func (p *process) stop(signal os.Signal) error {
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		err := p.command.Process.Kill()
		<-p.ended
		return errors.Join(fmt.Errorf("%s did not end within %v", p.command.Path, patience), err)
	}
}

// await waits until done reports true, and fails the test with the process's log if that takes too long or it ends first.
func (p *process) await(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		select {
		case <-p.ended:
			tb.Fatalf("%s ended before %s: %v\n%s", p.command.Path, what, p.err, p.stderr.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s: no %s within %v\n%s", p.command.Path, what, patience, p.stderr.String())
		}
	}
}

// output collects what a process writes while others read it.
type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
