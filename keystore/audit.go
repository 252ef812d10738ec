package keystore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// Record says that somebody changed something. It is written in the transaction of the change, and logged when that is
// durable: there is neither without the other change, and the log can miss a record only if the process ends in between.
type Record struct {
	Number      uint64 // rises by one from record to record, and never comes again
	Time        time.Time
	Actor       string // "uid:N", "token", or "postern" for what it does by itself; see [WithActor]
	Action      string // what was done: "key.revoke"
	Tenant      string // id of the tenant that was changed, or that owns the key; empty: none
	Environment string // of the key; empty: none
	KeyID       string // of the key that was changed; empty: none
	Details     []Detail
}

// Detail is one more thing that a record says: a number, or a list of texts. It holds no secret.
type Detail struct {
	Name  string // [a-z_]{1,32}, known to the log
	Count int64
	Texts []string // not nil: these are the value, and not Count
}

const (
	self = "postern" // the actor of what nobody asked for

	// What bounds the table, see Options.
	defaultAuditCount = 100_000
	defaultAuditAge   = 400 * 24 * time.Hour

	trimLength       = 8       // how many old records a change may delete beside the one that it adds
	maxDetailsLength = 4 << 10 // bytes, encoded
)

// actorKey is where a context has the actor.
type actorKey struct{}

// WithActor returns a context whose changes are recorded as those of actor: up to 38 printable ASCII characters.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

func actorOf(ctx context.Context) string {
	actor, ok := ctx.Value(actorKey{}).(string)
	switch {
	case !ok:
		return self
	case actor == "" || !isShowable(actor):
		return "unknown"
	}
	return actor
}

// Audit yields the records after number after (0: all that are kept), oldest first. It reads some at a time. An error ends
// the list.
func (s *Store) Audit(ctx context.Context, after uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if after == math.MaxUint64 {
			return
		}
		for row, err := range s.audit.Walk(s.db, store.Number(after+1)) {
			if err = errors.Join(ctx.Err(), err); err != nil {
				yield(Record{}, fmt.Errorf("listing records of audit: %w", err))
				return
			}
			if !yield(row.Record, nil) {
				return
			}
		}
	}
}

// change is the one gate to the file: it runs fn in a write transaction, which may run it again, and returns when what it did is durable
// and in force. fn returns what it did, for the record that is written with it, or nil if nothing had to be changed.
func (s *Store) change(ctx context.Context, now time.Time, fn func(*store.Tx) (*Record, error)) error {
	var r *Record
	err := s.commit(ctx, func(tx *store.Tx) error {
		steps := tx.Steps()
		did, err := fn(tx)
		switch r = did; {
		case err != nil:
			return err
		case r == nil && tx.Steps() != steps:
			panic("keystore: a change without a record")
		case r == nil:
			return nil
		}
		r.Time, r.Actor = now.UTC().Truncate(time.Millisecond), actorOf(ctx)
		return s.record(tx, r)
	})
	if err != nil {
		return err
	}
	if r != nil {
		s.logRecord(ctx, r)
	}
	return s.inForce()
}

// Change is the gate of the store's own changes, for tables that others keep in the same database: fn runs in a write transaction, perhaps again
// after a failure of others that share its commit, and returns what it did, for the record that is written with it and logged; or nil if it changed
// nothing. Number, Time and Actor of the record are set here. fn must not call the Store.
//
// When Change returns without error all of it is durable. The error is that of fn, or one of package internal/store.
func (s *Store) Change(ctx context.Context, now time.Time, fn func(*store.Tx) (*Record, error)) error {
	return s.change(ctx, now, fn)
}

// record adds r to the table, and trims that.
func (s *Store) record(tx *store.Tx, r *Record) (err error) {
	if n := len(appendDetails(nil, r.Details)); n > maxDetailsLength {
		return fmt.Errorf("recording %s: %d bytes of details are too many, of at most %d", r.Action, n, maxDetailsLength)
	}
	if r.Number, err = s.audit.NextSequence(tx); err != nil {
		return err
	}
	if err := s.audit.Insert(tx, store.Number(r.Number), *r); err != nil {
		return err
	}
	var old [][]byte
	for row, err := range s.audit.Scan(tx, nil) {
		unreadable := errors.Is(err, store.ErrCorrupt) && row.Key != nil // it goes when its time comes, and holds nothing up
		if err != nil && !unreadable {
			return err
		}
		n := binary.BigEndian.Uint64(row.Key)
		surplus := r.Number-n >= s.auditCount
		outlived := !unreadable && r.Time.Sub(row.Record.Time) > s.auditAge
		if len(old) == trimLength || !surplus && !outlived {
			break
		}
		old = append(old, slices.Clone(row.Key))
	}
	for _, key := range old {
		if err := s.audit.Delete(tx, key); err != nil {
			return err
		}
	}
	return nil
}

// logRecord logs what the file now holds.
func (s *Store) logRecord(ctx context.Context, r *Record) {
	attributes := []slog.Attr{
		slog.String("stream", "audit"), slog.String("action", r.Action), slog.String("actor", r.Actor), slog.Uint64("number", r.Number),
	}
	if r.KeyID != "" {
		attributes = append(attributes, slog.String("key_id", r.KeyID))
	}
	if r.Tenant != "" {
		attributes = append(attributes, slog.String("tenant", r.Tenant))
	}
	if r.Environment != "" {
		attributes = append(attributes, slog.String("environment", r.Environment))
	}
	for _, d := range r.Details {
		if d.Texts != nil {
			attributes = append(attributes, slog.Any(d.Name, d.Texts))
		} else {
			attributes = append(attributes, slog.Int64(d.Name, d.Count))
		}
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "changed", attributes...)
}

// ofTenant says that action was done to t.
func ofTenant(action string, t *tenantRecord, details ...Detail) *Record {
	return &Record{Action: action, Tenant: t.ID, Details: details}
}

// ofKey says that action was done to the key r.
func (s *Store) ofKey(tx *store.Tx, action string, r *record, details ...Detail) (*Record, error) {
	t, err := s.tenants.Get(tx, number(r.tenant))
	return &Record{Action: action, Tenant: t.ID, Environment: r.Environment, KeyID: r.ID, Details: details}, err
}

func appendAudit(b []byte, r Record) []byte {
	b = fields.AppendTime(binary.BigEndian.AppendUint64(b, r.Number), r.Time)
	return appendDetails(fields.AppendText(b, r.Actor, r.Action, r.Tenant, r.Environment, r.KeyID), r.Details)
}

func appendDetails(b []byte, details []Detail) []byte {
	b = fields.AppendCount(b, len(details))
	for _, d := range details {
		b = fields.AppendText(b, d.Name)
		if d.Texts == nil {
			b = fields.AppendInt64(append(b, 0), d.Count)
		} else {
			b = appendTexts(append(b, 1), d.Texts)
		}
	}
	return b
}

func decodeAudit(version uint8, b []byte) (Record, error) {
	r := fields.NewReader(b)
	a := Record{Number: r.Uint64(), Time: r.Time()}
	for _, s := range [...]*string{&a.Actor, &a.Action, &a.Tenant, &a.Environment, &a.KeyID} {
		*s = r.Text()
	}
	for range r.Byte() {
		d := Detail{Name: r.Text()}
		if r.Bool() {
			d.Texts = append([]string{}, texts(&r)...)
		} else {
			d.Count = r.Int64()
		}
		a.Details = append(a.Details, d)
	}
	if err := r.Done(version, codecVersion); err != nil {
		return Record{}, err
	}
	return a, nil
}
