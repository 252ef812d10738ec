package admin

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// patience is how long a stream may stand still before it is given up.
const patience = 5 * time.Minute

// Options are what a handler needs. Keys must be set.
type Options struct {
	Keys *keystore.Store

	// DefaultTenant owns a key for which no tenant is named. Empty: one must be named.
	DefaultTenant string

	// RequireName: a key must have a name.
	RequireName bool

	// Alone: nothing else happens in this process, so that long reads need not rest.
	Alone bool

	// Status answers GET /v1/status. Nil: the zero Status.
	Status func(context.Context) Status

	// Remote says who is served where others than this machine's operators can connect. Nil: everybody who can.
	Remote *Remote

	// Check answers POST /v1/check: it says how a CheckRequest, in the JSON of protobuf, would be decided on. Nil: nobody
	// knows here.
	Check func(ctx context.Context, request []byte, now time.Time) (Explanation, error)

	// Verify says what the gate says of a printed key on a route that demands nothing else; its error, that it cannot say so
	// now. It counts nothing. Nil: there is no gate, and /v1/keys/verify is not served.
	Verify func(ctx context.Context, printed string, now time.Time) (Verdict, error)

	// Users are the tenants' users, with their providers. Nil: the profile has none, and says so.
	Users *federation.Store

	// Tokens are those that Postern makes. Nil: Sealed says why, or there are none.
	Tokens *token.Authority

	// Sealed is what is answered about tokens where the signing keys cannot be used: an [*Error].
	Sealed error

	// Inspect says what is known of a token, and its error that this cannot be said now. Nil: /v1/tokens/inspect is not served.
	Inspect func(ctx context.Context, text string, now time.Time) (Inspection, error)

	// Log gets what replies leave out. Nil: nowhere. Changes are logged by Keys, with the actor of the request's context.
	Log *slog.Logger

	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// NewHandler returns the management API, see the package comment.
func NewHandler(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &handler{Options: o, mux: http.NewServeMux()}
	for pattern, methods := range h.resources() {
		h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { h.answer(w, r, methods) })
	}
	return h
}

// endpoint answers one method of one resource. Its error becomes the reply, or ends one that has begun.
type endpoint func(w http.ResponseWriter, r *http.Request, now time.Time) error

type handler struct {
	Options
	mux *http.ServeMux
}

// resources is what there is: path → method → endpoint.
func (h *handler) resources() map[string]map[string]endpoint {
	get := func(e endpoint) map[string]endpoint { return map[string]endpoint{http.MethodGet: e} }
	post := func(e endpoint) map[string]endpoint { return map[string]endpoint{http.MethodPost: e} }
	all := map[string]map[string]endpoint{
		"/v1/status":                   get(h.status),
		"/v1/tenants":                  {http.MethodGet: h.tenants, http.MethodPost: h.createTenant},
		"/v1/tenants/{tenant}":         get(h.tenant),
		"/v1/tenants/{tenant}/suspend": post(h.changeTenant(h.Keys.SuspendTenant)),
		"/v1/tenants/{tenant}/resume":  post(h.changeTenant(h.Keys.ResumeTenant)),
		"/v1/tenants/{tenant}/update":  post(h.updateTenant),
		"/v1/keys":                     {http.MethodGet: h.keys, http.MethodPost: h.createKey},
		"/v1/keys/{id}":                get(h.key),
		"/v1/keys/{id}/disable":        post(h.changeKey(h.Keys.Disable)),
		"/v1/keys/{id}/enable":         post(h.changeKey(h.Keys.Enable)),
		"/v1/keys/{id}/revoke":         post(h.changeKey(h.Keys.Revoke)),
		"/v1/store/check":              get(h.examine),
		"/v1/backup":                   get(h.backup),
		"/v1/keys/{id}/update":         post(h.updateKey),
		"/v1/keys/{id}/rotate":         {http.MethodGet: h.planRotation, http.MethodPost: h.rotateKey},
		"/v1/keys/{id}/end-old":        {http.MethodGet: h.planEndOld, http.MethodPost: h.endOldSecrets},
		"/v1/keys/verify":              {http.MethodGet: named("verify", h.key), http.MethodPost: h.verifyKey},
		"/v1/import":                   post(h.importKeys),
		"/v1/export":                   get(h.export),
		"/v1/audit":                    get(h.audit),
		"/v1/check":                    post(h.check),
	}
	maps.Copy(all, h.userResources())
	maps.Copy(all, h.tokenResources())
	return all
}

