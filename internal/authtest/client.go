package authtest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Response is what a client got back.
type Response struct {
	Status   int     // of HTTP; 0 if the stream or the connection ended without one
	Fields   []Field // header lines in order; a name's case is the sender's
	Body     []byte
	Trailers []Field
	Reset    bool // the stream or the connection ended without a complete response
}

// Value joins the values of the header with that name by a bar: an absent header is "", a repeated one shows.
func (r *Response) Value(name string) string { return strings.Join(Values(r.Fields, name), "|") }

// Echo is the request that the upstream received, and false if this response is not the upstream's echo.
func (r *Response) Echo() (Received, bool) {
	received, err := decodeEcho(r.Body)
	return received, err == nil && received.Line != ""
}

// GRPC is the status of a gRPC call and its message, from the trailers, else from the header of a reply without a body.
// Without a status, and with more than one, the code is -1.
func (r *Response) GRPC() (code int, message string) {
	fields := r.Fields
	if r.Trailers != nil {
		fields = r.Trailers
	}
	code, err := strconv.Atoi(strings.Join(Values(fields, "grpc-status"), "|"))
	if err != nil {
		code = -1
	}
	return code, strings.Join(Values(fields, "grpc-message"), "|")
}

// HTTP1 sends raw, byte for byte, on a new connection, and reads one response. [Lines] writes most of raw.
func HTTP1(tb testing.TB, addr, raw string) *Response {
	tb.Helper()
	conn := dial(tb, addr)
	defer func() { _ = conn.Close() }()
	return exchangeHTTP1(tb, conn, bufio.NewReader(conn), raw)
}

// Upgrade sends raw, which asks for another protocol or CONNECT, and reads the response. Where that agrees (101, or 200
// to CONNECT) the connection is what both sides now talk on, otherwise it is nil.
func Upgrade(tb testing.TB, addr, raw string) (*Response, io.ReadWriter) {
	tb.Helper()
	conn := dial(tb, addr)
	tb.Cleanup(func() { _ = conn.Close() })
	reader := bufio.NewReader(conn)
	r := exchangeHTTP1(tb, conn, reader, raw)
	if r.Status == http.StatusSwitchingProtocols || r.Status == http.StatusOK && strings.HasPrefix(raw, "CONNECT ") {
		return r, readWriter{reader, conn}
	}
	return r, nil
}

// HTTP2 sends the fields as they are, pseudo headers included, on a new connection without TLS, then the body if there is
// one, and reads the response.
func HTTP2(tb testing.TB, addr string, fields []Field, body []byte) *Response {
	tb.Helper()
	conn := dial(tb, addr)
	defer func() { _ = conn.Close() }()
	r, err := exchange(conn, fields, body)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET):
		return &Response{Reset: true}
	case err != nil:
		tb.Fatalf("HTTP/2 with %v: %v", fields, err)
	}
	return r
}

// GRPC calls a unary method with an empty message and the metadata, whose names are lower case.
func GRPC(tb testing.TB, addr, method string, metadata ...Field) *Response {
	tb.Helper()
	fields := Fields(":method: POST", ":scheme: http", ":path: "+method, ":authority: test", "te: trailers", "content-type: application/grpc")
	return HTTP2(tb, addr, append(fields, metadata...), make([]byte, 5))
}

func exchangeHTTP1(tb testing.TB, conn io.Writer, reader *bufio.Reader, raw string) *Response {
	tb.Helper()
	if _, err := io.WriteString(conn, raw); err != nil {
		tb.Fatalf("sending %q: %v", raw, err)
	}
	head, err := readHead(reader)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return &Response{Reset: true}
	}
	if err != nil {
		tb.Fatalf("%q: %v", raw, err)
	}
	method, _, _ := strings.Cut(raw, " ")
	// net/http knows where the body ends; the head is kept as it came.
	whole := io.MultiReader(strings.NewReader(Lines(append([]string{head.Line}, lines(head.Fields)...)...)), reader)
	response, err := http.ReadResponse(bufio.NewReader(whole), &http.Request{Method: method})
	if err != nil {
		tb.Fatalf("%q: %v", raw, err)
	}
	defer func() { _ = response.Body.Close() }()
	r := &Response{Status: response.StatusCode, Fields: head.Fields}
	if r.Status != http.StatusSwitchingProtocols && method != http.MethodConnect {
		if r.Body, err = io.ReadAll(response.Body); err != nil {
			tb.Fatalf("%q: %v", raw, err)
		}
	}
	return r
}

func lines(fields []Field) []string {
	lines := make([]string, len(fields))
	for i, f := range fields {
		lines[i] = f.Name + ": " + f.Value
	}
	return lines
}

func dial(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		tb.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		tb.Fatal(err)
	}
	return conn
}

// readWriter is a connection whose first bytes may have been read already.
type readWriter struct {
	io.Reader
	io.Writer
}
