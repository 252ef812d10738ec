package extauthz_test

import (
	"encoding/json"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// lines returns what was logged, line by line, without time.
func (s *served) lines(tb testing.TB) []map[string]any {
	tb.Helper()
	var all []map[string]any
	for line := range strings.Lines(s.log.String()) {
		var attributes map[string]any
		if err := json.Unmarshal([]byte(line), &attributes); err != nil {
			tb.Fatalf("%v in %q", err, line)
		}
		delete(attributes, "time")
		all = append(all, attributes)
	}
	return all
}

func logging(which extauthz.DecisionLog) func(*extauthz.ServiceOptions) {
	return func(o *extauthz.ServiceOptions) { o.Decisions = which }
}

func TestWhatIsLoggedOfADecision(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t, extauthz.PolicySpec{Name: "orders", Paths: []string{"/v1/orders"}, Permissions: []string{"order:read"}}))
	s := serve(t, g, nil)
	id, key := g.create(keystore.KeySpec{})
	s.check(t.Context(), t, extauthz.Sample(t, extauthz.ShapeList, key))
	want := []map[string]any{{
		"level": "INFO", "msg": "request refused", "reason": "permission_missing", "policy": "orders", "tenant": "acme", "environment": "LIVE",
		"key_id": id, "end_user": "user-4711", "method": "GET", "host": "api.example.com", "path": "/v1/orders", "protocol": "HTTP/2",
		"request_id": "7a314c9e-9b1d-4f2a-8c0d-4e8b5f2a6c0d",
	}}
	if diff := cmp.Diff(want, s.lines(t)); diff != "" {
		t.Errorf("log (-want +got)\n%s", diff)
	}
}

// A refused key is named by the lookup id in its text, known or not: the same work for all that are well-formed (R-RESP-7).
func TestARefusedKeyIsNamedInTheLog(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	id, revoked := g.create(keystore.KeySpec{})
	if err := second(g.keys.Revoke(t.Context(), id, noon())); err != nil {
		t.Fatal(err)
	}
	unknown := newGate(t, options(t)).key(keystore.KeySpec{}) // made elsewhere
	elsewhere, err := keystore.Parse(unknown)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ key, reason, lookupID string }{
		"revoked":              {revoked, "key_revoked", id},
		"never made":           {unknown, "key_unknown", elsewhere.ID},
		"mistyped":             {flip(revoked), "key_unknown", ""},
		"of another system":    {"mk-0123456789", "key_unknown", ""},
		"no credential at all": {"", "credential_missing", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, g, nil)
			s.check(t.Context(), t, extauthz.Sample(t, extauthz.ShapeList, test.key))
			line := s.lines(t)[0]
			got, _ := line["lookup_id"].(string)
			if line["reason"] != test.reason || got != test.lookupID || line["key_id"] != nil {
				t.Errorf("%v, want %s with the lookup id %q", line, test.reason, test.lookupID)
			}
			if len(test.key) > 20 && strings.Contains(s.log.String(), test.key[20:]) {
				t.Errorf("the log holds the secret: %s", s.log)
			}
		})
	}
}

func TestWhichDecisionsAreLogged(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	allowed := extauthz.Sample(t, extauthz.ShapeList, g.key(keystore.KeySpec{}))
	denied := extauthz.Sample(t, extauthz.ShapeList, "x")
	for _, test := range []struct {
		which          extauthz.DecisionLog
		allowed        int // of 200
		denied         int // of 200
		faults, atMost int // of 10 in far less than a second each
	}{
		{"", 0, 200, 10, 10},
		{extauthz.LogDenied, 0, 200, 10, 10},
		{extauthz.LogNone, 0, 0, 1, 2},
		{extauthz.LogSampled, 2, 2, 1, 2},
		{extauthz.LogAll, 200, 200, 10, 10},
	} {
		s := serve(t, g, logging(test.which))
		for message, want := range map[*[]byte]int{&allowed: test.allowed, &denied: test.denied} {
			before := len(s.lines(t))
			for range 200 {
				s.Answer(t.Context(), *message)
			}
			if got := len(s.lines(t)) - before; got != want {
				t.Errorf("%q: %d of 200 in the log, want %d", test.which, got, want)
			}
		}
		before := len(s.lines(t))
		for range 10 {
			s.Answer(t.Context(), nil)
		}
		if got := len(s.lines(t)) - before; got < test.faults || got > test.atMost {
			t.Errorf("%q: %d of 10 faults in the log, want %d", test.which, got, test.faults)
		}
	}
}

