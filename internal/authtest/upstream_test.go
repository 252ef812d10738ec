package authtest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
)

func TestUpstreamRecordsWhatItGetsByteForByte(t *testing.T) {
	u := authtest.StartUpstream(t)
	long := strings.Repeat("x", 40_000) // more than a frame of HTTP/2
	fields := authtest.Fields("HOST: a", "x_A:  two spaces", "X-B: \xff\x80", "X-B: ", "x-long: "+long)
	http1 := []string{"BREW //tea?a=%zz;b HTTP/1.1"}
	for _, f := range fields {
		http1 = append(http1, f.Name+": "+f.Value)
	}
	http2 := append(authtest.Fields(":method: BREW", ":path: //tea", ":scheme: http", ":authority: a"), authtest.Fields("x_a: 1", "x-long: "+long)...)

	for name, c := range map[string]struct {
		got  *authtest.Response
		want authtest.Received
	}{
		"HTTP/1.1": {authtest.HTTP1(t, u.Addr, authtest.Lines(http1...)), authtest.Received{Line: http1[0], Fields: fields}},
		"HTTP/2":   {authtest.HTTP2(t, u.Addr, http2, nil), authtest.Received{Line: "HTTP/2", Fields: http2}},
	} {
		t.Run(name, func(t *testing.T) {
			echo, ok := c.got.Echo()
			if !ok || c.got.Status != 200 {
				t.Fatalf("got %+v, want the echo", c.got)
			}
			if diff := cmp.Diff(c.want, echo); diff != "" {
				t.Errorf("echo (-want +got):\n%s", diff)
			}
		})
	}
	recorded := u.Requests()
	if len(recorded) != 2 || recorded[0].Path() == recorded[1].Path() {
		t.Errorf("recorded %d requests, want the two", len(recorded))
	}
}

func TestUpstreamReadsBodiesToTheirEnd(t *testing.T) {
	u := authtest.StartUpstream(t)
	for name, raw := range map[string]string{
		"by length": authtest.Lines("POST /1 HTTP/1.1", "Host: a", "Content-Length: 5") + "hello",
		"in chunks": authtest.Lines("POST /1 HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := len(u.Requests())
			authtest.HTTP1(t, u.Addr, raw+authtest.Lines("GET /2 HTTP/1.1", "Host: a")) // the second is only seen after the first
			authtest.HTTP1(t, u.Addr, authtest.Lines("GET /3 HTTP/1.1", "Host: a"))
			var paths []string
			for _, r := range u.Requests()[before:] {
				if r.Path() != "/2" { // its answer is awaited by nobody
					paths = append(paths, r.Path())
				}
			}
			if diff := cmp.Diff([]string{"/1", "/3"}, paths); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpstreamAnswersWhatItIsTold(t *testing.T) {
	u := authtest.StartUpstream(t)
	t.Run("while the test that told it runs", func(t *testing.T) {
		u.Answer(t, authtest.Answer{Status: 418, Fields: authtest.Fields("X-A: 1", "x-a: 2"), Body: "short and stout"})
		for _, r := range []*authtest.Response{
			authtest.HTTP1(t, u.Addr, authtest.Lines("GET / HTTP/1.1", "Host: a")),
			authtest.HTTP2(t, u.Addr, authtest.Fields(":method: GET", ":path: /", ":scheme: http", ":authority: a"), nil),
		} {
			if r.Status != 418 || r.Value("x-a") != "1|2" || string(r.Body) != "short and stout" {
				t.Errorf("got %+v", r)
			}
			if echo, ok := r.Echo(); ok {
				t.Errorf("took the answer for the echo %+v", echo)
			}
		}
	})
	if r := authtest.HTTP1(t, u.Addr, authtest.Lines("HEAD / HTTP/1.1", "Host: a")); r.Status != 200 || len(r.Body) != 0 {
		t.Errorf("afterwards HEAD got %d with %d bytes, want 200 with none", r.Status, len(r.Body))
	}
}
