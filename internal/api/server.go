package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/token"
)

// Limits of the listener. Envoy lets 60 KiB of headers through.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second // of a request with its body
	writeTimeout      = 30 * time.Second // from its headers to the end of the reply
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	maxStreams        = 250 // of an HTTP/2 connection
	pingAfter         = 30 * time.Second
	pingTimeout       = 15 * time.Second
	defaultInFlight   = 1024
)

// Options are what [New] needs. All but Federation must be set, down to MaxInFlight.
type Options struct {
	Site *Site // what it begins with

	// Guard has the gate guard an endpoint. It is asked once for each, and what it returns, for every call.
	Guard func(Demand) Guard

	// Refuse is what a client gets of a class that no decision named.
	Refuse func(Class) Reply

	// Tokens makes the tokens.
	Tokens *token.Authority

	// Examine says what a key or a token of ours proves now, whatever the token's audience. Nil: nothing. Nothing is counted.
	Examine func(ctx context.Context, text string, now time.Time) (*Facts, error)

	// Read returns what a token of ours says, whatever became of what it was made from; false: it is none, or has expired.
	Read func(ctx context.Context, text string, now time.Time) (token.Grant, bool, error)

	// Federation knows users and their providers. Nil but in [FormMLM].
	Federation *federation.Store

	// MaxInFlight is how many calls may be worked on at once; one more is 503. 0: 1024.
	MaxInFlight int

	// Registerer gets the metrics. Nil: they are counted all the same.
	Registerer prometheus.Registerer

	// Log gets what replies leave out. Nil: nowhere.
	Log *slog.Logger

	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// Demand is what an endpoint demands of whoever calls it.
type Demand struct {
	Endpoint    string // as logs call it
	Credentials Credentials
	Permissions []string // all must be held
}

// Guard is the gate's decision on a call, in this process: counted and logged, once. subject is a credential that stands in the
// body, where the headers must have none; nil: the headers have it.
type Guard func(r *http.Request, subject *Subject, now time.Time) Decision

// Credentials says which kinds of credentials a call may have.
type Credentials uint8

// The kinds that a call may have.
const (
	KeyOrToken      Credentials = iota
	Key                         // a token is a refused credential
	KeyTokenRefused             // a token that is proven is forbidden
	OthersToken                 // a token of another issuer; one of ours is a refused credential (R-EXCH-3)
)

// Subject is the credential that a call is about and by.
type Subject struct {
	Token bool // it is one; otherwise a key
	Text  string
}

// Class is an error of the gate's that the listener answers with too.
type Class string

// The classes.
const (
	ClassUnavailable  Class = "unavailable"
	ClassForbidden    Class = "forbidden"
	ClassRefused      Class = "credential_refused"
	ClassTokenRefused Class = "token_refused"
	ClassTokenExpired Class = "token_expired"
)

// Decision is what was decided about a call. The zero Decision refuses.
type Decision struct {
	Caller  *Caller // nil: the call is refused
	Known   []Field // on every reply to a known credential
	Refusal Reply   // where it is refused; holds Known already
}

// Caller is who calls, as far as it was proven.
type Caller struct {
	Token        bool // a token proves it; otherwise a key
	Tenant       string
	Organization bool // the tenant is one
	Environment  string
	EndUser      string    // ""; none
	Permissions  []string  // effective, sorted; shared, read only
	ExpiresAt    time.Time // of the credential; zero: never

	// Of the key, or of the one behind a token of ours.
	KeyID, KeyName, KeyStart string
	KeyExpiresAt             time.Time // zero: never
	Delegates                bool      // it may act for end users

	// Of a token of ours in [FormMLM].
	Provider, ExternalID string
}

// Facts are what a credential proves.
type Facts struct {
	Caller
	Subject, Audience, ID string    // of a token
	IssuedAt              time.Time // or made, of a key
}

// Handler answers the calls. [New] makes it.
type Handler struct {
	Options
	site     atomic.Pointer[Site]
	inFlight atomic.Int64

	subjectKey, subjectToken Guard // of credentials in a body

	resources map[symbol]resource
	metrics   metrics
}

// resource is what there is at one place: method → endpoint.
type resource map[string]endpoint

// endpoint answers one method of one resource.
type endpoint struct {
	demand *Demand // nil: none, or not by what stands in the headers
	guard  Guard   // of the demand
	body   string  // its media type; "": none is read
	oauth  bool    // errors are those of OAuth
	serve  func(*call) (Reply, error)
}

// call is one request at work.
type call struct {
	*Handler
	site   *Site
	r      *http.Request
	at     symbol // what is asked for
	id     string // of it, where it is one of many
	now    time.Time
	caller *Caller
	known  []Field
	body   []byte
}

// New returns the Handler of the public listener.
func New(o Options) *Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = defaultInFlight
	}
	h := &Handler{Options: o, resources: resources()}
	for _, methods := range h.resources {
		for method, e := range methods {
			if e.demand != nil {
				e.guard = o.Guard(*e.demand)
				methods[method] = e
			}
		}
	}
	if o.Site.Form == FormDefault {
		h.subjectKey = o.Guard(Demand{Endpoint: "token", Credentials: Key})
		h.subjectToken = o.Guard(Demand{Endpoint: "token", Credentials: OthersToken})
	}
	h.metrics = newMetrics(o.Registerer, o.Site, func() float64 { return float64(h.inFlight.Load()) })
	h.site.Store(o.Site)
	return h
}