// named is an endpoint for one id whose path has another meaning too.
func named(id string, e endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request, now time.Time) error {
		r.SetPathValue("id", id)
		return e(w, r, now)
	}
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reply := &reply{ResponseWriter: w}
	reply.Header().Set("Cache-Control", "no-store")
	reply.Header().Set("X-Content-Type-Options", "nosniff")
	defer h.recover(reply, r)
	if h.Remote != nil {
		admitted, err := h.Remote.admit(reply, r)
		if err != nil {
			h.refuse(reply, r, err)
			return
		}
		r = admitted
	}
	if err := sameOrigin(r); err != nil {
		h.refuse(reply, r, err)
		return
	}
	// What the mux would redirect is not found: nobody who asks for it meant what it would find.
	if asked := r.URL.EscapedPath(); path.Clean(asked) != asked {
		h.refuse(reply, r, errNotFound())
		return
	}
	if _, pattern := h.mux.Handler(r); pattern == "" {
		h.refuse(reply, r, errNotFound())
		return
	}
	h.mux.ServeHTTP(reply, r)
}

// answer lets the endpoint of the request's method answer.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, methods map[string]endpoint) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	serve, ok := methods[method]
	if !ok {
		h.refuse(w, r, notAllowed(w, methods))
		return
	}
	if h.Remote != nil && isLocal(r.Pattern) {
		h.refuse(w, r, &Error{
			Status:  http.StatusForbidden,
			Message: "this is not done over the network",
			Hint:    "run the command on the machine of this Postern: it speaks over admin.sock in data_dir",
		})
		return
	}
	if err := serve(w, r, h.Now()); err != nil {
		h.refuse(w, r, err)
	}
}

// refuse replies with an error, and logs what the reply leaves out, with the path's pattern: where an id is meant somebody
// may have pasted a key. A reply that has begun is broken off.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	refused, detail := translate(err)
	if detail {
		h.Log.ErrorContext(r.Context(), "management request failed", "method", r.Method, "path", r.Pattern, "err", err)
	}
	if begun(w) {
		panic(http.ErrAbortHandler)
	}
	if refused.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, refused.Status, refused)
}

// recover turns a panic into a reply. What is to be broken off stays so.
func (h *handler) recover(w http.ResponseWriter, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault == http.ErrAbortHandler { //nolint:errorlint // a value that panicked, as net/http compares it
		panic(fault)
	}
	h.Log.ErrorContext(r.Context(), "management request panicked", "method", r.Method, "path", r.Pattern, "stack", string(debug.Stack()))
	if begun(w) {
		panic(http.ErrAbortHandler)
	}
	writeJSON(w, http.StatusInternalServerError, &Error{Message: "internal error", Hint: "the log of the Postern that answered says more"})
}

func (h *handler) status(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	var status Status
	if h.Status != nil {
		status = h.Status(r.Context())
	}
	writeJSON(w, http.StatusOK, status)
	return nil
}

// sameOrigin refuses what a page of another origin made a browser send (R-ADM-1).
func sameOrigin(r *http.Request) error {
	foreign := func(site string) bool { return site != "same-origin" && site != "none" }
	elsewhere := func(origin string) bool {
		u, err := url.Parse(origin)
		return err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host)
	}
	if slices.ContainsFunc(r.Header.Values("Sec-Fetch-Site"), foreign) || slices.ContainsFunc(r.Header.Values("Origin"), elsewhere) {
		return &Error{Status: http.StatusForbidden, Message: "requests of other origins are refused"}
	}
	return nil
}

func errNotFound() error {
	return &Error{Status: http.StatusNotFound, Message: "no such resource", Hint: "this Postern may be older than the one that asks"}
}

func notAllowed(w http.ResponseWriter, methods map[string]endpoint) error {
	var allowed []string
	for method := range methods {
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return &Error{Status: http.StatusMethodNotAllowed, Message: "the method is not allowed here"}
}

// unhurried reads or writes a stream of any length: what it bounds is how long the other side may stand still, and not
// how long all of it takes. It overrides the deadlines of the server; in process there are none.
type unhurried struct {
	r io.Reader
	w http.ResponseWriter
}

// Read reads from r.
func (u unhurried) Read(p []byte) (int, error) {
	u.extend()
	return u.r.Read(p)
}

// Write writes to w.
func (u unhurried) Write(p []byte) (int, error) {
	u.extend()
	return u.w.Write(p)
}

func (u unhurried) extend() {
	deadline := time.Now().Add(patience)
	connection := http.NewResponseController(u.w)
	_ = connection.SetReadDeadline(deadline)
	_ = connection.SetWriteDeadline(deadline)
}
