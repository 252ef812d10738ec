package authtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// Received is a request as the upstream got it.
type Received struct {
	Line   string  `json:"line"`   // the request line of HTTP/1.1; "HTTP/2" otherwise, where method and path are among the fields
	Fields []Field `json:"fields"` // in the order, with the case and as often as received
}

// Path is the target of the request, with its query.
func (r Received) Path() string {
	if r.Line == http2Line {
		return strings.Join(Values(r.Fields, ":path"), "")
	}
	_, rest, _ := strings.Cut(r.Line, " ")
	path, _, _ := strings.Cut(rest, " ")
	return path
}

const http2Line = "HTTP/2"

// Answer is what the upstream replies. The zero Answer is 200 with the request as JSON, a [Received] that [Response.Echo]
// reads; each byte of it stands as the Unicode character of that number, so that bytes which are no UTF-8 survive.
type Answer struct {
	Status int
	Fields []Field
	Body   string
}

// Upstream is the product behind the gate: it answers what it is told to and records what it gets. It speaks HTTP/1.1 and
// HTTP/2 without TLS on one port, reads no meaning into header names or values, and takes whatever Envoy sends. It accepts
// every upgrade and CONNECT, and sends the bytes that follow back.
type Upstream struct {
	Addr string // host:port

	mu       sync.Mutex // guards the fields below
	received []Received
	answer   Answer
}

// StartUpstream listens on a port of its own until the test ends.
func StartUpstream(tb testing.TB) *Upstream {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	u := &Upstream{Addr: l.Addr().String()}
	var conns sync.Map // net.Conn → nothing
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Store(conn, nil)
			serving.Go(func() {
				u.serve(conn)
				_ = conn.Close()
				conns.Delete(conn)
			})
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		conns.Range(func(conn, _ any) bool { return conn.(net.Conn).Close() == nil })
		serving.Wait()
	})
	return u
}

// Requests are all requests received so far, in order.
func (u *Upstream) Requests() []Received {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.received)
}

// Answer sets what the upstream replies until the test ends.
func (u *Upstream) Answer(tb testing.TB, a Answer) {
	tb.Helper()
	set := func(a Answer) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.answer = a
	}
	set(a)
	tb.Cleanup(func() { set(Answer{}) })
}

// record keeps the request and returns what to reply to it.
func (u *Upstream) record(r Received) Answer {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.received = append(u.received, r)
	a := u.answer
	if a.Status == 0 {
		a.Status = 200
	}
	if a.Body == "" && a.Fields == nil {
		a.Body = encodeEcho(r)
	}
	return a
}

func (u *Upstream) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	if preface, err := r.Peek(len(http2.ClientPreface)); err == nil && string(preface) == http2.ClientPreface {
		_, _ = r.Discard(len(preface))
		_ = u.serveHTTP2(http2.NewFramer(conn, r))
		return
	}
	for u.serveHTTP1(conn, r) == nil {
	}
}

// serveHTTP1 answers one request. The error ends the connection.
func (u *Upstream) serveHTTP1(conn net.Conn, r *bufio.Reader) error {
	request, err := readHead(r)
	if err != nil {
		return err
	}
	if strings.HasPrefix(request.Line, "CONNECT ") || Values(request.Fields, "upgrade") != nil {
		return u.switchProtocols(conn, r, request)
	}
	if err := skipBody(r, request); err != nil {
		return err
	}
	a := u.record(request)
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d Status\r\n", a.Status)
	for _, f := range a.Fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	fmt.Fprintf(&b, "content-length: %d\r\n\r\n", len(a.Body))
	if !strings.HasPrefix(request.Line, "HEAD ") {
		b.WriteString(a.Body)
	}
	_, err = io.WriteString(conn, b.String())
	return err
}

func (u *Upstream) switchProtocols(conn net.Conn, r io.Reader, request Received) error {
	u.record(request)
	head := Lines("HTTP/1.1 200 OK")
	if upgrade := Values(request.Fields, "upgrade"); upgrade != nil {
		head = Lines("HTTP/1.1 101 Switching Protocols", "connection: Upgrade", "upgrade: "+upgrade[0])
	}
	if _, err := io.WriteString(conn, head); err != nil {
		return err
	}
	_, err := io.Copy(conn, r)
	return errors.Join(io.EOF, err)
}

func readHead(r *bufio.Reader) (Received, error) {
	var request Received
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return Received{}, err
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		switch {
		case line == "":
			return request, nil
		case request.Line == "":
			request.Line = line
		default:
			name, value, _ := strings.Cut(line, ":")
			request.Fields = append(request.Fields, Field{Name: name, Value: strings.TrimPrefix(value, " ")})
		}
	}
}

func skipBody(r *bufio.Reader, request Received) error {
	if Values(request.Fields, "transfer-encoding") != nil {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			size, err := strconv.ParseInt(strings.TrimSpace(line), 16, 32)
			if err != nil {
				return err
			}
			if _, err := r.Discard(int(size) + len("\r\n")); err != nil || size == 0 {
				return err
			}
		}
	}
	if length := Values(request.Fields, "content-length"); length != nil {
		n, err := strconv.Atoi(length[0])
		if err != nil {
			return err
		}
		_, err = r.Discard(n)
		return err
	}
	return nil
}

// encodeEcho writes each byte as the character of its number: what JSON carries unchanged.
func encodeEcho(r Received) string {
	c := Received{Line: widen(r.Line), Fields: make([]Field, len(r.Fields))}
	for i, f := range r.Fields {
		c.Fields[i] = Field{Name: widen(f.Name), Value: widen(f.Value)}
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic("authtest: strings that JSON cannot hold: " + err.Error())
	}
	return string(b)
}

func decodeEcho(body []byte) (Received, error) {
	var r Received
	if err := json.Unmarshal(body, &r); err != nil {
		return Received{}, err
	}
	r.Line = narrow(r.Line)
	for i, f := range r.Fields {
		r.Fields[i] = Field{Name: narrow(f.Name), Value: narrow(f.Value)}
	}
	return r, nil
}

func widen(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func narrow(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}
