package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

// TestNoCheckIsLost reloads, restarts and stops Postern while clients ask through Envoy. T-13
func TestNoCheckIsLost(t *testing.T) {
	t.Parallel()
	authtest.RequireEnvoy(t)
	c := quickstart()
	g := &gate{dir: folder(t), upstream: authtest.StartUpstream(t)}
	config := configure(t, g.dir, c.example, change{"shutdown: { delay: 0s }", "shutdown: { delay: 1h }"}, change{"", `listen: { authz: "unix://DIR/authz.sock", health: "unix://DIR/health.sock" }`})
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	// The first listen section is replaced by the one above.
	lines := strings.Replace(strings.ReplaceAll(string(text), "DIR", g.dir), fmt.Sprintf("listen: { health: \"unix://%s/health.sock\" }\n", g.dir), "", 1)
	write := func(changed string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(lines)
	sockets := []authtest.Socket{hold(t, "authz", filepath.Join(g.dir, "authz.sock")), hold(t, "health", filepath.Join(g.dir, "health.sock"))}
	g.Postern = authtest.StartPosternOn(t, config, sockets)
	g.rendered = authtest.StartEnvoy(t, g.render(t))
	k := g.mint(t, c.holder...)
	lost := func(t *testing.T) {
		t.Helper()
		for _, counter := range []string{"upstream_cx_destroy_remote_with_active_rq", "upstream_rq_rx_reset", "upstream_rq_timeout"} {
			if n := g.rendered.Stat(t, "cluster.postern."+counter); n != 0 {
				t.Errorf("Envoy counts %d of %s", n, counter)
			}
		}
	}

	t.Run("while it is reloaded", func(t *testing.T) {
		load := g.load(t, c, k)
		for i := range 20 {
			write(lines + fmt.Sprintf("errors: { rate_limited: { message: Slow down %d } }\n", i))
			g.Reload(t)
			load.await(t, 20)
		}
		load.end(t)
		lost(t)
	})
	t.Run("while it is restarted on sockets that stay open", func(t *testing.T) {
		load := g.load(t, c, k)
		for range 5 {
			g.Postern = g.Restart(t) // without the delay of an hour
			load.await(t, 20)
		}
		load.end(t)
		lost(t)
		for _, name := range []string{"authz.sock", "health.sock"} {
			if _, err := os.Stat(filepath.Join(g.dir, name)); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("while it stops for good", func(t *testing.T) {
		write(strings.Replace(lines, "delay: 1h", "delay: 0s", 1))
		g.Stop(t) // and with it our hold on the sockets
		for _, s := range sockets {
			_ = s.File.Close()
		}
		g.Postern = authtest.StartPostern(t, config)
		load := g.load(t, c, k)
		load.await(t, 100)
		g.Stop(t) // no successor: what is asked from now on is refused, what was asked has its answer
		load.ended()
		lost(t)
	})
}

// hold listens on a Unix socket as a service manager does for the process that will serve it.
func hold(tb testing.TB, name, path string) authtest.Socket {
	tb.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		tb.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		tb.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		tb.Fatal(err)
	}
	_ = l.Close()
	tb.Cleanup(func() { _ = f.Close() })
	return authtest.Socket{Name: name, File: f}
}

// load is what clients send without a pause until it ends.
type load struct {
	passed, failed atomic.Int64
	cancel         context.CancelFunc
	clients        sync.WaitGroup
}

// load has clients send requests that must pass.
func (g *gate) load(t *testing.T, c contract, k key) *load {
	t.Helper()
	const clients = 8
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}
	url := "http://" + g.front(t).addr + c.shut
	header, value, _ := strings.Cut(c.credential(k.Key), ": ")
	for range clients {
		l.clients.Go(func() {
			for ctx.Err() == nil {
				switch ask(context.WithoutCancel(ctx), client, url, header, value) {
				case http.StatusOK:
					l.passed.Add(1)
				default:
					l.failed.Add(1)
				}
			}
		})
	}
	t.Cleanup(func() {
		l.ended()
		client.CloseIdleConnections()
	})
	return l
}

// await waits until so many more requests have passed.
func (l *load) await(t *testing.T, more int64) {
	t.Helper()
	until := l.passed.Load() + more
	eventually(t, func() bool { return l.passed.Load() >= until })
}

// ended ends the load.
func (l *load) ended() {
	l.cancel()
	l.clients.Wait()
}

// end ends the load, of which nothing may have failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.ended()
	if n := l.failed.Load(); n != 0 {
		t.Errorf("%d requests failed, %d passed", n, l.passed.Load())
	}
	t.Logf("%d requests passed", l.passed.Load())
}