// Swap makes s count from the next call on. Its form is that of its predecessor.
func (h *Handler) Swap(s *Site) {
	if s.Form != h.site.Load().Form {
		panic("api: Swap to another form")
	}
	h.site.Store(s)
}

// NewServer returns a server with a bound for everything that a client may draw out. It speaks HTTP/1.1, and HTTP/2 with and
// without TLS; the caller listens, serves and shuts it down.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		Protocols:         new(http.Protocols),

		DisableGeneralOptionsHandler: true, // its reply to OPTIONS * has no request id

		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: pingTimeout,
		},
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// ServeHTTP answers one request, whatever happens.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Handler: h, site: h.site.Load(), r: r, at: nowhere, now: h.Now()}
	header := w.Header()
	header.Set(c.site.requestID(), requestID(r.Header))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	reply := h.answer(w, c) //nolint:contextcheck // a call has its request, and that its context
	h.metrics.count(c.at, reply.Status, h.Now().Sub(c.now))
	for _, f := range reply.Header {
		if f.Name == "Cache-Control" {
			header.Del(f.Name)
		}
		header.Add(f.Name, f.Value)
	}
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body) // the client may be gone
}

// answer is the life of a call, from step 2 on.
func (h *Handler) answer(w http.ResponseWriter, c *call) (reply Reply) {
	defer func() {
		if fault := recover(); fault != nil { // the value may hold anything: its type is enough
			h.Log.ErrorContext(c.r.Context(), "call panicked", "detail", fmt.Sprintf("%T", fault), "stack", string(debug.Stack()))
			reply = h.unavailable()
		}
	}()
	at, id, ok := c.site.find(c.r.URL.EscapedPath())
	if !ok {
		return c.site.words.reply(refuse(http.StatusNotFound, codeNotFound))
	}
	c.at, c.id = at, id
	e, allow := h.resources[at].find(c.r.Method)
	if allow != "" {
		refused := refuse(http.StatusMethodNotAllowed, codeMethodNotAllowed)
		refused.header = []Field{{"Allow", allow}}
		return c.site.words.reply(refused)
	}
	defer h.inFlight.Add(-1)
	if h.inFlight.Add(1) > int64(h.MaxInFlight) {
		return h.unavailable()
	}
	reply, err := h.work(w, c, &e)
	if err != nil {
		reply = h.refusal(c, &e, err)
	}
	if c.caller != nil {
		reply.Header = append(reply.Header, c.known...)
	}
	return reply
}

// work decides, reads the body, and lets the endpoint answer.
func (h *Handler) work(w http.ResponseWriter, c *call, e *endpoint) (Reply, error) {
	if e.demand != nil {
		if err := c.decide(e.guard, nil); err != nil {
			return Reply{}, err
		}
	}
	if e.body != "" {
		var err error
		if c.body, err = readBody(w, c.r, e.body); err != nil {
			return Reply{}, err
		}
	}
	return e.serve(c)
}

// decide is step 3. The error is the refusal.
func (c *call) decide(g Guard, subject *Subject) error {
	made := g(c.r, subject, c.now)
	switch {
	case made.Caller == nil && made.Refusal.Status == 0:
		return c.refused(ClassUnavailable)
	case made.Caller == nil:
		return &refusal{own: &made.Refusal}
	}
	c.caller, c.known = made.Caller, made.Known
	return nil
}

// refusal is the reply to an error: the only place where errors become statuses. What is no refusal is a fault of ours, which
// goes to the log.
func (h *Handler) refusal(c *call, e *endpoint, err error) Reply {
	refused, ok := errors.AsType[*refusal](err)
	if !ok {
		h.Log.ErrorContext(c.r.Context(), "call failed", "part", e.name(), "err", err)
		return h.unavailable()
	}
	if e.oauth {
		return oauthError(refused, &c.site.words)
	}
	return c.site.words.reply(refused)
}

// unavailable is what a client gets of faults of ours.
func (h *Handler) unavailable() Reply { return h.Refuse(ClassUnavailable) }

// refused is an error of the gate's that comes after its decision.
func (c *call) refused(class Class) error {
	reply := c.Refuse(class)
	return &refusal{own: &reply}
}

func (e *endpoint) name() string {
	if e.demand == nil {
		return ""
	}
	return e.demand.Endpoint
}

// find returns the endpoint of a method, or those that there are.
func (r resource) find(method string) (e endpoint, allow string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if e, ok := r[method]; ok {
		return e, ""
	}
	var methods []string
	for m := range r {
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return endpoint{}, strings.Join(methods, ", ")
}

// requestID is the id that Envoy put on the request, or one that is made.
func requestID(h http.Header) string {
	const most = 1024
	if ids := h.Values("X-Request-Id"); len(ids) == 1 && printable(ids[0], 1, most) {
		return ids[0]
	}
	return rand.Text()
}

func (s *Site) requestID() string { return s.header("request_id", "X-Request-Id") }
