package keystore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// maxFaults is how many faults an examination lists. The rest is counted.
const maxFaults = 1000

// Examination is what a database was found to hold, and what is wrong with it.
type Examination struct {
	Revision uint64
	Pages    int // of 4 KiB, with those that are free
	Records  int // of all tables
	Entries  int // of all indexes
	Changes  int // in the feed
	Tenants  int
	Keys     int // with those of an import that is under way
	Secrets  int

	Faults []Fault
	More   int // faults that are not listed
}

// Fault is something that is not as it was written, or that contradicts something else.
type Fault struct {
	Place   string
	Problem string // a clause without subject
	Remedy  string // what to do
}

// TableExaminer looks at tables that others keep in the same database. What is wrong with them it tells e; its error says that it could not go on.
type TableExaminer = func(ctx context.Context, e *store.Examination) error

// CheckProfile says [ErrProfile] of a database that was made for another profile, and [ErrNoKeys] of one that holds nothing of ours.
func CheckProfile(db *store.DB, profile string) error {
	return db.View(func(tx *store.Tx) error {
		was, err := store.Meta(tx, metaProfile)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return ErrNoKeys
		case err == nil && string(was) != profile:
			return fmt.Errorf("%w: it is %q, not %q", ErrProfile, was, profile)
		}
		return err
	})
}

// Examine looks at everything in the database: its pages, each record and its checksum, the indexes against the records, and whether keys and tenants
// hold together. It reads a little at a time and pauses so long in between, and no transaction is open for long but one that gives way.
//
// It needs no [Store], which an unsound database might not become. The error says that it could not go on; faults come without one. Each of others
// looks at what else the database holds.
func Examine(ctx context.Context, db *store.DB, ids TenantIDs, pause time.Duration, others ...TableExaminer) (Examination, error) {
	x := examiner{tables: newTables(ids), others: others}
	e := &store.Examination{DB: db, Pause: pause, Fault: x.fault}
	err := x.run(ctx, e)
	x.found.Pages, x.found.Records, x.found.Entries, x.found.Changes = e.Pages, e.Records, e.Entries, e.Changes
	if err != nil {
		return x.found, fmt.Errorf("examining the database: %w", err)
	}
	return x.found, nil
}

// Examine is [Examine] of the database that s has open.
func (s *Store) Examine(ctx context.Context, pause time.Duration) (Examination, error) {
	return Examine(ctx, s.db, s.ids, pause, s.others...)
}

type examiner struct {
	tables
	others []TableExaminer
	found  Examination
}

func (x *examiner) run(ctx context.Context, e *store.Examination) (err error) {
	if err := e.File(ctx); err != nil {
		return err
	}
	if x.found.Revision, err = e.DB.Revision(); err != nil && len(x.found.Faults) == 0 {
		return err
	}
	steps := []func() error{
		func() error { return x.tenants.Examine(ctx, e, x.judgeTenant) },
		func() error { return x.keys.Examine(ctx, e, x.judgeKey) },
		func() error { return x.imports.Examine(ctx, e, nil) },
		func() error { return x.uses.Examine(ctx, e, nil) },
		func() error { return x.audit.Examine(ctx, e, nil) },
	}
	for _, other := range x.others {
		steps = append(steps, func() error { return other(ctx, e) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (x *examiner) fault(f store.Fault) {
	if len(x.found.Faults) == maxFaults {
		x.found.More++
		return
	}
	x.found.Faults = append(x.found.Faults, Fault{
		Place: f.Place, Problem: f.Problem,
		Remedy: "stop Postern and put a backup back: postern store restore FILE",
	})
}

// judgeTenant says what no decoder finds wrong with a tenant.
func (x *examiner) judgeTenant(_ *store.Tx, row store.Row[tenantRecord]) (problems []string) {
	x.found.Tenants++
	if row.Record.number == 0 || row.Record.number != numberOf(row.Key) {
		problems = append(problems, fmt.Sprintf("is tenant %d, which stands elsewhere", row.Record.number))
	}
	if !isID(row.Record.ID) {
		problems = append(problems, "has no id")
	}
	return problems
}

// judgeKey says what no decoder finds wrong with a key.
func (x *examiner) judgeKey(tx *store.Tx, row store.Row[record]) (problems []string) {
	r := &row.Record
	x.found.Keys++
	x.found.Secrets += len(r.secrets)
	if r.number == 0 || r.number != numberOf(row.Key) {
		problems = append(problems, fmt.Sprintf("is key %d, which stands elsewhere", r.number))
	}
	if !isID(r.ID) {
		problems = append(problems, "has no id")
	}
	if _, err := x.tenants.Get(tx, number(r.tenant)); err != nil {
		problems = append(problems, fmt.Sprintf("belongs to tenant %d: %v", r.tenant, err))
	}
	last := uint16(0)
	for i := range r.secrets {
		s := &r.secrets[i]
		if s.number <= last {
			problems = append(problems, fmt.Sprintf("has secret %d after secret %d", s.number, last))
		}
		if last = s.number; s.kind == kindMinted && s.lookupID() == "" {
			problems = append(problems, fmt.Sprintf("has no lookup id for secret %d, and cannot be found by it", s.number))
		}
	}
	return problems
}
