package authtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

// Fatalf ends the test that only records how it ended.
func (v *verdict) Fatalf(format string, args ...any) {
	v.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// attempt runs what may end the test, and tells how it did.
func attempt(t *testing.T, test func(tb testing.TB)) verdict {
	t.Helper()
	v := verdict{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(&v)
	}()
	<-done
	return v
}

func TestPosternThatCannotServeFailsTheTestWithItsLog(t *testing.T) {
	config := filepath.Join(t.TempDir(), "postern.yaml")
	if err := os.WriteFile(config, []byte("version: 1\nprofile: nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]verdict{
		"serve": attempt(t, func(tb testing.TB) {
			tb.Helper()
			authtest.StartPostern(tb, config)
		}),
		"another command": attempt(t, func(tb testing.TB) {
			tb.Helper()
			authtest.Run(tb, authtest.Binary(tb), config, "check", "config")
		}),
	} {
		if !strings.Contains(v.failed, "nonsense") {
			t.Errorf("%s: %+v, want a failure that quotes the log", name, v)
		}
	}
}

func TestPosternRunsFromReadyToAStopOrAKill(t *testing.T) {
	config := filepath.Join(t.TempDir(), "postern.yaml")
	if err := os.WriteFile(config, []byte("version: 1\nshutdown: { delay: 0s }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("a stop", func(t *testing.T) {
		p := authtest.StartPostern(t, config)
		if out := p.Run(t, "keys", "list", "-o", "json"); out != `{"keys":[]}`+"\n" {
			t.Errorf("keys list printed %q", out)
		}
	})
	t.Run("a kill", func(t *testing.T) {
		p := authtest.StartPostern(t, config)
		p.Kill(t)
		if strings.Contains(p.Log(), "clean shutdown") {
			t.Errorf("it had time to stop: %s", p.Log())
		}
	})
}
