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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/api"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/telemetry"
)

type serveCmd struct{ located }

// Help is the detail of the command's help.
func (*serveCmd) Help() string {
	return `Makes the data folder at its first start. Logs a line for each listener, then "ready". SIGTERM: not serving, a delay for callers to notice (shutdown.delay), then the checks in flight (at most shutdown.deadline), then exit 0. A second signal ends it at once.

When the file changes, or one that it names, and on SIGHUP, all of it is read again: what is right is in force from the next check on, what is not is logged and changes nothing. profile, data_dir, listen, pepper, record_mac, authz.socket_mode, and whether there is TLS or a client_ca, need a restart.

Sockets may be inherited as systemd hands them over, named authz, api, admin or health. Then SIGTERM ends it without shutdown.delay, and no check is lost: what connects meanwhile waits for the next start.

Example:

    postern serve --config /etc/postern/postern.yaml`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, out *output) error {
	path, err := c.find()
	if err != nil {
		return err
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP) // whoever sends one never means to end the gate, also while it starts or stops
	defer signal.Stop(asked)
	from := process{source: newSource(path), style: &telemetry.Style{}, notify: newNotify(), asked: asked}
	if from.inherited, err = inherit(); err != nil {
		return err
	}
	defer from.inherited.close()
	s, err := from.source.readGate()
	if err != nil {
		return err
	}
	stderr := telemetry.NewWriter(out.stderr)
	defer stderr.Close()
	setStyle(from.style, s.Config)
	from.log = telemetry.NewLogger(telemetry.Options{Writer: stderr, Style: from.style})
	p, err := newPostern(ctx, s, from)
	if err != nil {
		return err
	}
	publishLog(p.registry, stderr)
	if err := errors.Join(p.run(ctx), p.close()); err != nil {
		return err
	}
	from.log.InfoContext(context.WithoutCancel(ctx), "clean shutdown")
	return nil
}

// process is what a Postern is given beside its configuration. Log must be set.
type process struct {
	log       *slog.Logger
	style     *telemetry.Style // of the log; nil: it stays as it is
	source    *source          // where the configuration can be read again; nil: nowhere
	asked     <-chan os.Signal // to read it again; nil: never
	inherited inherited
	notify    notify
}

