package keystore

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-auth/postern/internal/fields"
)

// Kind says what a tenant is.
type Kind string

// The kinds of tenants. Account is the default.
const (
	KindAccount      Kind = "account"
	KindOrganization Kind = "organization"
)

// TenantState says whether the keys of a tenant are good for anything.
type TenantState string

// The states of a tenant.
const (
	TenantActive    TenantState = "active"
	TenantSuspended TenantState = "suspended"
)

// Tenant owns keys.
type Tenant struct {
	ID                 string // for ever
	Name               string // may be empty, unless names are unique
	Kind               Kind   // for ever
	State              TenantState
	Tier               string   // may be empty
	DefaultPermissions []string // of new keys; sorted
	CreatedAt          time.Time
	UpdatedAt          time.Time
}

// TenantIDs are a profile's rules for the ids and names of tenants.
type TenantIDs struct {
	// UUID: ids are UUIDs. False: given ones are ^[A-Za-z0-9_-]{1,64}$, and one that is not given is made of 32 base62
	// characters.
	UUID bool

	// UniqueNames: each tenant has a name, no two the same one, and it stands for the id everywhere.
	UniqueNames bool

	// First is the id of a tenant that is made at open if it is not there. Empty: none.
	First string

	// Tier is that of a tenant for which none is given. Empty: none.
	Tier string
}

// tenantRecord is a tenant as the file holds it.
type tenantRecord struct {
	Tenant
	number  uint32 // its place in the file, for ever
	version uint32
	batch   uint32 // the import that made it; 0: none
}

func kinds() []Kind               { return []Kind{KindAccount, KindOrganization} }
func tenantStates() []TenantState { return []TenantState{TenantActive, TenantSuspended} }

func appendTenant(b []byte, t tenantRecord) []byte {
	b = fields.AppendUint32(b, t.number, t.version, t.batch)
	b = append(b, symbol(kinds(), t.Kind), symbol(tenantStates(), t.State))
	b = fields.AppendText(fields.AppendLongText(fields.AppendText(b, t.ID), t.Name), t.Tier)
	b = appendTexts(b, t.DefaultPermissions)
	return fields.AppendTime(b, t.CreatedAt, t.UpdatedAt)
}

func decodeTenant(version uint8, b []byte) (tenantRecord, error) {
	r := fields.NewReader(b)
	t := tenantRecord{number: r.Uint32(), version: r.Uint32(), batch: r.Uint32()}
	t.Kind, t.State = word(&r, kinds()), word(&r, tenantStates())
	t.ID, t.Name, t.Tier = r.Text(), r.LongText(), r.Text()
	t.DefaultPermissions = texts(&r)
	t.CreatedAt, t.UpdatedAt = r.Time(), r.Time()
	if err := r.Done(version, codecVersion); err != nil {
		return tenantRecord{}, err
	}
	return t, nil
}

// tenantTable holds in memory what a check needs of each tenant. Anyone may get; one goroutine at a time may put and remove.
type tenantTable struct {
	rows  atomic.Pointer[[]atomic.Pointer[tenantRow]] // by number; replaced when it grows
	count atomic.Int64

	mu  sync.RWMutex
	ids map[string]*tenantRow // guarded by mu
}

type tenantRow struct {
	id        string // id, kind and batch never change
	kind      Kind
	suspended atomic.Bool
	tier      atomic.Pointer[string]
	staged    atomic.Bool // by an import under way: as if it were not there
	batch     uint32      // the import that made it; 0: none
	version   uint32      // for the writer
}

// get returns nil for a number that no tenant has.
func (t *tenantTable) get(number uint32) *tenantRow {
	rows := t.rows.Load()
	if rows == nil || int(number) >= len(*rows) {
		return nil
	}
	return (*rows)[number].Load()
}

// put makes the row of a tenant that of its record, unless it is newer.
func (t *tenantTable) put(r *tenantRecord, staged bool) {
	row := t.get(r.number)
	if row == nil {
		row = &tenantRow{id: r.ID, kind: r.Kind, batch: r.batch}
	} else if row.version > r.version {
		return
	}
	row.version = r.version
	row.staged.Store(staged)
	row.tier.Store(new(r.Tier))
	row.suspended.Store(r.State != TenantActive)
	t.set(r.number, row)
}

// madeBy are the numbers of the tenants that an import made.
func (t *tenantTable) madeBy(batch uint32) (numbers []uint32) {
	rows := t.rows.Load()
	for n := uint32(0); rows != nil && int(n) < len(*rows); n++ {
		if row := (*rows)[n].Load(); row != nil && row.batch == batch {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func (t *tenantTable) remove(number uint32) {
	if t.get(number) != nil {
		t.set(number, nil)
	}
}

func (t *tenantTable) set(number uint32, row *tenantRow) {
	rows := t.rows.Load()
	if rows == nil || int(number) >= len(*rows) {
		grown := make([]atomic.Pointer[tenantRow], max(16, 2*int(number)))
		for i := 0; rows != nil && i < len(*rows); i++ {
			grown[i].Store((*rows)[i].Load())
		}
		rows = &grown
		t.rows.Store(rows)
	}
	old := (*rows)[number].Swap(row)
	switch {
	case old == nil && row != nil:
		t.count.Add(1)
	case old != nil && row == nil:
		t.count.Add(-1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ids == nil {
		t.ids = make(map[string]*tenantRow)
	}
	if old != nil {
		delete(t.ids, old.id)
	}
	if row != nil {
		t.ids[row.id] = row
	}
}

// byID returns nil for an id that no tenant has, or one that is staged.
func (t *tenantTable) byID(id string) *tenantRow {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if row := t.ids[id]; row != nil && !row.staged.Load() {
		return row
	}
	return nil
}
