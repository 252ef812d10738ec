package extauthz_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// messageOf is r as Envoy asks about it.
func messageOf(tb testing.TB, shape extauthz.Shape, r *extauthz.Request) []byte {
	tb.Helper()
	http := &authv3.AttributeContext_HttpRequest{Method: r.Method, Host: r.Host, Path: r.Path, Protocol: r.Protocol}
	for _, h := range r.Headers {
		if shape == extauthz.ShapeList {
			if http.HeaderMap == nil {
				http.HeaderMap = &corev3.HeaderMap{}
			}
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: h.Name, RawValue: []byte(h.Value)})
			continue
		}
		if http.Headers == nil {
			http.Headers = map[string]string{}
		}
		if before, twice := http.Headers[h.Name]; twice {
			h.Value = before + "," + h.Value
		}
		http.Headers[h.Name] = h.Value
	}
	attributes := &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: http}, ContextExtensions: map[string]string{}}
	for name, e := range map[string]extauthz.Extension{"policy": r.Policy, "environment": r.Environment} {
		if e.Present {
			attributes.ContextExtensions[name] = e.Value
		}
	}
	if r.Source != "" {
		attributes.Source = &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: r.Source},
		}}}
	}
	return marshal(tb, &authv3.CheckRequest{Attributes: attributes})
}

// explain explains r at noon, in both shapes of headers, of which the result must be the same.
func (g *gate) explain(r *extauthz.Request) extauthz.Explanation {
	g.t.Helper()
	var all []extauthz.Explanation
	for _, shape := range extauthz.Shapes() {
		all = append(all, g.Explain(g.t.Context(), messageOf(g.t, shape, r), noon()))
	}
	if diff := cmp.Diff(all[0], all[1]); diff != "" {
		g.t.Errorf("the shape of the headers counts:\n%s", diff)
	}
	return all[0]
}

// story is the outcomes of the steps, a line each.
func story(x extauthz.Explanation) string {
	var b strings.Builder
	for _, s := range x.Steps {
		fmt.Fprintf(&b, "%s: %s\n", s.Step, s.Outcome)
	}
	return b.String()
}

