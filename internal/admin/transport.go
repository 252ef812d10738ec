package admin

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const dialTimeout = 5 * time.Second

// SocketTransport returns a transport to the Postern that listens on the Unix socket at path. Each request has its own
// connection, so nothing is left to close.
func SocketTransport(path string) http.RoundTripper {
	dialer := net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
		DisableKeepAlives:  true,
		DisableCompression: true,
	}
}

// HandlerTransport returns a transport to a handler in this process. Bodies are streamed in both directions. The
// handler has returned when the reply's body has been closed.
func HandlerTransport(handler http.Handler) http.RoundTripper { return inProcess{handler} }

type inProcess struct{ handler http.Handler }

// RoundTrip lets the handler answer on a goroutine of its own, and returns when it has begun to.
func (t inProcess) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(request.Context())
	received := request.Clone(ctx)
	received.Host = request.URL.Host
	received.RequestURI = request.URL.RequestURI()
	if received.Body == nil {
		received.Body = http.NoBody
	}
	reader, writer := io.Pipe()
	w := &pipedReply{header: http.Header{}, body: writer, began: make(chan struct{})}
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		defer func() { _ = received.Body.Close() }()
		t.serve(w, received)
	}()
	select {
	case <-w.began:
		if w.status == 0 {
			cancel()
			return nil, io.ErrUnexpectedEOF
		}
		return w.response(request, &pipedBody{PipeReader: reader, cancel: cancel, returned: returned}), nil
	case <-ctx.Done():
		cancel()
		_ = reader.Close()
		return nil, ctx.Err()
	}
}

// serve runs the handler. One that panics breaks the reply off, as it would break a connection.
func (t inProcess) serve(w *pipedReply, request *http.Request) {
	defer func() {
		if recover() != nil {
			w.WriteHeader(0) // unless it has begun
			_ = w.body.CloseWithError(io.ErrUnexpectedEOF)
		}
	}()
	t.handler.ServeHTTP(w, request)
	w.WriteHeader(http.StatusOK)
	_ = w.body.Close()
}

// pipedReply is the handler's side of a reply.
type pipedReply struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	began  chan struct{} // closed when status and sent are set
	status int           // 0: the handler panicked before it began
	sent   http.Header
}

// Header is what the handler may change until it begins.
func (w *pipedReply) Header() http.Header { return w.header }

// WriteHeader begins the reply.
func (w *pipedReply) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.began)
	})
}

// Write blocks until the client has read p, or has closed the body.
func (w *pipedReply) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *pipedReply) response(request *http.Request, body io.ReadCloser) *http.Response {
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		StatusCode:    w.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.sent,
		Body:          body,
		ContentLength: -1,
		Request:       request,
	}
}

// pipedBody is the client's side of a reply's body.
type pipedBody struct {
	*io.PipeReader
	cancel   context.CancelFunc
	returned <-chan struct{}
}

// Close ends the handler, and waits until it has returned.
func (b *pipedBody) Close() error {
	b.cancel()
	err := b.PipeReader.Close()
	<-b.returned
	return err
}
