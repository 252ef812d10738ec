package api_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postern-auth/postern/internal/api"
)

const unavailable = `{"error": "Service unavailable"}`

// handling is a listener of mka1's with a guard of the test's.
func handling(t *testing.T, most int, guard api.Guard) (*api.Handler, *bytes.Buffer) {
	t.Helper()
	site, err := api.NewSite(api.Settings{Form: api.FormMKA1, PublicURL: "https://a.example", Issuer: "https://a.example"})
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	return api.New(api.Options{
		Site: site, MaxInFlight: most, Log: slog.New(slog.NewTextHandler(log, nil)),
		Guard: func(api.Demand) api.Guard { return guard },
		Refuse: func(c api.Class) api.Reply {
			if c != api.ClassUnavailable {
				t.Errorf("refused as %s", c)
			}
			return api.Reply{Status: 503, Body: []byte(unavailable)}
		},
	}), log
}

// whoami calls the endpoint with that.
func whoami(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/authentication/whoami", nil))
	return w
}

func passes(*http.Request, *api.Subject, time.Time) api.Decision {
	return api.Decision{Caller: &api.Caller{Tenant: "acme"}}
}

// As many calls as it was told are worked on at once. One more is refused and not decided, and what is over makes room.
func TestCallsBeyondTheBoundAreRefused(t *testing.T) {
	t.Parallel()
	const most = 3
	entered, leave := make(chan struct{}), make(chan struct{})
	h, _ := handling(t, most, func(r *http.Request, s *api.Subject, now time.Time) api.Decision {
		entered <- struct{}{}
		<-leave
		return passes(r, s, now)
	})
	ended := make(chan int, most)
	for range most {
		go func() { ended <- whoami(h).Code }()
	}
	for range most {
		<-entered
	}
	for range 2 { // a refusal takes no room either
		if w := whoami(h); w.Code != 503 || w.Body.String() != unavailable || w.Header().Get("X-Request-Id") == "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("one more: %d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	leave <- struct{}{}
	if code := <-ended; code != 200 {
		t.Errorf("one of those within: %d", code)
	}
	go func() { ended <- whoami(h).Code }()
	<-entered
	close(leave)
	for range most {
		if code := <-ended; code != 200 {
			t.Errorf("one of those within: %d", code)
		}
	}
}

// The zero Decision refuses, with an answer.
func TestNoDecisionIsARefusal(t *testing.T) {
	t.Parallel()
	h, _ := handling(t, 1, func(*http.Request, *api.Subject, time.Time) api.Decision { return api.Decision{} })
	if w := whoami(h); w.Code != 503 || w.Body.String() != unavailable {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A panic is an answer and a line in the log, without what it was about; its room is free again. R-LOG-1
func TestAPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	const secret = "live_abcdefghijkl"
	wrong := true
	h, log := handling(t, 1, func(r *http.Request, s *api.Subject, now time.Time) api.Decision {
		if wrong {
			panic(errors.New(secret))
		}
		return passes(r, s, now)
	})
	for range 2 {
		if w := whoami(h); w.Code != 503 || w.Body.String() != unavailable || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	if said := log.String(); !strings.Contains(said, "call panicked") || !strings.Contains(said, "*errors.errorString") || strings.Contains(said, secret) {
		t.Errorf("logged %s", said)
	}
	wrong = false
	if w := whoami(h); w.Code != 200 {
		t.Errorf("after it: %d %s", w.Code, w.Body)
	}
}

// pipes listens in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// A client that is slow is cut off, whatever it is slow at, and has no room of others meanwhile or afterwards: R-PROC-2.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	const exchange = "POST /api/v1/authentication/api-key/exchange-token HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
	for name, c := range map[string]struct {
		says  string // at once
		then  string // again and again, a second apart
		reads bool
		ends  time.Duration
	}{
		"says nothing":           {"", "", true, 5 * time.Second},
		"headers without an end": {"GET /x HTTP/1.1\r\n", "A: b\r\n", true, 5 * time.Second},
		"a body that trickles":   {exchange, "x", true, 10 * time.Second},
		"reads no reply":         {"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "", false, 30 * time.Second},
		"asks for nothing more":  {"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "", true, 2 * time.Minute},
		"a preface of HTTP/2":    {"PRI * HTTP/2.0\r\n\r\n", "", true, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, _ := handling(t, 1, passes)
				l := &pipes{make(chan net.Conn), make(chan struct{})}
				server := api.NewServer(h, slog.New(slog.DiscardHandler))
				served := make(chan error, 1)
				go func() { served <- server.Serve(l) }()
				near, far := net.Pipe()
				l.conns <- far
				began := time.Now()
				gone, silent := make(chan struct{}), make(chan struct{})
				go func() { // the client's words
					defer close(silent)
					_, err := io.WriteString(near, c.says)
					for err == nil && c.then != "" {
						time.Sleep(time.Second)
						_, err = io.WriteString(near, c.then)
					}
				}()
				go func() { // and ears
					defer close(gone)
					if !c.reads {
						time.Sleep(c.ends + time.Second)
					}
					_, _ = io.Copy(io.Discard, bufio.NewReader(near))
				}()
				<-gone
				limit := c.ends
				if !c.reads {
					limit += time.Second
				}
				if took := time.Since(began); took > limit+time.Second || took < limit-time.Second {
					t.Errorf("it was cut off after %v, want %v", took, c.ends)
				}
				if w := whoami(h); w.Code != 200 {
					t.Errorf("another client: %d %s", w.Code, w.Body)
				}
				_ = near.Close()
				<-silent
				if err := server.Close(); err != nil {
					t.Error(err)
				}
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
		})
	}
}
