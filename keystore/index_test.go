package keystore

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/postern-auth/postern/internal/fields"
)

// A row has no room to spare: a million of them are what a million keys cost.
func TestRowsAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(row{}); n != 72 {
		t.Errorf("a row has %d bytes", n)
	}
	if n := unsafe.Sizeof(shard{}); n%64 != 0 {
		t.Errorf("a shard has %d bytes, which is not whole cache lines", n)
	}
}

// TestIndexModel puts and removes keys with several secrets, as rotation will make them, and compares with a plain map.
func TestIndexModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex()
		heads := make(map[uint32]*head)
		staged := make(map[uint32]rowFlags)
		secrets := uint16(0)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				h := &head{number: rapid.Uint32Range(1, 9000).Draw(t, "key"), tenant: 1, version: 1, state: codeActive}
				if old := heads[h.number]; old != nil {
					*h = *old
					h.version++
				}
				h.state = stateCode(rapid.IntRange(1, 3).Draw(t, "state"))
				h.expires = rapid.SampledFrom([]int64{0, 5, 10}).Draw(t, "expires")
				keep := rapid.IntRange(0, len(h.secrets)).Draw(t, "kept")
				h.secrets = slices.Clone(h.secrets[len(h.secrets)-keep:])
				for range rapid.IntRange(0, 3).Draw(t, "more") {
					secrets++
					s := secret{number: secrets, kind: kindMinted, ends: rapid.SampledFrom([]int64{0, 7}).Draw(t, "ends")}
					if rapid.Bool().Draw(t, "foreign") {
						s.kind = kindSHA256
					} else {
						binary.BigEndian.PutUint16(s.id[:], secrets)
					}
					binary.BigEndian.PutUint16(s.hash[20:], secrets) // the same eight bytes in front of all: they collide
					h.secrets = append(h.secrets, s)
				}
				heads[h.number] = h
				staged[h.number] = rowFlags(0)
				if rapid.Bool().Draw(t, "staged") {
					staged[h.number] = flagStaged
				}
				x.put(h, staged[h.number])
			},
			"put an older one": func(t *rapid.T) {
				old := *heads[first(t, heads)]
				old.version--
				old.state = codeActive
				if len(old.secrets) > 0 {
					x.put(&old, 0)
				}
			},
			"remove": func(t *rapid.T) {
				n := first(t, heads)
				x.remove(n)
				x.remove(n)
				delete(heads, n)
			},
			"": func(t *rapid.T) { compareIndex(t, x, heads, staged, secrets) },
		})
	})
}

func first(t *rapid.T, heads map[uint32]*head) uint32 {
	if len(heads) == 0 {
		t.Skip("there is none")
	}
	return slices.Min(slices.Collect(maps.Keys(heads)))
}

func compareIndex(t *rapid.T, x *index, heads map[uint32]*head, staged map[uint32]rowFlags, last uint16) {
	found, foreign, keys := 0, 0, 0
	for _, h := range heads {
		if len(h.secrets) > 0 {
			keys++
		}
		for _, s := range h.secrets {
			var r row
			n := uint32(0)
			want := rowOf(h, &s, staged[h.number], 0)
			if s.kind == kindSHA256 {
				foreign++
				n = x.byHash(&s.hash, &r)
			} else {
				n = x.byID(s.id[:], &r)
			}
			r.next = 0
			if n == 0 || r != want {
				t.Fatalf("secret %d of key %d: row %d is %+v, want %+v", s.number, h.number, n, r, want)
			}
			found++
		}
	}
	for i := range last + 1 { // what is gone is not found
		var id [idLength]byte
		binary.BigEndian.PutUint16(id[:], i+1)
		var r row
		if n := x.byID(id[:], &r); n != 0 && (heads[r.key] == nil || heads[r.key].place(&r) < 0) {
			t.Fatalf("secret %d of key %d is still there", r.secret, r.key)
		}
	}
	if x.secrets.Load() != int64(found) || x.imported.Load() != int64(foreign) || x.keys.Load() != int64(keys) {
		t.Fatalf("counts are %d, %d, %d, want %d, %d, %d", x.secrets.Load(), x.imported.Load(), x.keys.Load(), found, foreign, keys)
	}
}

