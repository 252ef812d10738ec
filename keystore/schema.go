package keystore

import (
	"encoding/binary"

	"github.com/postern-auth/postern/internal/store"
)

// The names of indexes.
const (
	indexID     = "id"     // of keys: key id and lookup ids; of tenants: id
	indexTenant = "tenant" // of keys: number of the owner
	indexName   = "name"   // of tenants, where names are unique
)

// tables are what the file holds for this package. Keys and tenants are numbered from 1 in the order in which they were
// made; their tables and uses are by number, imports by batch, audit by its own number.
type tables struct {
	keys    *store.Table[record]
	tenants *store.Table[tenantRecord]
	imports *store.Table[staging]   // the imports under way: their keys and tenants are as if they were not there
	uses    *store.Table[useRecord] // what requests change: outside revision and feed
	audit   *store.Table[Record]    // who changed what: outside revision and feed, too
}

func newTables(ids TenantIDs) tables {
	return tables{
		keys: store.NewTable(store.Schema[record]{
			Name: "keys", Version: codecVersion, Encode: appendRecord, Decode: decodeRecord,
			Indexes: []store.Index[record]{
				{Name: indexID, Unique: true, Keys: keyIDs},
				{Name: indexTenant, Keys: func(r record) [][]byte { return [][]byte{ownerKey(r.tenant)} }},
			},
		}),
		tenants: store.NewTable(store.Schema[tenantRecord]{
			Name: "tenants", Version: codecVersion, Encode: appendTenant, Decode: decodeTenant,
			Indexes: []store.Index[tenantRecord]{
				{Name: indexID, Unique: true, Keys: func(t tenantRecord) [][]byte { return [][]byte{[]byte(t.ID)} }},
				{Name: indexName, Unique: true, Keys: func(t tenantRecord) [][]byte {
					if !ids.UniqueNames {
						return nil
					}
					return [][]byte{[]byte(t.Name)}
				}},
			},
		}),
		imports: store.NewTable(store.Schema[staging]{Name: "imports", Version: codecVersion, Encode: appendStaging, Decode: decodeStaging}),
		uses: store.NewTable(store.Schema[useRecord]{
			Name: "uses", Version: codecVersion, Volatile: true, Encode: appendUse, Decode: decodeUse,
		}),
		audit: store.NewTable(store.Schema[Record]{
			Name: "audit", Version: codecVersion, Volatile: true, Encode: appendAudit, Decode: decodeAudit,
		}),
	}
}

// headsOf is the table of keys for readers who need the heads only. Each record is read into h, in the place of the one before.
func headsOf(h *head) *store.Table[*head] {
	return store.NewTable(store.Schema[*head]{
		Name: "keys", Version: codecVersion, Decode: decodeHead(h),
		Encode: func([]byte, *head) []byte { panic("keystore: a head is not a record") },
	})
}

// keyIDs are all ids by which nothing else may be found: that of the key, and the lookup ids of its secrets.
func keyIDs(r record) [][]byte {
	ids := [][]byte{[]byte(r.ID)}
	for i := range r.secrets {
		if id := r.secrets[i].lookupID(); id != "" {
			ids = append(ids, []byte(id))
		}
	}
	return ids
}

func ownerKey(tenant uint32) []byte { return binary.BigEndian.AppendUint32(nil, tenant) }

func number(n uint32) []byte { return store.Number(uint64(n)) }

// numberOf is the inverse of number; 0 is none.
func numberOf(key []byte) uint32 {
	if len(key) != 8 || binary.BigEndian.Uint32(key) != 0 {
		return 0
	}
	return binary.BigEndian.Uint32(key[4:])
}
