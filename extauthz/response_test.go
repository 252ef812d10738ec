package extauthz

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"
)

// The replies of profile default to a key with and without an end user, as whole messages.
func TestAllow(t *testing.T) {
	t.Parallel()
	a := speaker(t, "default")
	d := a.proven(ReasonAllowed)
	d.extra = []string{"x_tenant_id"}
	want := &authv3.CheckResponse{
		Status: &status.Status{},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{
				overwrite("x-tenant-id", "acme"), overwrite("x-environment", "LIVE"), overwrite("x-api-key-id", "k1"),
				overwrite("x-permissions", "a:read,b:write"),
			},
			HeadersToRemove: []string{"x-user-id", "authorization", "x-api-key", "x-on-behalf-of", "x_tenant_id"},
		}},
		DynamicMetadata: metadataOf("tenant_id", "acme", "environment", "LIVE", "key_id", "k1", "reason", "allowed"),
	}
	if diff := cmp.Diff(want, a.reply(t, d, &Request{}), protocmp.Transform()); diff != "" {
		t.Errorf("without an end user (-want +got)\n%s", diff)
	}
	d.endUser, d.extra = "user-4711", nil
	ok := want.GetOkResponse()
	ok.Headers = append(ok.Headers, overwrite("x-on-behalf-of", "user-4711"))
	ok.HeadersToRemove = []string{"x-user-id", "authorization", "x-api-key"}
	want.DynamicMetadata = metadataOf("tenant_id", "acme", "environment", "LIVE", "key_id", "k1", "reason", "allowed", "end_user", "user-4711")
	if diff := cmp.Diff(want, a.reply(t, d, &Request{}), protocmp.Transform()); diff != "" {
		t.Errorf("with an end user (-want +got)\n%s", diff)
	}
}

func TestDenial(t *testing.T) {
	t.Parallel()
	a := speaker(t, "default")
	r := &Request{Headers: []Header{{"content-type", "application/grpc"}, {"x-request-id", "id 1"}}}
	want := &authv3.CheckResponse{
		Status: &status.Status{Code: 16},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode_Unauthorized},
			Headers: []*corev3.HeaderValueOption{
				overwrite("content-type", "application/problem+json"),
				overwrite("www-authenticate", `Bearer realm="postern", error="invalid_token"`),
				overwrite("www-authenticate", `ApiKey realm="postern"`),
				overwrite("x-request-id", "id 1"),
			},
			Body: `{"type":"urn:postern:error:credential_refused","title":"Unauthorized","status":401,"detail":"The credential was not accepted."}`,
		}},
		DynamicMetadata: metadataOf("reason", "key_revoked"),
	}
	if diff := cmp.Diff(want, a.reply(t, Decision{reason: ReasonKeyRevoked}, r), protocmp.Transform()); diff != "" {
		t.Errorf("denial (-want +got)\n%s", diff)
	}
}

// R-RESP-1, R-RESP-2, R-RESP-6: whatever is decided, about whatever, the reply keeps the rules.
func TestEveryReplyKeepsTheRules(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"default", "mka1", "mlm"} {
		everyReplyKeepsTheRules(t, speaker(t, name))
		everyReplyKeepsTheRules(t, speakerWith(t, name, FailureErrorResponse))
	}
	var zero speakerOf
	zero.Authorizer = &Authorizer{}
	zero.reply(t, Decision{}, &Request{})
	zero.reply(t, Decision{reason: ReasonAllowed, policy: &policy{}}, &Request{})
}

func everyReplyKeepsTheRules(t *testing.T, a speakerOf) {
	t.Helper()
	for reason := range reasonCount + 2 { // unknown ones, too
		for _, d := range []Decision{
			{reason: reason},
			{reason: reason, policy: a.policy()},
			a.proven(reason), a.acting(reason),
			{reason: reason, key: &preparedKey{}},
			{reason: reason, policy: a.policy(), key: &preparedKey{}},
			{reason: reason, policy: &policy{}},
		} {
			for _, r := range []*Request{{Path: "/a?b=c", Method: "GET"}, {Method: "CONNECT"}, {Path: "*", Method: "OPTIONS"}} { // R-RESP-5
				r.Headers = []Header{{"content-type", "application/grpc+proto"}}
				a.reply(t, d, r)
			}
		}
	}
}

