package admin

import (
	"net/http"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// DefaultOverlap is how long the old secret works beside a new one unless something else is asked for.
const DefaultOverlap = 72 * time.Hour

// RotateRequest says how to give a key a new secret.
type RotateRequest struct {
	Overlap     *string    `json:"overlap,omitempty"` // like 72h, which is the default; 0: all others end at once
	IfUpdatedAt *time.Time `json:"if_updated_at,omitempty"`
}

// EndOldRequest says which key is meant.
type EndOldRequest struct {
	IfUpdatedAt *time.Time `json:"if_updated_at,omitempty"`
}

// RotationPlan is what a rotation, or the end of old secrets, would end if the key stays as it was at UpdatedAt.
type RotationPlan struct {
	UpdatedAt time.Time `json:"updated_at"`
	Ended     []Secret  `json:"ended"` // at once
	Ends      []Secret  `json:"ends"`  // with the ends that they would get
}

func (h *handler) rotateKey(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request RotateRequest
	if err := body(w, r, &request); err != nil {
		return err
	}
	overlap, err := overlapOf(request.Overlap)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	rotation, printed, err := h.Keys.Rotate(r.Context(), id, keystore.RotateSpec{Overlap: overlap, UpdatedAt: orZero(request.IfUpdatedAt)}, now)
	if err != nil {
		return about(err, "key", id)
	}
	writeJSON(w, http.StatusOK, CreatedKey{Key: keyJSON(&rotation.Key), Printed: printed})
	return nil
}

func (h *handler) endOldSecrets(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request EndOldRequest
	if err := body(w, r, &request); err != nil {
		return err
	}
	id := r.PathValue("id")
	rotation, err := h.Keys.EndOld(r.Context(), id, orZero(request.IfUpdatedAt), now)
	if err != nil {
		return about(err, "key", id)
	}
	writeJSON(w, http.StatusOK, keyJSON(&rotation.Key))
	return nil
}

func (h *handler) planRotation(w http.ResponseWriter, r *http.Request, now time.Time) error {
	query, err := parameters(r, "overlap")
	if err != nil {
		return err
	}
	var given *string
	if query.Has("overlap") {
		given = new(query.Get("overlap"))
	}
	overlap, err := overlapOf(given)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	plan, err := h.Keys.PlanRotate(r.Context(), id, overlap, now)
	return writePlan(w, id, &plan, err)
}

func (h *handler) planEndOld(w http.ResponseWriter, r *http.Request, now time.Time) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	id := r.PathValue("id")
	plan, err := h.Keys.PlanEndOld(r.Context(), id, now)
	return writePlan(w, id, &plan, err)
}

func writePlan(w http.ResponseWriter, id string, plan *keystore.Rotation, err error) error {
	if err != nil {
		return about(err, "key", id)
	}
	writeJSON(w, http.StatusOK, RotationPlan{
		UpdatedAt: plan.Key.UpdatedAt.UTC(), Ended: secretsJSON(plan.Ended), Ends: secretsJSON(plan.Ends),
	})
	return nil
}

func overlapOf(text *string) (time.Duration, error) {
	if text == nil {
		return DefaultOverlap, nil
	}
	overlap, err := time.ParseDuration(*text)
	if err != nil {
		return 0, invalid("overlap", "is not a length of time", "write it like 72h; 0 ends all other secrets at once")
	}
	return overlap, nil
}
