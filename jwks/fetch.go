package jwks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds of a fetch.
const (
	fetchTimeout   = 5 * time.Second // in all: discovery, resolving, connecting, reading
	maxHead        = 32 << 10        // bytes of the head of a response
	maxQuoted      = 200             // bytes of anything that a provider says, in an error
	minCached      = 5 * time.Minute
	defaultCached  = 15 * time.Minute
	maxCached      = 24 * time.Hour
	userAgent      = "postern"
	acceptedTypes  = "application/jwk-set+json, application/json"
	contentKeySet  = "application/jwk-set+json"
	contentAnyJSON = "application/json"
)

var (
	errStatus      = errors.New("unexpected status")
	errRedirect    = errors.New("redirects are not followed")
	errContentType = errors.New("unexpected content type")
	errTooLarge    = errors.New("more than 1 MiB")
)

// newClient makes the HTTP client of all fetches. It follows no redirect, uses no proxy, keeps no connection, sends no cookie or
// credential, and connects only where the guard lets it. Every response that it returns is 200 with a bounded body; a redirect
// is an error before the client sees it. How long it takes is bounded by the context of the fetch.
func newClient(o *FetcherOptions, g *guard, anyContentType *atomic.Bool) *http.Client {
	transport := &http.Transport{
		DialContext:            g.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
		MaxResponseHeaderBytes: maxHead,
		DisableKeepAlives:      true, // thousands of providers must not mean thousands of connections
	}
	return &http.Client{Transport: &bounded{transport: transport, guard: g, anyContentType: anyContentType}}
}

// bounded judges each request and each response of a client: discovery by a library comes this way too.
type bounded struct {
	transport      http.RoundTripper
	guard          *guard
	anyContentType *atomic.Bool
}

// RoundTrip sends the request if it may go where it wants to, and returns the response if it is one to be read.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := b.guard.checkURL(r.URL.String()); err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header = http.Header{"Accept": {acceptedTypes}, "User-Agent": {userAgent}}
	response, err := b.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := b.judge(response); err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	response.Body = &limitedBody{ReadCloser: response.Body, left: maxSet}
	return response, nil
}

func (b *bounded) judge(r *http.Response) error {
	switch {
	case r.StatusCode >= 300 && r.StatusCode < 400:
		return fmt.Errorf("%w: status %d", errRedirect, r.StatusCode)
	case r.StatusCode != http.StatusOK:
		return fmt.Errorf("%w %d", errStatus, r.StatusCode)
	case b.anyContentType.Load():
		return nil
	}
	text := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(text)
	if err != nil || kind != contentAnyJSON && kind != contentKeySet {
		return fmt.Errorf("%w %q; %s or %s is expected", errContentType, cut(text), contentAnyJSON, contentKeySet)
	}
	return nil
}

// limitedBody is an error, not an end, where it becomes too large. It counts what was decompressed.
type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// fetched is a key set as it was fetched.
type fetched struct {
	set    *Set
	url    string        // where it stands
	cached time.Duration // how long it may be cached, within the bounds
}

// get reads a key set.
func (f *Fetcher) get(ctx context.Context, address string) (fetched, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fetched{}, fmt.Errorf("%w: %q is not a URL", ErrAddress, address)
	}
	response, err := f.client.Do(request)
	if err != nil {
		return fetched{}, fmt.Errorf("fetching %q: %w", address, plainCause(err))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fetched{}, fmt.Errorf("reading %q: %w", address, plainCause(err))
	}
	set, err := ParseSet(body)
	if err != nil {
		return fetched{}, fmt.Errorf("reading %q: %w", address, err)
	}
	return fetched{set: set, url: address, cached: cachedFor(response.Header)}, nil
}

// plainCause takes away what the client puts before a cause: method and URL, which the caller names.
func plainCause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s: %w", fetchTimeout, context.DeadlineExceeded)
	}
	return err
}

// cachedFor is how long a response may be cached (RFC 9111, section 4.2.1), within our bounds. Nobody shares our cache, so
// s-maxage says nothing to us; what must not be stored at all is kept for the least time.
func cachedFor(h http.Header) time.Duration {
	seconds := -1
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minCached
		case "max-age":
			if n, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && n >= 0 && seconds < 0 {
				seconds = min(n, int(maxCached/time.Second))
			}
		}
	}
	if seconds < 0 {
		return defaultCached
	}
	cached := time.Duration(seconds) * time.Second
	if age, err := strconv.Atoi(h.Get("Age")); err == nil && age > 0 {
		cached -= time.Duration(min(age, seconds)) * time.Second
	}
	return max(cached, minCached)
}

// cut bounds a text of a provider.
func cut(s string) string {
	if len(s) > maxQuoted {
		return strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return s
}

// brief bounds the text of an error: certificates, for one, are quoted at length.
type brief struct{ error }

// Error is the beginning of the text.
func (b brief) Error() string {
	const most = 1000
	text := b.error.Error()
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// Unwrap returns the whole error.
func (b brief) Unwrap() error { return b.error }
