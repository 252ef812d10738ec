package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/telemetry"
)

type serveCmd struct{ located }

// Help is the detail of the command's help.
func (*serveCmd) Help() string {
	return `Makes the data folder at its first start. Logs a line for each listener, then "ready". SIGTERM: not serving, a delay for callers to notice (shutdown.delay), then the checks in flight (at most shutdown.deadline), then exit 0. A second signal ends it at once. SIGHUP is logged and changes nothing yet.

Example:

    postern serve --config /etc/postern/postern.yaml`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, out *output) error {
	s, err := c.loadGate()
	if err != nil {
		return err
	}
	stderr := telemetry.NewWriter(out.stderr)
	defer stderr.Close()
	log := newLog(s.Config, stderr)
	p, err := newPostern(ctx, s, process{log: log})
	if err != nil {
		return err
	}
	publishLog(p.registry, stderr)
	if err := errors.Join(p.run(ctx), p.close()); err != nil {
		return err
	}
	log.InfoContext(context.WithoutCancel(ctx), "clean shutdown")
	return nil
}

// process is what a Postern is given beside its configuration.
type process struct {
	log *slog.Logger
}

// postern is everything that serves, built and listening.
type postern struct {
	process
	now    atomic.Pointer[snapshot] // what is in force
	data   *data
	health telemetry.Health
	opened []net.Listener

	registry *prometheus.Registry

	service *extauthz.Service // answers Envoy
	authz   net.Listener      // there
	state   telemetry.State   // of it
	servers []server          // the others
}

// server is one of the HTTP listeners.
type server struct {
	*http.Server
	listener net.Listener
}

// newPostern builds and listens. What it has opened when it fails is closed.
func newPostern(ctx context.Context, s settings, from process) (_ *postern, err error) {
	p := &postern{process: from}
	if p.data, err = openData(ctx, s.Config, writing, p.log); err != nil {
		return nil, alreadyRunning(ctx, s.Config, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	p.warn(ctx, s)
	p.registry = telemetry.NewRegistry(build())
	publish(p.registry, p.data.keys)
	first, err := p.newSnapshot(s)
	if err != nil {
		return nil, err
	}
	p.now.Store(first)
	p.health = telemetry.Health{{Name: "authz", Status: p.state.Status}, {Name: "store", Status: p.storeStatus}}
	if err := p.listen(ctx); err != nil {
		return nil, err
	}
	p.service = extauthz.NewService(extauthz.ServiceOptions{Snapshot: first.checks, Log: p.log})
	collectGarbage()
	return p, nil
}

// listen opens all listeners, and logs a line for each.
func (p *postern) listen(ctx context.Context) error {
	c := p.now.Load()
	options := adminOptions(c.Config, p.data.keys)
	options.Status, options.Log = p.status, p.log
	options.Check = explain(func() *extauthz.Authorizer { return p.now.Load().checks.Authorizer })
	options.Verify = p.verify
	watchers := telemetry.NewHandler(p.health, p.registry, p.log)
	for _, place := range c.listeners() {
		mode := os.FileMode(0o600)
		if place.name == "authz" {
			mode = c.Authz.SocketMode
		}
		l, err := p.open(ctx, place, mode)
		if err != nil {
			return err
		}
		switch place.name {
		case "authz":
			p.authz = l
		case "operators": // whoever may open admin.sock is one
			operators := telemetry.NewServer(admin.NewHandler(options), p.log)
			operators.ConnContext = peerActor
			p.servers = append(p.servers, server{operators, l})
		case "admin":
			p.servers = append(p.servers, p.management(l, options, watchers))
		default:
			p.servers = append(p.servers, server{telemetry.NewServer(watchers, p.log), l})
		}
	}
	if !c.Listed("listen.authz") {
		p.log.WarnContext(ctx, "only this user can connect to the default authz socket: set listen.authz to let Envoy in as another user")
	}
	return nil
}

// open opens one listener.
func (p *postern) open(ctx context.Context, at place, mode os.FileMode) (net.Listener, error) {
	l, err := listen(ctx, at.at, mode)
	if err != nil {
		return nil, err
	}
	p.opened = append(p.opened, l)
	if p.inDataDir(at.at) { // root acts as its owner, who may follow as the process, or ask it
		if err := giveAwaySocket(at.at.Text); err != nil {
			p.log.WarnContext(ctx, "the socket is not its folder's owner's", "path", at.at.Text, "err", err)
		}
	}
	where := []any{"listener", at.name, "address", l.Addr().String()}
	if at.at.Network == "unix" {
		where = []any{"listener", at.name, "address", absolute(at.at).String(), "mode", fmt.Sprintf("%04o", mode)}
	}
	p.log.InfoContext(ctx, "listening", where...)
	return l, nil
}

// inDataDir reports whether a is a socket in the data folder.
func (p *postern) inDataDir(a config.Address) bool {
	folder, err := filepath.Abs(p.now.Load().DataDir)
	return err == nil && a.Network == "unix" && filepath.Dir(absolute(a).Text) == folder
}

// run serves until ctx ends, or until something that serves fails.
func (p *postern) run(ctx context.Context) error {
	background, finish := context.WithCancel(context.WithoutCancel(ctx)) // outlives the drain: what is allowed then is counted too
	defer finish()
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return p.service.Serve(p.authz) })
	for _, s := range p.servers {
		group.Go(func() error {
			if err := s.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving %s: %w", s.listener.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error { return p.data.keys.Run(background) })
	group.Go(func() error {
		hangups(background, p.log)
		return nil
	})
	group.Go(func() error {
		<-serving.Done()
		defer finish()
		p.drain(ctx)
		return nil
	})
	p.state.Set(telemetry.Status{Ready: true})
	p.service.Ready()
	p.log.InfoContext(ctx, "ready", "pid", os.Getpid(), "version", build().Version, "profile", string(p.now.Load().Profile))
	return group.Wait()
}

// hangups logs each SIGHUP until ctx ends, and does nothing else: whoever sends one wants the file read again, not the gate closed.
func hangups(ctx context.Context, log *slog.Logger) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	defer signal.Stop(asked)
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			log.WarnContext(ctx, "reload is not built yet: restart to read the file again")
		}
	}
}