// postern is everything that serves, built and listening.
type postern struct {
	process
	now        atomic.Pointer[snapshot] // what is in force
	configured *configured              // how it got there
	data       *data
	tokens     *extauthz.Tokens
	health     telemetry.Health
	opened     []net.Listener

	registry *prometheus.Registry

	service *extauthz.Service // answers Envoy
	authz   net.Listener      // there
	state   telemetry.State   // of it
	api     *api.Handler      // answers clients; nil: nobody does
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
	if p.data, err = openData(ctx, s.Config, owning, p.log); err != nil {
		return nil, alreadyRunning(ctx, s.Config, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	p.registry = telemetry.NewRegistry(build())
	publish(p.registry, p.data.keys)
	p.registry.MustRegister(community{p.data.users})
	p.registry.MustRegister(issued{p.data.tokens})
	p.registry.MustRegister(newExpiries(p.now.Load))
	p.configured = newConfigured(p.registry)
	if p.tokens, err = newTokens(s.Config, p.data); err != nil {
		return nil, err
	}
	first, err := p.newSnapshot(s)
	if err != nil {
		return nil, err
	}
	first.lost = p.data.lost
	p.now.Store(first)
	p.registry.MustRegister(verified{p.tokens, func() []*keySource { return p.now.Load().sources }})
	p.configured.loaded(time.Now())
	p.warn(ctx)
	p.health = telemetry.Health{
		{Name: "authz", Status: p.state.Status},
		{Name: "store", Status: p.storeStatus},
		{Name: "tokens", Status: p.tokenStatus},
		{Name: "issuers", Status: p.issuerStatus},
		{Name: "config", Status: p.configured.state.Status},
	}
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
	if err := p.inherited.unused(c.Config); err != nil {
		return err
	}
	options := adminOptions(c.Config, p.data.keys)
	options.Status, options.Log, options.Users = p.status, p.log, p.data.users
	options.Check = explain(func() *extauthz.Authorizer { return p.now.Load().checks.Authorizer })
	options.Verify = p.verify
	p.data.serveTokens(&options)
	watchers := telemetry.NewHandler(p.health, p.registry, p.log)
	for _, place := range c.listeners() {
		mode := os.FileMode(0o600)
		switch place.name {
		case "authz":
			mode = c.Authz.SocketMode
		case "api": // Envoy's too; whoever connects there is believed who the client is
			mode = c.Authz.SocketMode &^ 0o007
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
		case "api":
			p.servers = append(p.servers, p.serveAPI(l))
		case "admin":
			p.servers = append(p.servers, p.management(l, options, watchers))
		default:
			p.servers = append(p.servers, server{telemetry.NewServer(watchers, p.log), l})
		}
	}
	if !c.Listed("listen.authz") && p.inherited["authz"] == nil {
		p.log.WarnContext(ctx, "only this user can connect to the default authz socket: set listen.authz to let Envoy in as another user")
	}
	return nil
}

// open opens one listener.
func (p *postern) open(ctx context.Context, at place, mode os.FileMode) (net.Listener, error) {
	l, err := p.inherited.listener(at, mode)
	if err != nil {
		return nil, err
	}
	where := []any{"listener", at.name}
	if l != nil {
		where = append(where, "inherited", true)
	} else if l, err = listen(ctx, at.at, mode); err != nil {
		return nil, err
	}
	p.opened = append(p.opened, l)
	if p.inDataDir(at.at) && p.inherited[at.name] == nil { // root acts as its owner, who may follow as the process, or ask it
		if err := giveAwaySocket(at.at.Text); err != nil {
			p.log.WarnContext(ctx, "the socket is not its folder's owner's", "path", at.at.Text, "err", err)
		}
	}
	if at.at.Network == "unix" {
		where = append(where, "address", absolute(at.at).String(), "mode", fmt.Sprintf("%04o", mode))
	} else {
		where = append(where, "address", l.Addr().String())
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
	group.Go(func() error { return p.data.fetcher.Run(background) })
	group.Go(func() error { return p.data.tokens.Run(background) })
	group.Go(func() error { return (&reloading{postern: p}).run(serving) })
	group.Go(func() error {
		<-serving.Done()
		defer finish()
		p.drain(ctx)
		return nil
	})
	p.state.Set(telemetry.Status{Ready: true})
	p.service.Ready()
	p.notify.ready("serving")
	p.log.InfoContext(ctx, "ready", "pid", os.Getpid(), "version", build().Version, "profile", string(p.now.Load().Profile))
	return group.Wait()
}

// drain stops serving: it says so, gives callers time to notice unless something failed, and lets end what has begun.
//
// Callers of a socket that a parent keeps need not notice: whoever connects from now on waits for the next process, which
// may begin at once. It finds no admin.sock, and so waits for the database.
func (p *postern) drain(ctx context.Context) {
	asked, shutdown := ctx.Err() != nil, p.now.Load().Shutdown
	if p.inherited["authz"] != nil {
		shutdown.Delay = 0
	}
	ctx = context.WithoutCancel(ctx)
	p.notify.stopping()
	p.state.Set(telemetry.Status{Detail: "stopping"})
	p.service.Unready()
	if asked {
		p.log.InfoContext(ctx, "stopping", "delay", shutdown.Delay, "deadline", shutdown.Deadline)
		time.Sleep(shutdown.Delay)
	}
	ctx, cancel := context.WithTimeout(ctx, shutdown.Deadline)
	defer cancel()
	var others sync.WaitGroup
	if p.inherited["authz"] != nil {
		others.Go(func() { p.shutServers(ctx) })
	}
	if err := p.service.Drain(ctx); err != nil {
		p.log.WarnContext(ctx, "checks in flight were cut off at the deadline", "err", err)
	}
	others.Wait()
	p.shutServers(ctx)
}

// shutServers ends the HTTP listeners and what is asked there. It may be called again.
func (p *postern) shutServers(ctx context.Context) {
	for _, s := range p.servers {
		if err := s.Shutdown(ctx); err != nil {
			_ = s.Close() // the deadline, and what is left is an operator's request or a probe
		}
	}
}

// close closes the listeners, those that run has not, and the data.
func (p *postern) close() error {
	var err error
	if p.service != nil { // and what answers checks, if nobody ran it
		p.service.Close()
	}
	for _, l := range p.opened {
		if e := l.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	if p.tokens != nil {
		p.tokens.Close()
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
	err := p.data.keys.Check(ctx)
	status := readiness(err)
	switch {
	case !status.Ready:
		p.log.ErrorContext(ctx, "the store cannot answer", "err", err)
	case err != nil:
		p.log.ErrorContext(ctx, "the store takes no changes", "err", err)
	}
	return status
}

// readiness is that of a store that says err of itself. Whoever asks for it wants to know whether checks are answered.
func readiness(err error) telemetry.Status {
	switch {
	case errors.Is(err, store.ErrUnseen):
		return telemetry.Status{Ready: true, Detail: "answers, and takes no changes: see the log"}
	case err != nil:
		return telemetry.Status{Detail: "the database cannot be read: see the log"}
	}
	return telemetry.Status{Ready: true}
}

// warn logs what an operator should know about the configuration, the data and the process before it serves.
func (p *postern) warn(ctx context.Context) {
	p.warnOf(ctx, nil)
	for _, path := range p.data.narrowed {
		p.log.WarnContext(ctx, "took away the rights of the group", "path", path)
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
