package admin

import (
	"errors"
	"net/http"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// VerifyRequest holds a printed key. It is never logged, nor repeated in a reply.
type VerifyRequest struct {
	Key string `json:"key"`
}

// Verification says what the gate says of a key on a route that demands nothing else.
type Verification struct {
	Valid  bool   `json:"valid"`
	Reason string `json:"reason"` // the gate's: allowed, key_unknown, key_revoked, …
	Key    *Key   `json:"key"`    // also of one that is refused; null where nothing is proven
}

// Verdict is what [Options.Verify] says of a printed key.
type Verdict struct {
	Valid  bool
	Reason string
}

func (h *handler) verifyKey(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request VerifyRequest
	if err := body(w, r, &request); err != nil {
		return err
	}
	switch {
	case request.Key == "":
		return invalid("key", "is missing", "")
	case h.Verify == nil:
		return errNotFound()
	}
	verdict, err := h.Verify(r.Context(), request.Key, now)
	if err != nil {
		return err
	}
	reply := Verification{Valid: verdict.Valid, Reason: verdict.Reason}
	key, err := h.Keys.Verify(r.Context(), request.Key, now)
	switch {
	case errors.Is(err, keystore.ErrUnavailable):
		return err
	case !errors.Is(err, keystore.ErrUnknown):
		reply.Key = new(keyJSON(&key))
	}
	writeJSON(w, http.StatusOK, reply)
	return nil
}