// R-RESP-2, R-SPOOF-2: on every allow, set and removed headers are together the managed ones, and the credentials are gone.
func TestSetAndRemovedHeadersAreTheManagedOnes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"default", "mka1", "mlm"} {
		a := speaker(t, name)
		names := a.profile.Names()
		want := slices.Sorted(slices.Values(slices.Concat(names.Outputs, names.Inputs, names.Credentials)))
		for _, d := range []Decision{
			{reason: ReasonPublic, policy: a.policy()}, {reason: ReasonPreflight, policy: a.policy()}, a.proven(ReasonAllowed), a.acting(ReasonAllowed),
		} {
			ok := a.reply(t, d, &Request{}).GetOkResponse()
			got := slices.Clone(ok.GetHeadersToRemove())
			for _, h := range ok.GetHeaders() {
				got = append(got, h.GetHeader().GetKey())
			}
			if diff := cmp.Diff(want, slices.Sorted(slices.Values(got))); diff != "" {
				t.Errorf("%s, %v, end user %q: (-managed +set or removed)\n%s", name, d.reason, d.endUser, diff)
			}
		}
	}
}

// R-RESP-7: what a client reads depends on the class alone.
func TestRefusalsOfOneClassAreTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"default", "mka1", "mlm"} {
		a := speaker(t, name)
		first := map[Class][]byte{}
		for reason := range reasonCount {
			if reason.Class() == ClassAllowed {
				continue
			}
			got, err := proto.MarshalOptions{Deterministic: true}.Marshal(a.reply(t, Decision{reason: reason}, &Request{}).GetDeniedResponse())
			if err != nil {
				t.Fatal(err)
			}
			if before, ok := first[reason.Class()]; ok && !bytes.Equal(before, got) {
				t.Errorf("%s: the reply to %v is not that of others in class %v", name, reason, reason.Class())
			}
			first[reason.Class()] = got
		}
	}
}

func TestKnownKeysAreNamedInEveryResponse(t *testing.T) {
	t.Parallel()
	a := speaker(t, "mlm")
	allowed := a.reply(t, a.proven(ReasonAllowed), &Request{}).GetOkResponse().GetResponseHeadersToAdd()
	want := []*corev3.HeaderValueOption{overwrite("x-environment", "LIVE")}
	if diff := cmp.Diff(want, allowed, protocmp.Transform()); diff != "" {
		t.Errorf("on an allow (-want +got)\n%s", diff)
	}
	if got := header(a.reply(t, a.proven(ReasonPermissionMissing), &Request{}), "x-environment"); got != "LIVE" {
		t.Errorf("on a denial after the key was proven: x-environment %q, want LIVE", got)
	}
	if got := header(a.reply(t, Decision{reason: ReasonKeyUnknown}, &Request{}), "x-environment"); got != "" {
		t.Errorf("on a denial of an unknown key: x-environment %q, want none", got)
	}
}

func TestRequestIDOfDenials(t *testing.T) {
	t.Parallel()
	a := speaker(t, "default")
	for id, want := range map[string]string{
		"7a314c9e": "7a314c9e", "": "", "a\nb": "", " a": "", "é": "",
		strings.Repeat("a", maxHeaderValue): strings.Repeat("a", maxHeaderValue), strings.Repeat("a", maxHeaderValue+1): "",
	} {
		r := &Request{Headers: []Header{{"x-request-id", id}}}
		if got := header(a.reply(t, Decision{}, r), "x-request-id"); got != want {
			t.Errorf("x-request-id of a denial for %.20q: %.20q, want %.20q", id, got, want)
		}
	}
}

