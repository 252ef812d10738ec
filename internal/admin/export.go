package admin

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// ExportedKey is a line of an export, and of an import of format postern: the JSON of a key, and its secrets as they are stored.
type ExportedKey struct {
	Key
	Refill    *Refill        `json:"refill,omitempty"`
	RateLimit *RateLimit     `json:"rate_limit,omitempty"`
	Secrets   []StoredSecret `json:"secrets"` // newest first
}

// StoredSecret is a secret as it is stored.
type StoredSecret struct {
	LookupID  *string    `json:"lookup_id"` // null: found by its hash, or by start
	Kind      string     `json:"kind"`      // key, sha256, bcrypt, argon2id
	Hash      string     `json:"hash"`      // see [keystore.StoredSecret]
	Start     *string    `json:"start"`
	CreatedAt *time.Time `json:"created_at"`
	EndsAt    *time.Time `json:"ends_at"` // null: with the key
}

// UnmarshalJSON reads a secret, strictly.
func (s *StoredSecret) UnmarshalJSON(data []byte) error {
	type fields StoredSecret
	return decode(data, (*fields)(s))
}

// export sends keys as lines, with their hashes: it is not for the network.
func (h *handler) export(w http.ResponseWriter, r *http.Request, now time.Time) error {
	query, err := parameters(r, "tenant")
	if err != nil {
		return err
	}
	tenant := query.Get("tenant")
	w.Header().Set("Content-Type", contentLines)
	buffer := bufio.NewWriterSize(unhurried{w: w}, listBuffer)
	out := encoder(buffer)
	for key, err := range h.Keys.Export(r.Context(), tenant, now) {
		if err == nil {
			err = out.Encode(exportedJSON(&key))
		}
		if err != nil {
			return about(err, "tenant", tenant)
		}
	}
	return buffer.Flush()
}

func exportedJSON(k *keystore.ExportedKey) ExportedKey {
	reply := ExportedKey{Key: keyJSON(&k.Key), Secrets: []StoredSecret{}}
	if f := k.Refill; f != nil {
		reply.Refill = &Refill{Amount: f.Amount, IntervalMS: f.Interval.Milliseconds(), LastAt: timeOrNull(f.LastAt)}
	}
	if l := k.RateLimit; l != nil {
		reply.RateLimit = &RateLimit{Enabled: l.Enabled, WindowMS: l.Window.Milliseconds(), Max: l.Max}
	}
	for _, s := range k.Stored {
		reply.Secrets = append(reply.Secrets, StoredSecret{
			LookupID:  orNull(s.LookupID),
			Kind:      string(s.Kind),
			Hash:      s.Hash,
			Start:     orNull(s.Start),
			CreatedAt: timeOrNull(s.CreatedAt),
			EndsAt:    timeOrNull(s.EndsAt),
		})
	}
	return reply
}

// exportedLine is an ExportedKey as it is read.
type exportedLine struct {
	importedKey
	Secrets []StoredSecret `json:"secrets"`
}

// newExportReader reads exportedLines.
func newExportReader() lineReader {
	fields := fieldsOf(reflect.TypeFor[exportedLine]())
	return func(line []byte) (keystore.ImportedKey, string, error) {
		var l exportedLine
		if err := fields.decode(line, &l); err != nil {
			return keystore.ImportedKey{}, "", err
		}
		key, err := l.key()
		if err != nil {
			return key, "", err
		}
		if len(l.Secrets) == 0 {
			return keystore.ImportedKey{}, "", invalid("secrets", "are missing", "postern keys export writes them")
		}
		for _, s := range l.Secrets {
			if err := cmp.Or(isTime("secrets.created_at", s.CreatedAt), isTime("secrets.ends_at", s.EndsAt)); err != nil {
				return keystore.ImportedKey{}, "", err
			}
			key.Secrets = append(key.Secrets, keystore.StoredSecret{
				Kind:      keystore.HashKind(s.Kind),
				LookupID:  orEmptyText(s.LookupID),
				Hash:      s.Hash,
				Start:     orEmptyText(s.Start),
				CreatedAt: orZero(s.CreatedAt),
				EndsAt:    orZero(s.EndsAt),
			})
		}
		limited, _ := l.limited()
		return key, limited, nil
	}
}

func orEmptyText(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Export writes keys with their hashes to w, those of a tenant or all, a line for each. If it is broken off the error is
// io.ErrUnexpectedEOF, and what was written is not all.
func (c *Client) Export(ctx context.Context, tenant string, w io.Writer) error {
	query := url.Values{}
	set(query, "tenant", tenant)
	response, err := c.send(ctx, http.MethodGet, "/v1/export?"+query.Encode(), "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if err := succeeded(response); err != nil {
		return err
	}
	if response.Header.Get("Content-Type") != contentLines {
		return unreadable(fmt.Errorf("status %d is not from this API", response.StatusCode))
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("copying keys: %w", err)
	}
	return nil
}
