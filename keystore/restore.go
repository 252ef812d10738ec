package keystore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// Errors of [Restore], with [ErrPepper] and [ErrProfile].
var (
	// ErrNoKeys says that a database is none that keys are kept in.
	ErrNoKeys = errors.New("holds no keys of Postern")

	// ErrLostEndings says that nothing tells what was ended since the backup was made.
	ErrLostEndings = errors.New("what was revoked, disabled, suspended or ended since is not known")

	// ErrLogEnds says the same where the log that is given ends before the backup.
	ErrLogEnds = errors.New("the log ends before that, and does not know what was revoked, disabled, suspended or ended since")
)

// LogGapError says the same where the log that is given has no line of a record, and lines of later ones.
type LogGapError struct {
	Number uint64 // of the first such record
}

// Error names the record.
func (e *LogGapError) Error() string {
	return fmt.Sprintf("the log lacks record %d of audit, and may not know all that was revoked, disabled, suspended or ended since", e.Number)
}

// RestoreOptions say what to restore, and what is known of the time since.
type RestoreOptions struct {
	Options // of the copy of a backup: its DB is changed, and not yet in anybody's use

	// Replaced is the database that the copy will replace, and is only read. Nil: there is none that can be.
	Replaced *store.DB

	// Audited is what the log says of the time since, see [ReadAudit]. Zero: nothing.
	Audited AuditLog

	// AcceptLost: if neither of them says what was ended since, restore all the same.
	AcceptLost bool
}

// Restored is what a restore did.
type Restored struct {
	Time     time.Time // of the backup; zero: it does not say
	Revision uint64
	Tenants  int
	Keys     int

	Audited   uint64 // number of the last record of audit that the backup has: what a log says of later ones it does not know
	Vouched   bool   // the database that is replaced knows all that the backup holds
	Lost      bool   // neither it nor the log knows all that was ended since
	Revoked   int    // keys that were active or disabled in the backup
	Disabled  int
	Expiring  int // keys that now end sooner
	Ended     int // secrets that now have an end, or an earlier one
	Suspended int // tenants
	Carried   int // records of audit
}

// Restore makes a backup a database that can be put into service: it examines all of it, ends in it what was ended since, and records that. What was revoked
// stays so; a key that was disabled later than the backup, a tenant that was suspended, a secret that was ended and a key that was given an earlier end likewise.
// Nothing is enabled, resumed or prolonged.
//
// What was ended since is read from the database that is replaced, and from a log. The former speaks for all of the time since only if it holds each key and tenant
// of the backup in the backup's version or a later one; otherwise it was made anew, or is older. A log does only if it goes on after the backup and lacks no record since. Without either the error is [ErrLostEndings], [ErrLogEnds] or a
// [*LogGapError], and the result has the time of the backup. After an error the copy is good for nothing.
func Restore(ctx context.Context, o RestoreOptions, now time.Time) (Restored, error) {
	x := restorer{RestoreOptions: o, now: now.UTC().Truncate(time.Millisecond)}
	if err := x.run(ctx); err != nil {
		return x.done, fmt.Errorf("restoring: %w", err)
	}
	return x.done, nil
}

type restorer struct {
	RestoreOptions
	*Store // of the copy
	now    time.Time
	done   Restored
}