func TestAnExplanationTellsTheStory(t *testing.T) {
	t.Parallel()
	g := newGate(
		t, options(
			t,
			extauthz.PolicySpec{Name: "health", Paths: []string{"/health"}, Auth: extauthz.AuthNone},
			extauthz.PolicySpec{Name: "write", Paths: []string{"/write"}, Permissions: []string{"note:create", "note:read"}},
			extauthz.PolicySpec{Name: "office", Paths: []string{"/office"}, CIDRs: ranges("10.0.0.0/8")},
		),
	)
	id, key := g.create(keystore.KeySpec{Permissions: []string{"note:read"}})
	credential := "authorization: Bearer " + key
	before := "Read: passed\nRoute: passed: policy default_policy\n"
	proven := "Find the credential: passed: a key in authorization\nProve it: passed: key " + id + " of tenant acme in LIVE\n"
	rest := func(status int, class string) string {
		return fmt.Sprintf("Delegate: not reached\nAuthorize: not reached\nLimit: not reached\nReply: denied: %d, class %s\n", status, class)
	}
	named := get("/", credential)
	named.Policy = extauthz.Extension{Present: true, Value: "wirte"}
	for _, test := range []struct {
		name string
		r    *extauthz.Request
		want string
	}{
		{"allowed, for the tenant", get("/", credential), before + proven +
			"Delegate: passed: for the tenant itself\nAuthorize: passed\nLimit: passed: this version limits nothing\nReply: allowed: a credential was proven, and the policy is met\n"},
		{"allowed, for an end user", get("/", credential, "x-on-behalf-of: ada"), before + proven +
			"Delegate: passed: for the end user ada\nAuthorize: passed\nLimit: passed: this version limits nothing\nReply: allowed: a credential was proven, and the policy is met\n"},
		{"public", get("/health"), "Read: passed\nRoute: passed: policy health\nFind the credential: skipped: the policy asks for no credential\n" +
			"Prove it: skipped: the policy asks for no credential\nDelegate: skipped: the policy asks for no credential\nAuthorize: passed\n" +
			"Limit: passed: this version limits nothing\nReply: allowed: the policy asks for no credential\n"},
		{"a path with two readings", get("/a/../b"), "Read: refused: path_refused: " + extauthz.ReasonPathRefused.Meaning() + " (it is sent as /a/../b); " +
			extauthz.ReasonPathRefused.Remedy() + "\nRoute: not reached\nFind the credential: not reached\nProve it: not reached\n" + rest(400, "bad_request")},
		{"a policy that is not there", named, "Read: passed\nRoute: refused: policy_unknown: " + extauthz.ReasonPolicyUnknown.Meaning() +
			" (context_extensions: there is no policy \"wirte\"); " + extauthz.ReasonPolicyUnknown.Remedy() +
			"\nFind the credential: not reached\nProve it: not reached\n" + rest(503, "unavailable")},
		{"two credentials", get("/", credential, "x-api-key: "+key), before + "Find the credential: refused: credential_ambiguous: " +
			extauthz.ReasonCredentialAmbiguous.Meaning() + "; " + extauthz.ReasonCredentialAmbiguous.Remedy() + "\nProve it: not reached\n" + rest(400, "bad_request")},
		{"an unknown key", get("/", "x-api-key: "+flip(key)), before + "Find the credential: passed: a key in x-api-key\nProve it: refused: key_unknown: " +
			extauthz.ReasonKeyUnknown.Meaning() + "; " + extauthz.ReasonKeyUnknown.Remedy() + "\n" + rest(401, "credential_refused")},
		{"a malformed end user", get("/", credential, "x-on-behalf-of: a,b"), before + proven + "Delegate: refused: end_user_invalid: " +
			extauthz.ReasonEndUserInvalid.Meaning() + "; " + extauthz.ReasonEndUserInvalid.Remedy() +
			"\nAuthorize: not reached\nLimit: not reached\nReply: denied: 400, class end_user_invalid\n"},
		{"a permission that is missing", get("/write", credential), strings.Replace(before, "default_policy", "write", 1) + proven +
			"Delegate: passed: for the tenant itself\nAuthorize: refused: permission_missing: " + extauthz.ReasonPermissionMissing.Meaning() +
			" (it lacks note:create); " + strings.Replace(extauthz.ReasonPermissionMissing.Remedy(), "KEY_ID", id, 1) + "\nLimit: not reached\nReply: denied: 403, class forbidden\n"},
		{"another address", get("/office", credential), strings.Replace(before, "default_policy", "office", 1) + proven +
			"Delegate: passed: for the tenant itself\nAuthorize: refused: address_refused: " + extauthz.ReasonAddressRefused.Meaning() +
			" (192.0.2.7 is not in those of the policy); " + extauthz.ReasonAddressRefused.Remedy() + "\nLimit: not reached\nReply: denied: 403, class forbidden\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, story(g.explain(test.r))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// What Envoy is not told, since it would tell the client, an operator is: whose key was refused.
func TestAnExplanationNamesARefusedKey(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	later := noon().Add(time.Hour)
	for _, test := range []struct {
		name   string
		spec   keystore.KeySpec
		end    func(id string) error
		want   extauthz.Reason
		remedy string // the id stands for %s
	}{
		{"revoked", keystore.KeySpec{}, func(id string) error { return second(g.keys.Revoke(t.Context(), id, noon())) }, extauthz.ReasonKeyRevoked, "postern keys create"},
		{"disabled", keystore.KeySpec{}, func(id string) error { return second(g.keys.Disable(t.Context(), id, noon())) }, extauthz.ReasonKeyDisabled, "postern keys enable %s"},
		{"expired", keystore.KeySpec{ExpiresAt: noon().Add(time.Minute)}, func(string) error { return nil }, extauthz.ReasonKeyExpired, "postern keys get %s"},
		{"of a suspended tenant", keystore.KeySpec{}, func(string) error { return second(g.keys.SuspendTenant(t.Context(), "acme", noon())) }, extauthz.ReasonTenantSuspended, "postern tenants resume acme"},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, key := g.create(test.spec)
			if err := test.end(id); err != nil {
				t.Fatal(err)
			}
			x := g.Explain(t.Context(), messageOf(t, extauthz.ShapeList, get("/", "x-api-key: "+key)), later)
			if x.Reason != test.want || x.KeyID != id || x.Tenant != "acme" || x.Environment != "LIVE" {
				t.Errorf("%s: key %s of tenant %s in %s, want %s: key %s of acme in LIVE", x.Reason, x.KeyID, x.Tenant, x.Environment, test.want, id)
			}
			if want := strings.Replace(test.remedy, "%s", id, 1); !strings.Contains(x.Steps[3].Outcome, want) {
				t.Errorf("%q does not say %q", x.Steps[3].Outcome, want)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// drawRequest draws a request that may be allowed, or refused in any step.
func drawRequest(t *rapid.T, credentials []string) *extauthz.Request {
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	r := request(pick("method", "GET", "POST", "OPTIONS", "CONNECT"), pick("host", "api.test", "a,b", ""), pick("path", "/", "/health", "/write?a=b", "/office", "/a/../b", ""))
	r.Source = pick("source", "", "10.1.2.3", "192.0.2.7")
	r.Policy = extauthz.Extension{Present: rapid.IntRange(0, 5).Draw(t, "named") == 0, Value: pick("policy", "write", "nothing")}
	r.Environment = extauthz.Extension{Present: rapid.IntRange(0, 5).Draw(t, "narrowed") == 0, Value: pick("environment", "LIVE", "TEST", "NONE")}
	for _, name := range []string{"authorization", "x-api-key", "x-tenant-api-key", "x-on-behalf-of", "x-tenant-id", "x_user_id", "connection", "upgrade", "x-request-id", "content-type"} {
		for range rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2}).Draw(t, name) {
			value := pick("value", append([]string{"", "ada", "a!", "a.b.c"}, credentials...)...)
			switch name {
			case "x-on-behalf-of": // where what does not look like a key may be anything
				value = pick("end user", "", "ada", "a!", credentials[0], credentials[3])
			case "authorization":
				value = pick("scheme", "Bearer ", "bearer  ", "Basic ", "") + value
			case "connection":
				value = pick("nominated", "close", "x-tenant-id", value)
			case "content-type":
				value = pick("type", "application/grpc", value)
			}
			r.Headers = append(r.Headers, extauthz.Header{Name: name, Value: value})
		}
	}
	return r
}

// Whatever is asked: an explanation is of the reply that a Check gets, and holds no credential.
func TestAnExplanationIsOfTheReply(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"default", "mka1", "mlm"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(
				t,
				extauthz.PolicySpec{Name: "health", Paths: []string{"/health"}, Auth: extauthz.AuthNone},
				extauthz.PolicySpec{Name: "write", Paths: []string{"/write"}, Permissions: []string{"note:create"}, Environments: []string{"LIVE"}, Preflight: true},
				extauthz.PolicySpec{Name: "office", Paths: []string{"/office"}, CIDRs: ranges("10.0.0.0/8"), Auth: extauthz.AuthKey, Upgrades: []string{}},
			)
			o.Profile = profile(t, name)
			if name == "mka1" {
				o.Identity = extauthz.IdentityRaw
			}
			g := newGate(t, o)
			s := serve(t, g, logging(extauthz.LogNone))
			revoked, revokedKey := g.create(keystore.KeySpec{})
			credentials := []string{
				g.key(keystore.KeySpec{Permissions: []string{"note:create"}}), g.key(keystore.KeySpec{Environment: "TEST", OnBehalfOf: keystore.DelegationNone}),
				revokedKey, flip(revokedKey), "opensesame-opensesame-opensesame-opensesame-opensesame",
			}
			if err := second(g.keys.Revoke(t.Context(), revoked, noon())); err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(rt *rapid.T) {
				message := messageOf(t, rapid.SampledFrom(extauthz.Shapes()).Draw(rt, "shape"), drawRequest(rt, credentials))
				x := g.Explain(t.Context(), message, time.Now())
				agrees(rt, x, s.check(t.Context(), t, message), credentials)
				if text, err := json.Marshal(x); err != nil || slices.ContainsFunc(credentials, func(c string) bool { return strings.Contains(string(text), c) }) {
					rt.Fatalf("it holds a credential, or is no JSON: %s, %v", text, err) // R-LOG-1
				}
			})
		})
	}
}

