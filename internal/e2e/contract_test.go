package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
)

// contract is what a client and an upstream may rely on: one profile, with the policies of its example.
type contract struct {
	example    string
	credential func(printed string) string // the header line that carries a key
	holder     []string                    // flags that make a key's owner known to `keys create`
	open       string                      // a public path
	shut       string                      // a path that every key passes
	guarded    string                      // a path that demands permission
	method     string                      // of requests for it
	permission string

	// What the upstream receives for a plain request with the key: every managed header, "" for those that are removed.
	upstream func(k key, permissions string) map[string]string
	// Where credentials may stand; each is removed on the way.
	places []string
	// The end user is read from X-On-Behalf-Of.
	endUser bool
	// Every response to a proven key names its environment.
	environment bool

	badRequest, ambiguous, endUserInvalid, missing, refused, forbidden, unavailable refusal
}

// refusal is a denial as the client sees it.
type refusal struct {
	status     int
	kind       string // content type
	body       string
	challenges []string
	retryAfter string
}

func problem(status int, class, title, detail string) refusal {
	return refusal{status: status, kind: "application/problem+json", body: fmt.Sprintf(
		`{"type":"urn:postern:error:%s","title":"%s","status":%d,"detail":"%s"}`, class, title, status, detail)}
}

func plain(status int, text string) refusal {
	return refusal{status: status, kind: "application/json", body: `{"error": "` + text + `"}`}
}

func coded(status int, text, code string) refusal {
	return refusal{status: status, kind: "application/json", body: `{"error":"` + text + `","code":"` + code + `"}`}
}

func (r refusal) challenging(challenges ...string) refusal {
	r.challenges = challenges
	return r
}

func (r refusal) retrying() refusal {
	r.retryAfter = "1"
	return r
}

func quickstart() contract {
	const second = `ApiKey realm="postern"`
	return contract{
		example:    "quickstart",
		credential: func(printed string) string { return "Authorization: Bearer " + printed },
		open:       "/public/a", shut: "/v2/things", guarded: "/v1/notes", method: "POST", permission: "note:create",
		upstream: func(k key, permissions string) map[string]string {
			return map[string]string{
				"x-tenant-id": k.Tenant, "x-environment": k.Environment, "x-api-key-id": k.ID, "x-permissions": permissions,
				"x-on-behalf-of": "", "x-user-id": "",
			}
		},
		places:         []string{"authorization", "x-api-key"},
		endUser:        true,
		badRequest:     problem(400, "bad_request", "Bad Request", "The request cannot be read unambiguously."),
		ambiguous:      problem(400, "bad_request", "Bad Request", "The request cannot be read unambiguously."),
		endUserInvalid: problem(400, "end_user_invalid", "Bad Request", "X-On-Behalf-Of is not a valid end user."),
		missing:        problem(401, "credential_missing", "Unauthorized", "A credential is required.").challenging(`Bearer realm="postern"`, second),
		refused:        problem(401, "credential_refused", "Unauthorized", "The credential was not accepted.").challenging(`Bearer realm="postern", error="invalid_token"`, second),
		forbidden:      problem(403, "forbidden", "Forbidden", "The credential does not allow this request."),
		unavailable:    problem(503, "unavailable", "Service Unavailable", "The request could not be checked.").retrying(),
	}
}

func mka1() contract {
	return contract{
		example:    "mka1",
		credential: func(printed string) string { return "Authorization: Bearer " + printed },
		holder:     []string{"--tenant", "acme"},
		open:       "/api/v1/status", shut: "/api/v1/threads", guarded: "/api/v1/agents", method: "GET", permission: "agent:read",
		upstream: func(k key, permissions string) map[string]string {
			return map[string]string{
				"x-account-id": k.Tenant, "x-api-key-id": k.ID, "x-permissions": permissions,
				"x-organization-id": "", "x-environment": "", "x-owner-identity": "", "x-on-behalf-of": "",
			}
		},
		places:         []string{"authorization"},
		endUser:        true,
		badRequest:     plain(400, "Bad request"),
		ambiguous:      plain(400, "Bad request"),
		endUserInvalid: plain(400, "Invalid X-On-Behalf-Of"),
		missing:        plain(401, "Unauthorized").challenging(`Bearer realm="postern"`),
		refused:        plain(401, "Unauthorized").challenging(`Bearer realm="postern", error="invalid_token"`),
		forbidden:      plain(403, "Forbidden"),
		unavailable:    plain(503, "Service unavailable").retrying(),
	}
}

func mlm() contract {
	return contract{
		example:    "mlm",
		credential: func(printed string) string { return "x-tenant-api-key: " + printed },
		holder:     []string{"--tenant", "acme", "--env", "LIVE"},
		open:       "/api/v1/status", shut: "/api/v1/notes", guarded: "/api/v1/admin/users", method: "GET", permission: "tenant:admin",
		upstream: func(k key, permissions string) map[string]string {
			return map[string]string{
				"x-tenant-id": k.Tenant, "x-environment": k.Environment, "x-api-key-id": k.ID, "x-permissions": permissions,
				"x-user-id": "", "x-end-user": "", "x-on-behalf-of": "",
			}
		},
		places:      []string{"authorization", "x-tenant-api-key"},
		environment: true,
		badRequest:  coded(400, "Bad request", "BAD_REQUEST"),
		ambiguous:   coded(400, "Ambiguous credentials", "AMBIGUOUS_CREDENTIALS"),
		missing:     coded(401, "Missing API key", "MISSING_API_KEY").challenging(`ApiKey realm="postern"`),
		refused:     coded(401, "Invalid API key", "INVALID_API_KEY").challenging(`ApiKey realm="postern"`),
		forbidden:   coded(403, "Forbidden", "FORBIDDEN"),
		unavailable: coded(503, "Service unavailable", "SERVICE_UNAVAILABLE").retrying(),
	}
}

// is compares a response with the refusal: status, body, challenges, and a request id, exactly once.
func (r refusal) is(t *testing.T, got *authtest.Response) {
	t.Helper()
	type seen struct {
		Status           int
		Kind, Body       string
		Challenges       []string
		RetryAfter       string
		RequestIDIsThere bool
	}
	want := seen{r.status, r.kind, r.body, r.challenges, r.retryAfter, true}
	have := seen{
		got.Status, got.Value("content-type"), string(got.Body), authtest.Values(got.Fields, "www-authenticate"), got.Value("retry-after"),
		requestID().MatchString(got.Value("x-request-id")),
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
}

// requestID matches one value of a form that Envoy makes.
func requestID() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f-]{36}$`) }

// arrives compares every managed header that the upstream received, in any spelling, with what should be there.
func arrives(t *testing.T, want map[string]string, got authtest.Received) {
	t.Helper()
	fold := strings.NewReplacer("_", "-", ".", "-")
	have := map[string]string{}
	for name := range want {
		have[name] = ""
	}
	for _, f := range got.Fields {
		name := fold.Replace(strings.ToLower(f.Name))
		if before, managed := have[name]; managed {
			have[name] = strings.TrimPrefix(before+"|"+f.Value, "|")
			if !strings.EqualFold(name, f.Name) {
				have[name] += " (as " + f.Name + ")"
			}
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("managed headers at the upstream (-want +got):\n%s", diff)
	}
}
