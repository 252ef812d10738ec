package extauthz

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/postern-auth/postern/keystore"
)

// speakerOf is an Authorizer for its replies alone: its decisions are made by hand.
type speakerOf struct{ *Authorizer }

func speaker(tb testing.TB, name string) speakerOf {
	tb.Helper()
	return speakerWith(tb, name, FailureDeny)
}

func speakerWith(tb testing.TB, name string, f OnFailure) speakerOf {
	tb.Helper()
	p, ok := ProfileByName(name)
	if !ok {
		tb.Fatalf("there is no profile %q", name)
	}
	o := Options{Profile: p, Environments: []keystore.Environment{{Name: "LIVE", KeyPrefix: "live_"}}, InjectEnvironment: true, OnFailure: f}
	if p.header(fromOwnerIdentity) != "" {
		o.Identity = IdentityRaw
	}
	a, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return speakerOf{a}
}

func (s speakerOf) policy() *policy { return s.router.find("", "/", "GET") }

// proven is a decision about a key of acme's, by the default policy.
func (s speakerOf) proven(r Reason) Decision {
	prepared, _ := s.prepare(&keystore.Key{
		ID: "k1", Tenant: "acme", TenantKind: keystore.KindAccount, Environment: "LIVE", Permissions: []string{"a:read", "b:write"},
	})
	key := prepared.(*preparedKey)
	return Decision{reason: r, policy: s.policy(), key: key, identity: key.identity}
}

// acting is the same for an end user, if the profile has any.
func (s speakerOf) acting(r Reason) Decision {
	d := s.proven(r)
	if s.endUserHeader != "" {
		d.endUser, d.identity = "user-4711", "acme:user-4711"
	}
	return d
}

// reply decodes the reply to d, and checks all the rules that need nothing else.
func (s speakerOf) reply(t rapid.TB, d Decision, r *Request) *authv3.CheckResponse {
	t.Helper()
	b := s.appendResponse([]byte("before"), &d, r)
	b, ok := bytes.CutPrefix(b, []byte("before"))
	got := must[*authv3.CheckResponse](t, b)
	says := d.Allowed() && s.answers(&d)
	denied := got.GetDeniedResponse()
	if s.errorResponse && !says && isInternal(got.GetDynamicMetadata().GetFields()["reason"].GetStringValue()) {
		if denied != nil || got.GetErrorResponse().GetStatus().GetCode() != 503 {
			t.Fatalf("%v: %v, want an error_response with 503", d.reason, got)
		}
		denied, got = got.GetErrorResponse(), proto.CloneOf(got)
		got.HttpResponse = &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied} // the rest is as for every denial
		b = bytes.Replace(b, []byte{checkError<<3 | 2}, []byte{checkDenied<<3 | 2}, 1)
	}
	switch code, http := got.GetStatus().GetCode(), denied.GetStatus().GetCode(); {
	case !ok || got.GetStatus() == nil:
		t.Fatalf("%v: no status", d.reason)
	case says != (code == 0) || says != (got.GetOkResponse() != nil) || says == (denied != nil) || got.GetErrorResponse() != nil:
		t.Fatalf("%v: code %d, %T, although allowed is %v", d.reason, code, got.GetHttpResponse(), says)
	case !says && (code == 16) != (http == 401) || !says && code != 16 && code != 7 || !says && (http < 400 || http > 503):
		t.Fatalf("%v: code %d beside HTTP %d", d.reason, code, http)
	case http == 503 && header(got, "retry-after") != "1" && s.refusals[0] != nil:
		t.Fatalf("%v: 503 with retry-after %q", d.reason, header(got, "retry-after"))
	}
	all := slices.Concat(got.GetOkResponse().GetHeaders(), got.GetOkResponse().GetResponseHeadersToAdd(), denied.GetHeaders())
	for _, h := range all {
		name, value := h.GetHeader().GetKey(), h.GetHeader().GetValue()
		if diff := cmp.Diff(overwrite(name, value), h, protocmp.Transform()); diff != "" {
			t.Fatalf("%v: %s\n%s", d.reason, name, diff)
		}
		if name == "" || name != strings.ToLower(name) || !printable(value) {
			t.Fatalf("%v: header %q: %q", d.reason, name, value)
		}
	}
	for name, v := range got.GetDynamicMetadata().GetFields() {
		if v.GetStringValue() == "" {
			t.Fatalf("%v: metadata %s is %v", d.reason, name, v)
		}
	}
	if ok := got.GetOkResponse(); len(ok.GetQueryParametersToSet())+len(ok.GetQueryParametersToRemove()) != 0 { // R-RESP-5
		t.Fatalf("%v: the query is changed", d.reason)
	}
	// The encoding is the one that protobuf makes; only a map has no order.
	metadata := &authv3.CheckResponse{DynamicMetadata: got.GetDynamicMetadata()}
	rest := proto.CloneOf(got)
	rest.DynamicMetadata = nil
	want, err := proto.Marshal(rest)
	if err != nil || !bytes.HasPrefix(b, want) || len(b) != len(want)+proto.Size(metadata) {
		t.Fatalf("%v: %v\ngot  %x\nwant %x and %d bytes", d.reason, err, b, want, proto.Size(metadata))
	}
	return got
}

// isInternal lists what is a failure and not a refusal: R-RESP-6.
func isInternal(reason string) bool {
	return slices.Contains([]string{"panic", "deadline", "store", "overloaded"}, reason)
}

// must decodes b.
func must[M proto.Message](t rapid.TB, b []byte) M {
	t.Helper()
	var m M
	m = m.ProtoReflect().Type().New().Interface().(M)
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatalf("decoding %x: %v", b, err)
	}
	return m
}

// header returns a header of a denial, its values joined by "|".
func header(c *authv3.CheckResponse, name string) string {
	var all []string
	for _, h := range c.GetDeniedResponse().GetHeaders() {
		if h.GetHeader().GetKey() == name {
			all = append(all, h.GetHeader().GetValue())
		}
	}
	return strings.Join(all, "|")
}

// overwrite is a header that overwrites by both of its fields, the deprecated one too.
func overwrite(name, value string) *corev3.HeaderValueOption {
	h := &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
	m := h.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName("append"), protoreflect.ValueOfMessage(wrapperspb.Bool(false).ProtoReflect()))
	return h
}

func metadataOf(pairs ...string) *structpb.Struct {
	s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for i := 0; i < len(pairs); i += 2 {
		s.Fields[pairs[i]] = structpb.NewStringValue(pairs[i+1])
	}
	return s
}
