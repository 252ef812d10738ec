package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-auth/postern/config"
)

const (
	callTime     = 30 * time.Second // for a call, with its reply
	maxCallReply = 1 << 20
	maxShown     = 500 // bytes of what a server says that are shown
)

// request is a call of a server as a customer.
type request struct {
	method, path string
	contentType  string // of a body
	body         []byte
	anonymous    bool // the credential is in the body, and nowhere else
}

// base is the server's URL, without a slash at its end. A credential is sent over https, or to this machine.
func (w *customer) base() (*url.URL, error) {
	if w.server.value == "" {
		return nil, hint(errors.New("there is no server to call"), "name it with --server-url or POSTERN_SERVER_URL, or store it with: postern configure")
	}
	fail := func(problem string) (*url.URL, error) {
		return nil, hint(fmt.Errorf("server-url [%s]: %s", w.server.from, problem), "it is like https://api.example.com")
	}
	u, err := url.Parse(strings.TrimRight(w.server.value, "/"))
	switch {
	case err != nil:
		return fail("it is not a URL") // err would repeat it, with a password that it may hold
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Hostname() == "":
		return fail("it does not begin with https:// and a host")
	case u.User != nil:
		return fail("it holds a user, and credentials do not belong there")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fail("it has a query or a fragment")
	case u.Scheme == "http" && !w.plain && !onThisMachine(u.Hostname()):
		return nil, hint(fmt.Errorf("server-url [%s]: http to %q would show the credential to all on the way", w.server.from, u.Host),
			"use https; --insecure-http sends it all the same")
	}
	return u, nil
}

// onThisMachine reports whether a host is a name or an address of loopback.
func onThisMachine(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// path is where one of Postern's own endpoints is, below the server's URL. In mlm that may name the base path.
func (w *customer) path(mka1, mlm, def string) string {
	switch config.Profile(w.profile.value) {
	case config.ProfileMKA1:
		return mka1
	case config.ProfileMLM:
		if u, err := url.Parse(strings.TrimRight(w.server.value, "/")); err == nil && u.Path != "" {
			return mlm
		}
		return "/api/v1" + mlm
	case config.ProfileDefault:
	}
	return def
}

// call sends a request and returns the JSON object that answers it. Nothing of an error holds a secret of w.
func (w *customer) call(ctx context.Context, r request) ([]byte, error) {
	if w.credential.value == "" && !r.anonymous {
		return nil, w.noCredential()
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	outgoing, err := w.outgoing(ctx, r)
	if err != nil {
		return nil, err
	}
	where := outgoing.URL.String()
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		DialContext: (&net.Dialer{Timeout: callTime / 3}).DialContext, TLSHandshakeTimeout: callTime / 3,
	}
	reply, err := transport.RoundTrip(outgoing) // which follows no redirect: the credential stays with the server that it is for
	if err != nil {
		return nil, w.unreached(where, err)
	}
	defer func() { _ = reply.Body.Close() }() // nothing is written
	body, err := io.ReadAll(io.LimitReader(reply.Body, maxCallReply+1))
	if err != nil {
		return nil, w.unreached(where, err)
	}
	if len(body) > maxCallReply {
		return nil, fmt.Errorf("calling %q: the reply is longer than %d bytes", where, maxCallReply)
	}
	if reply.StatusCode < 200 || reply.StatusCode > 299 {
		return nil, w.refused(reply, body)
	}
	object, err := compactObject(body)
	if kind, _, _ := mime.ParseMediaType(reply.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, hint(fmt.Errorf("calling %q: the reply is not the JSON of a Postern", where), "is the server one of profile %s [%s]? --profile names another", w.profile.value, w.profile.from)
	}
	return object, nil
}

// noCredential says that no source has one.
func (w *customer) noCredential() error {
	store := "postern login"
	if w.sandbox {
		store += " --sandbox"
	}
	return hint(fmt.Errorf("there is no credential: %s is unset", w.carrier.name), "store one with: %s", store)
}

// outgoing is the request with all its headers.
func (w *customer) outgoing(ctx context.Context, r request) (*http.Request, error) {
	base, err := w.base()
	if err != nil {
		return nil, err
	}
	out, err := http.NewRequestWithContext(ctx, r.method, base.String()+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, errors.New("the server's URL cannot be called") // err would repeat it
	}
	out.Header.Set("User-Agent", "postern/"+build().Version)
	out.Header.Set("Accept", "application/json")
	if r.contentType != "" {
		out.Header.Set("Content-Type", r.contentType)
	}
	maps.Copy(out.Header, w.headers)
	if w.host != "" {
		out.Host = w.host
	}
	given := slices.ContainsFunc(credentialHeaders(), func(name string) bool { return out.Header.Get(name) != "" })
	switch {
	case r.anonymous:
		for _, name := range credentialHeaders() {
			out.Header.Del(name)
		}
	case given:
	case w.carrier.name == entryBearer:
		out.Header.Set(w.carrier.header, "Bearer "+w.credential.value)
	default:
		out.Header.Set(w.carrier.header, w.credential.value)
	}
	return out, nil
}

// unreached is the error of a call without a reply.
func (w *customer) unreached(where string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("calling %q: no reply within %s", where, callTime)
	}
	return fmt.Errorf("calling %q: %s", where, w.shown(err.Error()))
}

// refused is the error of a reply that says no, in the words of the server.
func (w *customer) refused(reply *http.Response, body []byte) error {
	text := w.shown(words(body))
	if text != "" {
		text = ": " + text
	}
	err := fmt.Errorf("the server answered %d%s", reply.StatusCode, text)
	switch reply.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return hint(err, "it points to %q; redirects are not followed: name the server where it is with --server-url", w.shown(reply.Header.Get("Location")))
	case http.StatusUnauthorized:
		return hint(err, "`postern whoami --local` shows which credential is used, and where it comes from")
	case http.StatusNotFound:
		if strings.HasPrefix(text, ": PROVIDER_NOT_FOUND") {
			return hint(err, "a provider is of one tenant and environment: those of the key that `postern whoami` shows")
		}
		return hint(err, "is the server one of profile %s [%s]? --profile names another", w.profile.value, w.profile.from)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if seconds, err2 := strconv.Atoi(reply.Header.Get("Retry-After")); err2 == nil && seconds > 0 {
			return hint(err, "try again in %d s", seconds)
		}
	}
	return err
}

// words are what the body of an error says, in any of the forms that profiles have.
func words(body []byte) string {
	var e struct {
		Error       string         `json:"error"`
		Code        string         `json:"code"`
		Details     map[string]any `json:"details"`
		Description string         `json:"error_description"`
		Title       string         `json:"title"`
		Detail      string         `json:"detail"`
	}
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	var all []string
	for _, text := range []string{e.Code, e.Error, e.Description, e.Title, e.Detail} {
		if text != "" {
			all = append(all, text)
		}
	}
	fields := make([]string, 0, len(e.Details))
	for name, problem := range e.Details {
		fields = append(fields, fmt.Sprintf("%s: %v", name, problem))
	}
	slices.Sort(fields)
	return strings.Join(append(all, fields...), ": ")
}

// shown is a text of the server's as an error may hold it: on one line, without control characters or secrets, and not long.
func (w *customer) shown(text string) string {
	for _, secret := range w.secrets {
		text = strings.ReplaceAll(text, secret, masked(secret))
	}
	quoted := strconv.QuoteToGraphic(text)
	text = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}