// Rows that were given back are used again.
func TestTheIndexDoesNotGrowByChanges(t *testing.T) {
	x := newIndex()
	for i := range 10 * blockRows {
		h := &head{number: 1, version: uint32(i), state: codeActive, secrets: []secret{{number: uint16(i), kind: kindMinted}}}
		binary.BigEndian.PutUint32(h.secrets[0].id[:], uint32(i))
		x.put(h, 0)
	}
	if x.used > 2 || len(*x.blocks.Load()) != 1 || x.secrets.Load() != 1 {
		t.Errorf("%d rows were handed out for one secret at a time", x.used)
	}
}

// Many read while one writes, and always see a whole row or none.
func TestReadersSeeWholeRows(t *testing.T) {
	x := newIndex()
	head := func(n, version uint32) *head {
		h := &head{number: n, tenant: version, version: version, expires: int64(version), state: codeActive, secrets: make([]secret, 2)}
		h.secrets[0] = secret{number: 1, kind: kindMinted}
		h.secrets[1] = secret{number: 2, kind: kindSHA256}
		binary.BigEndian.PutUint32(h.secrets[0].id[:], n)
		binary.LittleEndian.PutUint64(h.secrets[1].hash[:], uint64(n)<<40+1)
		return h
	}
	const keys = 500
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for n := uint32(1); ; n = n%keys + 1 {
				select {
				case <-stop:
					return
				default:
				}
				h := head(n, 1)
				var r [2]row
				x.byID(h.secrets[0].id[:], &r[0])
				x.byHash(&h.secrets[1].hash, &r[1])
				for i, r := range r {
					if r.key != 0 && (r.key != n || r.tenant != r.version || r.end != int64(r.version) || r.secret != uint16(i+1)) {
						t.Errorf("key %d: %+v", n, r)
						return
					}
				}
			}
		})
	}
	for version := range uint32(4) {
		for n := range uint32(keys) {
			if version == 2 && n%3 == 0 {
				x.remove(n + 1)
				continue
			}
			x.put(head(n+1, version+1), 0)
		}
	}
	close(stop)
	group.Wait()
}

// tenantTable grows while it is read.
func TestTenantTable(t *testing.T) {
	var table tenantTable
	if table.get(0) != nil || table.get(1000) != nil {
		t.Error("an empty table has tenants")
	}
	record := func(n, version uint32, s TenantState) *tenantRecord {
		return &tenantRecord{number: n, version: version, Tenant: Tenant{ID: fmt.Sprint(n), Kind: KindAccount, State: s, Tier: fmt.Sprint(version)}}
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if row := table.get(1); row != nil && row.id != "1" {
					t.Error("a row of another tenant")
				}
			}
		}
	})
	for n := range uint32(1000) {
		table.put(record(n+1, 1, TenantActive), false)
	}
	close(stop)
	group.Wait()
	table.put(record(7, 3, TenantSuspended), false)
	table.put(record(7, 2, TenantActive), false) // older
	if row := table.get(7); !row.suspended.Load() || *row.tier.Load() != "3" {
		t.Errorf("%+v", row)
	}
	table.remove(8)
	table.remove(8)
	if n := table.count.Load(); table.get(8) != nil || n != 999 {
		t.Errorf("%d tenants", n)
	}
}

func TestTimesAreKeptToTheMillisecond(t *testing.T) {
	for _, at := range []time.Time{{}, time.UnixMilli(1), time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC), time.Unix(0, 999_999_999)} {
		if got := fields.TimeOf(fields.Millis(at)); !got.Equal(at.Truncate(time.Millisecond)) || got.Location() != time.UTC {
			t.Errorf("%v becomes %v", at, got)
		}
	}
}