// agrees compares an explanation with the reply, but for credentials, which the reply to a request may repeat.
func agrees(rt *rapid.T, x extauthz.Explanation, reply *authv3.CheckResponse, credentials []string) {
	rt.Helper()
	want := extauthz.Explanation{
		Allowed: reply.GetOkResponse() != nil, Status: 200, Set: map[string]string{}, Respond: map[string]string{}, Body: reply.GetDeniedResponse().GetBody(),
		Remove: append([]string{}, reply.GetOkResponse().GetHeadersToRemove()...),
	}
	if !want.Allowed {
		want.Status = int(reply.GetDeniedResponse().GetStatus().GetCode())
	}
	slices.Sort(want.Remove)
	add := func(to map[string]string, all []*corev3.HeaderValueOption) {
		for _, h := range all {
			name, value := h.GetHeader().GetKey(), h.GetHeader().GetValue()
			for _, c := range credentials {
				value = strings.ReplaceAll(value, c, "REDACTED")
			}
			if name == "x-request-id" && len(h.GetHeader().GetValue()) > 48 {
				value = "REDACTED" // as in the log
			}
			if before, twice := to[name]; twice {
				value = before + ", " + value
			}
			to[name] = value
		}
	}
	add(want.Set, reply.GetOkResponse().GetHeaders())
	add(want.Respond, reply.GetOkResponse().GetResponseHeadersToAdd())
	add(want.Respond, reply.GetDeniedResponse().GetHeaders())
	got := extauthz.Explanation{Allowed: x.Allowed, Status: x.Status, Set: x.Set, Respond: maps.Clone(x.Respond), Body: x.Body, Remove: x.Remove}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("the explanation is not of the reply (-reply +explanation)\n%s", diff)
	}
	if reason := reply.GetDynamicMetadata().GetFields()["reason"].GetStringValue(); reason != x.Reason.String() {
		rt.Fatalf("explained as %s, replied as %s", x.Reason, reason)
	}
	refused := 0
	for _, s := range x.Steps {
		if strings.HasPrefix(s.Outcome, "refused: "+x.Reason.String()) {
			refused++
		}
	}
	if len(x.Steps) != 8 || refused != 1 && !x.Allowed || refused != 0 && x.Allowed {
		rt.Fatalf("%d steps refused it:\n%s", refused, story(x))
	}
}

