package e2e

import (
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/postern-auth/postern/internal/authtest"
)

// TestBothHeaderShapesGetTheSameDecision asks without an Envoy between: so it runs where there is none, and a model of
// what Envoy does with the reply stands in.
func TestBothHeaderShapesGetTheSameDecision(t *testing.T) { // R-CRED-2, R-RESP-2, T-10
	for _, c := range []contract{quickstart(), mka1(), mlm()} {
		t.Run(c.example, func(t *testing.T) {
			t.Parallel()
			g := serve(t, c.example)
			connection, err := grpc.NewClient("unix://"+g.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = connection.Close() })
			shapes(t, authv3.NewAuthorizationClient(connection), g.mint(t, append(c.holder, "--permission", c.permission)...), c)
		})
	}
}

func shapes(t *testing.T, client authv3.AuthorizationClient, k key, c contract) {
	t.Helper()
	credential := c.credential(k.Key)
	known, nobody := c.upstream(k, c.permission), map[string]string{}
	for name := range known {
		nobody[name] = ""
	}
	for name, want := range map[string]struct {
		check    authtest.Check
		status   int               // of the refusal; 0 is an allow
		upstream map[string]string // after an allow
	}{
		"allowed":                   {authtest.NewCheck("GET", c.shut, credential), 0, known},
		"allowed by permission":     {authtest.NewCheck(c.method, c.guarded, credential), 0, known},
		"public":                    {authtest.NewCheck("GET", c.open, "X-On-Behalf-Of: x", "Authorization: a", "authorization: b"), 0, nobody},
		"spoofed in every spelling": {authtest.NewCheck("GET", c.shut, credential, "x_environment: a", "x.permissions: b", "X-Permissions: c", "x-permissions: d"), 0, known},
		"bytes in an unread header": {authtest.NewCheck("GET", c.shut, credential, "x-odd: \xff\xfe"), 0, known},
		"no credential":             {authtest.NewCheck("GET", c.shut), 401, nil},
		"an unknown one":            {authtest.NewCheck("GET", c.shut, c.credential("unknown")), 401, nil},
		"one of bytes":              {authtest.NewCheck("GET", c.shut, c.credential(k.Key[:9]+"\xff"+k.Key[10:])), 401, nil},
		"one twice":                 {authtest.NewCheck("GET", c.shut, credential, credential), 400, nil},
		"one with a comma":          {authtest.NewCheck("GET", c.shut, credential+",x"), 400, nil},
		"a path that is not one":    {authtest.NewCheck("GET", c.open+"/../x", credential), 400, nil},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := client.Check(t.Context(), want.check.Raw())
			if err != nil {
				t.Fatal(err)
			}
			joined, err := client.Check(t.Context(), want.check.Joined())
			if err != nil {
				t.Fatal(err)
			}
			removals := protocmp.SortRepeatedFields(&authv3.OkHttpResponse{}, "headers_to_remove")
			if diff := cmp.Diff(raw, joined, protocmp.Transform(), removals); diff != "" {
				t.Errorf("the shapes differ (-raw +joined):\n%s", diff)
			}
			if got := int(raw.GetDeniedResponse().GetStatus().GetCode()); got != want.status || (raw.GetStatus().GetCode() == 0) != (want.status == 0) {
				t.Fatalf("status %d in %v, want %d", got, raw, want.status)
			}
			if want.upstream == nil {
				return
			}
			for _, proxy := range []authtest.Proxy{authtest.ProxyEnvoy, authtest.ProxyFallback, authtest.ProxyGRPC} {
				for _, reply := range []*authv3.CheckResponse{raw, joined} {
					arrives(t, want.upstream, authtest.Received{Fields: proxy.Mutate(reply.GetOkResponse(), want.check.Fields)})
				}
			}
		})
	}
}