// drain stops serving: it says so, gives callers time to notice unless something failed, and lets end what has begun.
func (p *postern) drain(ctx context.Context) {
	asked, shutdown := ctx.Err() != nil, p.now.Load().Shutdown
	ctx = context.WithoutCancel(ctx)
	p.state.Set(telemetry.Status{Detail: "stopping"})
	p.service.Unready()
	if asked {
		p.log.InfoContext(ctx, "stopping", "delay", shutdown.Delay, "deadline", shutdown.Deadline)
		time.Sleep(shutdown.Delay)
	}
	ctx, cancel := context.WithTimeout(ctx, shutdown.Deadline)
	defer cancel()
	if err := p.service.Drain(ctx); err != nil {
		p.log.WarnContext(ctx, "checks in flight were cut off at the deadline", "err", err)
	}
	for _, s := range p.servers {
		if err := s.Shutdown(ctx); err != nil {
			_ = s.Close() // the deadline, and what is left is an operator's request or a probe
		}
	}
}

// close closes the listeners, those that run has not, and the data.
func (p *postern) close() error {
	var err error
	for _, l := range p.opened {
		if e := l.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, p.data.Close())
}

// status is what admin.sock says of this process.
func (p *postern) status(ctx context.Context) admin.Status {
	ready, _ := p.health.Report(ctx)
	return admin.Status{PID: os.Getpid(), Version: build().Version, Ready: ready}
}

// storeStatus says whether keys can be judged.
func (p *postern) storeStatus(ctx context.Context) telemetry.Status {
	if err := p.data.keys.Check(ctx); err != nil {
		p.log.ErrorContext(ctx, "the store cannot answer", "err", err)
		return telemetry.Status{Detail: "the database cannot be read: see the log"}
	}
	return telemetry.Status{Ready: true}
}

// warn logs what an operator should know about the configuration, the data and the process before it serves.
func (p *postern) warn(ctx context.Context, s settings) {
	p.warnOf(ctx, s)
	for _, path := range p.data.narrowed {
		p.log.WarnContext(ctx, "took away the rights of the group", "path", path)
	}
	if s.exposed != nil {
		p.log.WarnContext(ctx, "the memory of this process is not kept from others", "err", s.exposed)
	}
	if os.Geteuid() == 0 {
		p.log.WarnContext(ctx, "running as root: make a user for postern, which needs no privilege")
	}
	p.log.WarnContext(ctx, "limits are not enforced in this version")
}

// alreadyRunning names the process that has the data folder.
func alreadyRunning(ctx context.Context, c *config.Config, err error) error {
	if !errors.Is(err, errRunning) {
		return err
	}
	pid, unknown := answering(ctx, adminSocket(c))
	if unknown != nil {
		return fmt.Errorf("another postern has the data folder %q", c.DataDir)
	}
	return hint(fmt.Errorf("process %d has the data folder %q already", pid, c.DataDir), "stop it, or give this one a data_dir of its own")
}

// collectGarbage has the collector run after so much garbage, not after as much as is in use: with few keys that is rarer
// than by default, which is what a check costs most of beside its transport; with a million it is more often, and cheap,
// as the index holds no pointers.
func collectGarbage() {
	const garbage = 48 << 20
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return // the operator decides
	}
	debug.FreeOSMemory() // reading the index left as much
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(int(min(max(100*garbage/(live[0].Value.Uint64()+1), 25), 400)))
}
