package authtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is something that a [Provider] does wrong with a document: it answers instead of the provider. A test may bring its own.
type Fault func(p *Provider, w http.ResponseWriter, r *http.Request, body []byte)

// elsewhere is before the path of what was moved.
const elsewhere = "/elsewhere"

// Break makes the provider serve its key set in this way until the test ends, or until it is told otherwise. Nil mends it.
func (p *Provider) Break(tb testing.TB, f Fault) {
	tb.Helper()
	p.BreakAt(tb, KeysPath, f)
}

// BreakAt is [Provider.Break] for another document.
func (p *Provider) BreakAt(tb testing.TB, path string, f Fault) {
	tb.Helper()
	set := func(f Fault) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.faults[path] = f
	}
	set(f)
	tb.Cleanup(func() { set(nil) })
}

// FaultHang takes the request and never answers.
func FaultHang(p *Provider, _ http.ResponseWriter, r *http.Request, _ []byte) {
	select {
	case <-r.Context().Done():
	case <-p.done:
	}
}

// FaultSlowHeaders sends a line of the head at a time, without end.
func FaultSlowHeaders(p *Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
	for i := 0; err == nil && p.rest(); i++ {
		_, err = fmt.Fprintf(conn, "X-Slow-%d: 1\r\n", i)
	}
}

// FaultTrickle sends a byte of the body at a time.
func FaultTrickle(p *Provider, w http.ResponseWriter, _ *http.Request, body []byte) {
	flusher := http.NewResponseController(w)
	for i := range body {
		if _, err := w.Write(body[i : i+1]); err != nil || flusher.Flush() != nil || !p.rest() {
			return
		}
	}
}

// FaultEndless sends a body without end.
func FaultEndless(p *Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
	spaces := bytes.Repeat([]byte(" "), 64<<10)
	for err := error(nil); err == nil && !p.ended(); {
		_, err = w.Write(spaces)
	}
}

// FaultCut ends the connection in the middle of the body.
func FaultCut(_ *Provider, w http.ResponseWriter, _ *http.Request, body []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body[:len(body)/2])
}

// FaultGzipBomb sends a few KiB of gzip that are 64 MiB of spaces.
func FaultGzipBomb(_ *Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write(bomb())
}

var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	spaces := bytes.Repeat([]byte(" "), 1<<20)
	for range 64 {
		_, _ = z.Write(spaces)
	}
	_ = z.Close()
	return b.Bytes()
})

// FaultRedirect is 302 to where the document does stand.
func FaultRedirect(p *Provider, w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Location", p.Issuer()+elsewhere+r.URL.Path)
	w.WriteHeader(http.StatusFound)
	_, _ = w.Write(body)
}

// FaultHTML is 200 with a page for people.
func FaultHTML(_ *Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><title>Sign in</title><h1>Sign in</h1>")
}

// FaultContentType sends the document as text/plain.
func FaultContentType(_ *Provider, w http.ResponseWriter, _ *http.Request, body []byte) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(body)
}

// FaultServerError is 500 with the document.
func FaultServerError(_ *Provider, w http.ResponseWriter, _ *http.Request, body []byte) {
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = w.Write(body)
}

// FaultPrivateKeys publishes the pair of the present key.
func FaultPrivateKeys(p *Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
	_, _ = w.Write(encode(map[string]any{"keys": []any{p.Key().PrivateJWK()}}))
}

// FaultSymmetric publishes a shared secret beside the present key.
func FaultSymmetric(p *Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
	secret := map[string]any{"kty": "oct", "kid": "shared", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}
	_, _ = w.Write(encode(map[string]any{"keys": []any{p.Key().JWK(), secret}}))
}

// FaultEmptySet publishes no key.
func FaultEmptySet(_ *Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
	_, _ = io.WriteString(w, `{"keys":[]}`)
}

// FaultUnusable publishes keys of which none verifies signatures.
func FaultUnusable(_ *Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
	_, _ = io.WriteString(w, `{"keys":[{"kty":"future","kid":"1"},{"kty":"RSA","use":"enc","kid":"2","n":"AQAB","e":"AQAB"}]}`)
}

// FaultBrokenJSON leaves the end of the document away.
func FaultBrokenJSON(_ *Provider, w http.ResponseWriter, _ *http.Request, body []byte) {
	_, _ = w.Write(body[:len(body)-2])
}

// FaultDuplicate names the keys twice, the first time as an empty list.
func FaultDuplicate(_ *Provider, w http.ResponseWriter, _ *http.Request, body []byte) {
	_, _ = w.Write(append([]byte(`{"keys":[],`), bytes.TrimPrefix(body, []byte("{"))...))
}

// FaultDeep is an array in an array, 100,000 times.
func FaultDeep(_ *Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
	const depth = 100_000
	_, _ = io.WriteString(w, `{"keys":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+"}")
}

// FaultManyKeys publishes 101 good keys.
func FaultManyKeys(p *Provider, w http.ResponseWriter, _ *http.Request, _ []byte) {
	var keys []any
	for i := range 101 {
		jwk := p.Key().JWK()
		jwk["kid"] = fmt.Sprint("key-", i)
		keys = append(keys, jwk)
	}
	_, _ = w.Write(encode(map[string]any{"keys": keys}))
}

// tick is how long a slow provider rests after each piece.
const tick = 300 * time.Millisecond

// rest waits a moment and reports whether the test goes on.
func (p *Provider) rest() bool {
	select {
	case <-p.done:
		return false
	case <-time.After(tick):
		return true
	}
}

func (p *Provider) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