// A message that holds anything gets an explanation too, and none allows what the reply does not.
func TestAnyMessageIsExplained(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	for _, message := range [][]byte{nil, []byte("\xff"), marshal(t, &authv3.CheckRequest{}), extauthz.Sample(t, extauthz.ShapeMap, "x")} {
		if x := g.Explain(t.Context(), message, noon()); x.Allowed || len(x.Steps) != 8 || x.Body == "" {
			t.Errorf("%x: %+v", message, x)
		}
	}
}

func TestAnExplanationIsNotCounted(t *testing.T) {
	t.Parallel()
	g, registry := counted(t, options(t))
	key := g.key(keystore.KeySpec{})
	if x := g.Explain(t.Context(), extauthz.Sample(t, extauthz.ShapeList, key), noon()); !x.Allowed {
		t.Fatal(story(x))
	}
	if got, _ := counts(t, registry); len(got) > 0 {
		t.Errorf("counted %v", got)
	}
}

func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	meanings := map[string]extauthz.Reason{}
	for r := range extauthz.Reasons() {
		if twin, twice := meanings[r.Meaning()]; twice && r != extauthz.ReasonUndecided {
			t.Errorf("%s says what %s does: %q", r, twin, r.Meaning())
		}
		meanings[r.Meaning()] = r
		if (r.Remedy() == "") != (r.Class() == extauthz.ClassAllowed) {
			t.Errorf("%s: the remedy is %q", r, r.Remedy())
		}
		for _, text := range []string{r.Meaning(), r.Remedy()} {
			if strings.HasSuffix(text, ".") || strings.ContainsAny(text, "\n|") {
				t.Errorf("%s: %q is no clause", r, text)
			}
		}
	}
	if r := extauthz.Reason(255); r.Step() != extauthz.StepReply || r.Meaning() != extauthz.ReasonUndecided.Meaning() {
		t.Errorf("an unknown reason: %s, %q", r.Step(), r.Meaning())
	}
}