func TestStatusForGRPCClients(t *testing.T) {
	t.Parallel()
	a := speaker(t, "default")
	for _, test := range []struct {
		contentType string
		reason      Reason
		want        string
	}{
		{"application/grpc", ReasonPathRefused, "3"},
		{"application/grpc+proto", ReasonPathRefused, "3"},
		{"application/grpc-web", ReasonPathRefused, ""},
		{"application/grpc;x", ReasonPathRefused, ""},
		{"application/json", ReasonPathRefused, ""},
		{"application/grpc", ReasonKeyUnknown, ""},
		{"application/grpc", ReasonPermissionMissing, ""},
		{"application/grpc", ReasonStore, ""},
	} {
		r := &Request{Headers: []Header{{"content-type", test.contentType}}}
		if got := header(a.reply(t, Decision{reason: test.reason}, r), "grpc-status"); got != test.want {
			t.Errorf("grpc-status of %v for %s: %q, want %q", test.reason, test.contentType, got, test.want)
		}
	}
	if got := a.appendRequestHeaders(nil, 429, &Request{Headers: []Header{{"content-type", "application/grpc"}}}); !bytes.Contains(got, []byte("\x12\x018")) {
		t.Errorf("grpc-status of a used-up limit: %q, want 8", got)
	}
}

// R-RESP-3, R-RESP-4: an allow that cannot be said is a denial.
func TestWhatCannotBeSaidIsDenied(t *testing.T) {
	t.Parallel()
	a := speaker(t, "default")
	room := maxSet - len("x-on-behalf-of") - len("u") - len("x-a")
	for _, test := range []struct {
		name    string
		spoil   func(*Decision)
		allowed bool
	}{
		{"an end user of one letter", func(d *Decision) { d.endUser = "u" }, true},
		{"an end user with a line break", func(d *Decision) { d.endUser = "u\r\nx-environment: prod" }, false},
		{"an end user that is not ASCII", func(d *Decision) { d.endUser = "ü" }, false},
		{"an end user with outer spaces", func(d *Decision) { d.endUser = "u " }, false},
		{"headers as large as they may be", func(d *Decision) {
			d.key = keyWith(pieces{set: []nameValue{{"x-a", strings.Repeat("v", room)}}})
			d.endUser = "u"
		}, true},
		{"headers one byte larger", func(d *Decision) {
			d.key = keyWith(pieces{set: []nameValue{{"x-a", strings.Repeat("v", room+1)}}})
			d.endUser = "u"
		}, false},
		{"an empty value", func(d *Decision) { d.key = keyWith(pieces{set: []nameValue{{"x-a", ""}}}) }, false},
		{"a value with a tab", func(d *Decision) { d.key = keyWith(pieces{set: []nameValue{{"x-a", "a\tb"}}}) }, false},
		{"a name with a capital", func(d *Decision) { d.key = keyWith(pieces{set: []nameValue{{"X-a", "v"}}}) }, false},
		{"a pseudo header", func(d *Decision) { d.key = keyWith(pieces{remove: []string{":path"}}) }, false},
		{"a response header with a line break", func(d *Decision) { d.key = keyWith(pieces{respond: []nameValue{{"x-a", "a\nb"}}}) }, false},
		{"metadata that is not text", func(d *Decision) { d.key = keyWith(pieces{metadata: []nameValue{{"key_id", "\xff"}}}) }, false},
		{"no policy", func(d *Decision) { d.policy = nil }, false},
		{"no token where one takes the credential's place", func(d *Decision) { d.policy = introducing(d.policy) }, false},
		{"the token there", func(d *Decision) { d.policy, d.bearer = introducing(d.policy), "Bearer a.b.c" }, true},
		{"a key that was never prepared", func(d *Decision) { d.key = &preparedKey{} }, false},
	} {
		d := a.proven(ReasonAllowed)
		test.spoil(&d)
		if got := a.answers(&d); got != test.allowed {
			t.Errorf("%s: answers() = %v, want %v", test.name, got, test.allowed)
		}
		response := must[*authv3.CheckResponse](t, a.appendResponse(nil, &d, &Request{}))
		if got := response.GetOkResponse() != nil && response.GetStatus().GetCode() == 0; got != test.allowed {
			t.Errorf("%s: allowed %v, want %v", test.name, got, test.allowed)
		}
		if reason := response.GetDynamicMetadata().GetFields()["reason"].GetStringValue(); !test.allowed && reason != "reply" {
			t.Errorf("%s: reason %q, want reply", test.name, reason)
		}
	}
}

