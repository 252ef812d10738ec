package authtest_test

import (
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/postern-auth/postern/internal/authtest"
)

// option sets a header; appending is nil where append is unset.
func option(name, value string, appending *wrapperspb.BoolValue, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}, Append: appending, AppendAction: action} //nolint:staticcheck // the deprecated field is the one that Envoy reads
}

// replies are mutations of every kind, each tried on requests with 0 to 3 copies of x-a.
func replies() map[string]*authv3.OkHttpResponse {
	const overwrite, add = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
	headers := func(options ...*corev3.HeaderValueOption) *authv3.OkHttpResponse {
		return &authv3.OkHttpResponse{Headers: options}
	}
	all := map[string]*authv3.OkHttpResponse{
		"set, both fields":      headers(option("x-a", "ours", wrapperspb.Bool(false), overwrite)),
		"set, append unset":     headers(option("X-A", "ours", nil, add)),
		"append":                headers(option("x-a", "ours", wrapperspb.Bool(true), overwrite)),
		"set twice":             headers(option("x-a", "1", wrapperspb.Bool(false), overwrite), option("x-a", "2", nil, overwrite)),
		"only if there is one":  headers(option("x-a", "ours", nil, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS)),
		"only if there is none": headers(option("x-a", "ours", nil, corev3.HeaderValueOption_ADD_IF_ABSENT)),
		"set and removed":       headers(option("x-a", "ours", wrapperspb.Bool(false), overwrite)),
		"removed":               {HeadersToRemove: []string{"X-A"}},
		"what cannot be":        {HeadersToRemove: []string{"host", ":path", "x-absent"}},
	}
	all["set and removed"].HeadersToRemove = []string{"x-a"}
	return all
}

func TestTheModelDoesWhatEnvoyDoes(t *testing.T) {
	g, socket := startGate(t)
	e := authtest.StartEnvoy(t, authtest.BareEnvoy(t, socket, authtest.StartUpstream(t), nil))
	for name, reply := range replies() {
		t.Run(name, func(t *testing.T) {
			g.answer(reply)
			for copies := range 4 {
				lines := slices.Repeat([]string{"X-A: theirs"}, copies)
				r := authtest.HTTP1(t, e.Addr(t, authtest.BareRaw), authtest.Lines(append([]string{"GET / HTTP/1.1", "Host: test", "X-B: 1"}, lines...)...))
				echo, ok := r.Echo()
				if !ok {
					t.Fatalf("got %+v, want the echo", r)
				}
				want := authtest.ProxyEnvoy.Mutate(reply, authtest.Fields(append([]string{"X-B: 1"}, lines...)...))
				if diff := cmp.Diff(authtest.Values(want, "x-a"), authtest.Values(echo.Fields, "x-a")); diff != "" {
					t.Errorf("x-a sent %d times (-model +Envoy):\n%s", copies, diff)
				}
				if one := authtest.Values(echo.Fields, "x-b"); len(one) != 1 || one[0] != "1" {
					t.Errorf("x-b arrived as %q", one)
				}
			}
		})
	}
}

func TestTheModelTellsProxiesApart(t *testing.T) {
	fields := authtest.Fields("X-A: theirs", "x-a: again")
	for name, want := range map[string][3]string{ // Envoy, its builds of January 2026, gRPC
		"set, both fields":      {"ours", "ours", "ours"},
		"set, append unset":     {"ours", "theirs|again|ours", "theirs|again|ours"},
		"append":                {"theirs,ours|again", "theirs,ours|again", "ours"},
		"only if there is none": {"ours", "theirs|again", "theirs|again"},
		"only if there is one":  {"ours", "ours", "ours"},
		"removed":               {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for proxy, want := range want {
				got := authtest.Proxy(proxy).Mutate(replies()[name], fields)
				if values := strings.Join(authtest.Values(got, "x-a"), "|"); values != want {
					t.Errorf("proxy %d: %q, want %q", proxy, values, want)
				}
			}
		})
	}
}
