package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Explanation is how one request would be decided on. It holds no credential.
type Explanation struct {
	Allowed         bool              `json:"allowed"`
	Status          int               `json:"status"` // of HTTP; 200 where the request may pass
	Reason          string            `json:"reason"`
	Class           *string           `json:"class"` // of a refusal
	Policy          *string           `json:"policy"`
	Tenant          *string           `json:"tenant"`
	Environment     *string           `json:"environment"`
	KeyID           *string           `json:"key_id"`
	EndUser         *string           `json:"end_user"`
	Set             map[string]string `json:"set"`              // request headers, on their way upstream
	Remove          []string          `json:"remove"`           // likewise
	ResponseHeaders map[string]string `json:"response_headers"` // to the client; lines of one name joined by ", "
	Body            *string           `json:"body"`             // of a refusal
	Steps           []Step            `json:"steps"`
}

// Step is what became of one step in the life of a request.
type Step struct {
	Step    string `json:"step"`
	Outcome string `json:"outcome"`
}

// check says how a request would be decided on. It changes nothing.
func (h *handler) check(w http.ResponseWriter, r *http.Request, now time.Time) error {
	if h.Check == nil {
		return errNotFound()
	}
	request, err := rawBody(w, r)
	if err != nil {
		return err
	}
	reply, err := h.Check(r.Context(), request, now)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, reply)
	return nil
}

// Check asks how a CheckRequest, in the JSON of protobuf, would be decided on. Nothing is counted.
func (c *Client) Check(ctx context.Context, request json.RawMessage) (Explanation, error) {
	return ask[Explanation](ctx, c, http.MethodPost, "/v1/check", request)
}