func (x *restorer) run(ctx context.Context) (err error) {
	if err := x.examine(ctx); err != nil {
		return err
	}
	if x.done.Time, err = BackupTime(x.DB); err != nil {
		return err
	}
	if x.Store, err = Open(x.Options, x.now); err != nil { //nolint:contextcheck // what opening writes is not bounded by the caller
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	last, err := x.lastAudit(ctx)
	if err != nil {
		return err
	}
	x.done.Audited = last.Number
	if x.Replaced != nil {
		revision, err := x.Replaced.Revision()
		x.done.Vouched = err == nil && revision >= x.done.Revision // until it is found not to know something
		if err := errors.Join(x.compareTenants(ctx), x.compareKeys(ctx)); err != nil {
			return err
		}
	}
	if !x.done.Vouched {
		why := x.doubt(&last)
		if x.done.Lost = why != nil; x.done.Lost && !x.AcceptLost {
			return why
		}
	}
	if err := x.applyAudit(ctx); err != nil {
		return err
	}
	return x.conclude(ctx)
}

// doubt is why the log may not know all that was ended since the backup, whose last record of audit is last. Nil: it does.
func (x *restorer) doubt(last *Record) error {
	since := x.done.Time
	if since.Before(last.Time) { // it does not say
		since = last.Time
	}
	missing := x.Audited.lacks(last.Number)
	switch {
	case x.Audited.Lines == 0:
		return ErrLostEndings
	case x.Audited.until.Before(since):
		return ErrLogEnds
	case missing > 0:
		return &LogGapError{missing}
	}
	return nil
}

// lastAudit is the last record of audit that the backup has; zero: none.
func (x *restorer) lastAudit(ctx context.Context) (last Record, err error) {
	for r, err := range x.Audit(ctx, 0) {
		if err != nil {
			return last, err
		}
		last = r
	}
	return last, nil
}

// examine refuses what is unsound, or not ours.
func (x *restorer) examine(ctx context.Context) error {
	if err := CheckProfile(x.DB, x.Profile); err != nil {
		return err
	}
	found, err := Examine(ctx, x.DB, x.TenantIDs, 0, x.Others...)
	if err != nil {
		return err
	}
	if len(found.Faults) > 0 {
		return fmt.Errorf("%w: %d faults, the first: %s: %s", store.ErrCorrupt, len(found.Faults)+found.More, found.Faults[0].Place, found.Faults[0].Problem)
	}
	x.done.Revision, x.done.Tenants, x.done.Keys = found.Revision, found.Tenants, found.Keys
	return nil
}

// conclude records the restore, with what was recorded since the backup before it.
func (x *restorer) conclude(ctx context.Context) error {
	if x.done.Vouched {
		if err := x.carryAudit(ctx); err != nil {
			return err
		}
	}
	_, err := x.db.Update(func(tx *store.Tx) error { return store.SetMeta(tx, metaBackup, nil) }) // it is none any more
	if err != nil {
		return err
	}
	err = x.change(ctx, x.now, func(*store.Tx) (*Record, error) {
		return &Record{Action: "store.restore", Details: []Detail{
			{Name: "backup", Texts: []string{x.done.Time.Format(time.RFC3339)}},
			{Name: "revoked", Count: int64(x.done.Revoked)},
			{Name: "disabled", Count: int64(x.done.Disabled)},
			{Name: "suspended", Count: int64(x.done.Suspended)},
			{Name: "ended", Count: int64(x.done.Ended)},
		}}, nil
	})
	if err != nil {
		return err
	}
	x.done.Revision, err = x.db.Revision()
	return err
}

// carryAudit adds the records of audit that the replaced database has and the backup lacks: their numbers must not come again.
func (x *restorer) carryAudit(ctx context.Context) error {
	var records []Record
	write := func() error {
		_, err := x.db.Update(func(tx *store.Tx) error {
			for _, r := range records {
				for n := uint64(0); n < r.Number; {
					var err error
					if n, err = x.audit.NextSequence(tx); err != nil {
						return err
					}
				}
				if err := x.audit.Put(tx, store.Number(r.Number), r); err != nil {
					return err
				}
			}
			return nil
		})
		x.done.Carried += len(records)
		records = records[:0]
		return err
	}
	for row, err := range x.audit.Walk(x.Replaced, store.Number(x.done.Audited+1)) {
		if ctx.Err() != nil || err != nil {
			return errors.Join(ctx.Err(), write()) // what cannot be read is history, and not worth the restore
		}
		if records = append(records, row.Record); len(records) == pieceLength {
			if err := write(); err != nil {
				return err
			}
		}
	}
	return write()
}

// ending is what is known of the end of a key.
type ending struct {
	revoked  bool
	disabled bool
	expires  int64            // milliseconds of Unix time; 0: as it is
	ends     map[string]int64 // by the name of the secret; less than zero: ended then, for good
}

// end applies what is known to r, and reports whether that changed anything.
func (x *restorer) end(r *record, e *ending) (changed bool) {
	if e.revoked && r.state != codeRevoked {
		r.state, changed = codeRevoked, true
		x.done.Revoked++
	}
	if e.disabled && r.state == codeActive {
		r.state, changed = codeDisabled, true
		x.done.Disabled++
	}
	if sooner(e.expires, r.expires) {
		r.expires, changed = e.expires, true
		x.done.Expiring++
	}
	for i := range r.secrets {
		s := &r.secrets[i]
		if end := e.ends[s.name()]; sooner(end, s.ends) {
			s.ends, changed = end, true
			x.done.Ended++
		}
	}
	return changed
}

// sooner compares two ends, of which 0 is none and less than 0 one for good.
func sooner(end, present int64) bool {
	return end != 0 && present >= 0 && (present == 0 || end < present)
}

// compareKeys ends in the backup the keys that are ended in the replaced database.
func (x *restorer) compareKeys(ctx context.Context) error {
	return eachPiece(ctx, x.db, x.keys, func(tx *store.Tx, r *record) bool { return !x.isStaged(tx, r.batch) }, func(piece []record) error {
		var changed []record
		err := x.Replaced.View(func(tx *store.Tx) error {
			for _, r := range piece {
				was, err := x.findKey(tx, r.ID)
				if err != nil || was.version < r.version {
					x.done.Vouched = false
				}
				if err == nil && x.end(&r, x.since(&r, &was)) {
					changed = append(changed, r)
				}
			}
			return nil
		})
		if err != nil { // it cannot be read
			x.done.Vouched = false
		}
		return x.store(changed)
	})
}

func (x *restorer) store(keys []record) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := x.db.Update(func(tx *store.Tx) error {
		for i := range keys {
			if err := x.update(tx, &keys[i], x.now); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// since is what was ended between r, in the backup, and was, in the replaced database. A revocation and the end of a secret count whatever came first. All
// else not if r is the later one. Of the same version they may still differ: where an older backup was put into service in between, each has a
// history of its own.
func (x *restorer) since(r, was *record) *ending {
	e := &ending{revoked: was.state == codeRevoked, ends: make(map[string]int64)}
	if was.version >= r.version {
		e.disabled, e.expires = was.state == codeDisabled, was.expires
	}
	if was.version > r.version {
		for i := range r.secrets {
			e.ends[r.secrets[i].name()] = -fields.Millis(x.now) // it was forgotten, unless it is found below
		}
	}
	for i := range was.secrets {
		s := &was.secrets[i]
		e.ends[s.name()] = s.ends
	}
	return e
}

// compareTenants suspends in the backup the tenants that are suspended in the replaced database.
func (x *restorer) compareTenants(ctx context.Context) error {
	return eachPiece(ctx, x.db, x.tenants, func(tx *store.Tx, t *tenantRecord) bool { return !x.isStaged(tx, t.batch) }, func(piece []tenantRecord) error {
		for _, t := range piece {
			var was tenantRecord
			err := x.Replaced.View(func(tx *store.Tx) (err error) {
				was, err = x.findTenant(tx, t.ID)
				return err
			})
			if err != nil || was.version < t.version {
				x.done.Vouched = false
			}
			if err == nil && was.version >= t.version && was.State == TenantSuspended {
				if err := x.suspend(t.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// suspend suspends a tenant of the backup, if there is such a one.
func (x *restorer) suspend(id string) error {
	_, err := x.db.Update(func(tx *store.Tx) error {
		t, err := x.findTenant(tx, id)
		if err != nil || t.State == TenantSuspended {
			return err
		}
		t.State, t.UpdatedAt = TenantSuspended, x.now
		t.version++
		x.done.Suspended++
		return x.tenants.Put(tx, number(t.number), t)
	})
	if errors.Is(err, ErrNotFound) {
		return nil // it is younger than the backup
	}
	return err
}

// applyAudit ends in the backup what the log says was ended.
func (x *restorer) applyAudit(ctx context.Context) error {
	keys, tenants := x.Audited.gather()
	for id, e := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		var r record
		err := x.db.View(func(tx *store.Tx) (err error) {
			r, err = x.findKey(tx, id)
			return err
		})
		if errors.Is(err, ErrNotFound) {
			continue // likewise
		}
		if err != nil {
			return err
		}
		if x.end(&r, e) {
			if err := x.store([]record{r}); err != nil {
				return err
			}
		}
	}
	for id, suspended := range tenants {
		if suspended {
			if err := x.suspend(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachPiece calls do for the records of t, a piece at a time and in no transaction, but for those that want does not.
func eachPiece[R any](ctx context.Context, db *store.DB, t *store.Table[R], want func(*store.Tx, *R) bool, do func([]R) error) error {
	for from := number(1); from != nil; {
		var piece []R
		err := errors.Join(ctx.Err(), db.View(func(tx *store.Tx) (err error) {
			piece, from, err = page(tx, t.Scan(tx, from), func(tx *store.Tx, _ []byte, r *R) (R, bool, error) { return *r, want(tx, r), nil })
			return err
		}))
		if err != nil {
			return err
		}
		if err := do(piece); err != nil {
			return err
		}
	}
	return nil
}