func TestFaultsAreErrorsWithTheirCause(t *testing.T) {
	t.Parallel()
	s := serve(t, newGate(t, options(t)), nil)
	s.Answer(t.Context(), []byte("\xff"))
	want := []map[string]any{{
		"level": "ERROR", "msg": "request could not be checked", "reason": "request_unreadable", "err": "reading CheckRequest: malformed message",
	}}
	if diff := cmp.Diff(want, s.lines(t)); diff != "" {
		t.Errorf("log (-want +got)\n%s", diff)
	}
}

func TestPanicsAreLoggedWithTheirStackOnceASecond(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	s := serve(t, g.with(func(o *extauthz.Options) { o.Keys = nil }), logging(extauthz.LogNone))
	for range 10 {
		s.Answer(t.Context(), extauthz.Sample(t, extauthz.ShapeList, "live_x"))
	}
	stacks := 0
	for _, line := range s.lines(t) {
		if stack, _ := line["stack"].(string); strings.Contains(stack, "Authorize") {
			stacks++
		}
	}
	if stacks < 1 || stacks > 2 {
		t.Errorf("%d stacks in the log of ten panics, want one", stacks)
	}
}

// R-LOG-1, R-CRED-5: no credential, query, fragment or referrer is in the log, wherever a client puts it.
func TestSecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	key := g.key(keystore.KeySpec{})
	const canary = "canary-0123456789"
	s := serve(t, g, logging(extauthz.LogAll))
	for _, path := range []string{
		"/a?key=" + canary, "/a#" + canary, "/keys/" + key, "/a;key=" + canary, "/key=" + canary + "/a", "/a&k=" + canary,
		"http://user:" + canary + "@host/a", "?" + canary, "/" + strings.Repeat("a/", 200) + canary,
		"/" + strings.Repeat("a/", 115) + key, "/" + strings.Repeat("a/", 120) + key + "/a", "/" + strings.Repeat("a/", 127) + key,
	} {
		for _, authority := range []string{"api.example.com", "user:" + canary + "@api.example.com", "api." + key + ".test:443"} {
			message := extauthz.Sample(t, extauthz.ShapeList, key,
				extauthz.Header{Name: ":path", Value: path}, extauthz.Header{Name: "referer", Value: "https://a/?" + canary},
				extauthz.Header{Name: "x-api-key", Value: canary}, extauthz.Header{Name: "x-request-id", Value: key})
			var request authv3.CheckRequest
			if err := proto.Unmarshal(message, &request); err != nil {
				t.Fatal(err)
			}
			request.Attributes.Request.Http.Host = authority
			s.Answer(t.Context(), marshal(t, &request))
		}
	}
	log := s.log.String()
	for _, secret := range []string{canary, key} {
		for i := 0; i+8 <= len(secret); i++ {
			if strings.Contains(log, secret[i:i+8]) {
				t.Fatalf("%q of %q is in the log:\n%s", secret[i:i+8], secret, log)
			}
		}
	}
	if len(s.lines(t)) != 36 {
		t.Errorf("%d lines, want 36", len(s.lines(t)))
	}
}

func TestTextsInTheLogAreBoundedAndPrintable(t *testing.T) {
	t.Parallel()
	s := serve(t, newGate(t, options(t)), nil)
	message := extauthz.Sample(t, extauthz.ShapeList, "x",
		extauthz.Header{Name: ":path", Value: "/\x1b[31m/\u2028/\u009b/" + strings.Repeat("a/", 1000)},
		extauthz.Header{Name: "x-request-id", Value: "\x1b\"" + strings.Repeat("i", 46)})
	s.Answer(t.Context(), message)
	line := s.lines(t)[0]
	path, id := line["path"].(string), line["request_id"].(string)
	if !strings.HasPrefix(path, `/\x1b[31m/\u2028/\u009b/a/`) || len(path) > 300 {
		t.Errorf("path %q", path)
	}
	if id != `\x1b\"`+strings.Repeat("i", 46) {
		t.Errorf("request id %q", id)
	}
}
