package authtest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// CrashChild is for TestMain: in a child that [UntilKilled] started under the same variable it does not return, but works in dir until
// it is killed, and says what it begins and what was acknowledged, a line at a time. What ends by itself fails the test with its error.
func CrashChild(variable string, work func(dir string, say func(words ...any)) error) {
	dir := os.Getenv(variable)
	if dir == "" {
		return
	}
	var mu sync.Mutex
	err := work(dir, func(words ...any) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintln(os.Stdout, words...)
	})
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// UntilKilled runs the test binary again as a child that works in dir, hears what it says, and kills it (SIGKILL) at a random point
// of the time from its first word on, mostly soon.
func UntilKilled(tb testing.TB, variable, dir string, within time.Duration, hear func(line string)) {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(environment(), variable+"="+dir)
	child.Stderr = os.Stderr
	child.SysProcAttr = dieWithParent()
	out, err := child.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := child.Start(); err != nil {
		tb.Fatal(err)
	}
	var once sync.Once
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		once.Do(func() { // it has begun
			u := rand.Float64()
			time.AfterFunc(time.Duration(u*u*u*float64(within)), func() { _ = child.Process.Kill() })
		})
		hear(lines.Text())
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		tb.Fatalf("the child ended by itself: %v", err)
	}
}
