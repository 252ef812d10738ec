package admin

import (
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// How many records one reply holds.
const (
	defaultRecords = 1000
	maxRecords     = 10_000
)

// Record says that somebody changed something.
type Record struct {
	Number      uint64         `json:"number"` // rises by one; ask for what comes after it
	Time        time.Time      `json:"time"`
	Actor       string         `json:"actor"`  // uid:N, token, postern
	Action      string         `json:"action"` // key.revoke, …
	Tenant      *string        `json:"tenant"`
	Environment *string        `json:"environment"`
	KeyID       *string        `json:"key_id"`
	Details     map[string]any `json:"details"` // numbers and lists of texts, by what they say
}

// audit lists records of audit, oldest first.
func (h *handler) audit(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	query, err := parameters(r, "after", "limit")
	if err != nil {
		return err
	}
	after, limit := uint64(0), uint64(defaultRecords)
	if text := query.Get("after"); text != "" {
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			return invalid("after", "is not the number of a record", "")
		}
	}
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.ParseUint(text, 10, 64); err != nil || limit < 1 || limit > maxRecords {
			return invalid("limit", fmt.Sprintf("is not a number from 1 to %d", maxRecords), "")
		}
	}
	return writeList(w, "records", first(limit, h.Keys.Audit(r.Context(), after)), recordJSON)
}

// first is the first n of items.
func first[Item any](n uint64, items iter.Seq2[Item, error]) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		left := n
		for item, err := range items {
			if left--; !yield(item, err) || left == 0 {
				return
			}
		}
	}
}

func recordJSON(r *keystore.Record) Record {
	reply := Record{
		Number:      r.Number,
		Time:        r.Time.UTC(),
		Actor:       r.Actor,
		Action:      r.Action,
		Tenant:      orNull(r.Tenant),
		Environment: orNull(r.Environment),
		KeyID:       orNull(r.KeyID),
		Details:     map[string]any{},
	}
	for _, d := range r.Details {
		if d.Texts != nil {
			reply.Details[d.Name] = d.Texts
		} else {
			reply.Details[d.Name] = d.Count
		}
	}
	return reply
}