// introducing is a policy like p whose requests carry a token of ours.
func introducing(p *policy) *policy {
	p = new(*p)
	p.signs = true
	return p
}

// What is printable is judged eight bytes at a time: each byte counts at each place, whatever stands beside it.
func TestEveryByteOfAValueIsJudged(t *testing.T) {
	for length := 1; length <= 20; length++ {
		for at := range length {
			for c := range 256 {
				for _, filler := range []string{"!", "~", "m"} {
					b := []byte(strings.Repeat(filler, length))
					b[at] = byte(c)
					inner := at > 0 && at < length-1
					want := '!' <= c && c <= '~' || c == ' ' && inner
					if got := printable(string(b)); got != want {
						t.Fatalf("printable(%q) = %v, want %v", b, got, want)
					}
				}
			}
		}
	}
}

func keyWith(p pieces) *preparedKey { return &preparedKey{pieces: encode(p)} }

// Whatever a decision holds, the reply decodes to what it says, and is the one encoding of it.
func TestRepliesDecodeToWhatTheySay(t *testing.T) {
	t.Parallel()
	a := speaker(t, "mka1")
	text := rapid.OneOf(rapid.StringMatching(`[!-~]{1,150}`), rapid.String(), rapid.SampledFrom([]string{strings.Repeat("x", 300), ""}))
	rapid.Check(t, func(t *rapid.T) {
		d := a.proven(Reason(rapid.IntRange(0, int(reasonCount)).Draw(t, "reason")))
		d.endUser, d.identity = text.Draw(t, "end user"), text.Draw(t, "identity")
		d.extra = rapid.SliceOfN(rapid.StringMatching(`x[_.]account[_.]id`), 0, 3).Draw(t, "extra")
		got := a.reply(t, d, &Request{Headers: []Header{{"x-request-id", text.Draw(t, "request id")}}})
		if ok := got.GetOkResponse(); ok != nil {
			set := map[string]string{}
			for _, h := range ok.GetHeaders() {
				set[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
			}
			if set["x-on-behalf-of"] != d.endUser || set["x-owner-identity"] != d.identity {
				t.Fatalf("set %q, want end user %q and identity %q", set, d.endUser, d.identity)
			}
		}
	})
}

func TestReplyAllocatesNothing(t *testing.T) {
	a := speaker(t, "default")
	dst := make([]byte, 0, 4096)
	for _, d := range []Decision{a.proven(ReasonAllowed), a.acting(ReasonAllowed), {reason: ReasonPublic, policy: a.policy()}, {reason: ReasonKeyUnknown}} {
		r := &Request{Headers: []Header{{"x-request-id", "7a314c9e"}}}
		if n := testing.AllocsPerRun(1000, func() { a.appendResponse(dst, &d, r) }); n != 0 {
			t.Errorf("reply %v: %v allocations, want 0", d.reason, n)
		}
	}
}

func BenchmarkReply(b *testing.B) {
	for _, d := range []string{"tenant", "end user"} {
		a := speaker(b, "default")
		decision := a.proven(ReasonAllowed)
		if d == "end user" {
			decision = a.acting(ReasonAllowed)
		}
		dst := make([]byte, 0, 4096)
		b.Run(fmt.Sprint(d), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.appendResponse(dst, &decision, &Request{})
			}
		})
	}
}
