package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/keystore"
)

// The JSON of interface.md, section 4: all of it is there, whatever is absent.
func TestAnExplanationHasItsShape(t *testing.T) {
	t.Parallel()
	var asked string
	var answer admin.Explanation
	r := open(t, func(_ *keystore.Options, o *admin.Options) {
		o.Check = func(_ context.Context, request []byte, now time.Time) (admin.Explanation, error) {
			asked = string(request)
			if !now.Equal(moment) {
				t.Errorf("asked at %v", now)
			}
			if asked == "{}" {
				return admin.Explanation{}, &admin.Error{Status: http.StatusBadRequest, Message: "it asks for nothing", Hint: "ask"}
			}
			return answer, nil
		}
	})
	class := "credential_refused"
	answer = admin.Explanation{
		Status: 401, Reason: "key_unknown", Class: &class, Set: map[string]string{}, Remove: []string{}, ResponseHeaders: map[string]string{"a": "<b>"},
		Steps: []admin.Step{{Step: "Read", Outcome: "passed"}},
	}
	expect(t, r, 200, `{"allowed":false,"status":401,"reason":"key_unknown","class":"credential_refused","policy":null,"tenant":null,"environment":null,"key_id":null,`+
		`"end_user":null,"set":{},"remove":[],"response_headers":{"a":"<b>"},"body":null,"steps":[{"step":"Read","outcome":"passed"}]}`, "POST", "/v1/check", `{"attributes":{}}`)
	if asked != `{"attributes":{}}` {
		t.Errorf("asked about %s", asked)
	}
	got, err := r.client().Check(t.Context(), json.RawMessage(`{"attributes":{}}`))
	if diff := cmp.Diff(answer, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	expect(t, r, 400, `{"error":"it asks for nothing","hint":"ask"}`, "POST", "/v1/check", "{}")
	if got := r.send("POST", "/v1/check", strings.Repeat(" ", 64<<10+1)); got.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a long request: %d", got.Code)
	}
	if got := r.send("POST", "/v1/check", "{}", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }); got.Code != http.StatusUnsupportedMediaType {
		t.Errorf("no JSON: %d", got.Code)
	}
}

func TestWhereNobodyDecidesNothingIsExplained(t *testing.T) {
	t.Parallel()
	_, err := open(t, nil).client().Check(t.Context(), json.RawMessage(`{}`))
	if refused, ok := errors.AsType[*admin.Error](err); !ok || refused.Status != http.StatusNotFound {
		t.Errorf("Check = %v, want 404", err)
	}
}
