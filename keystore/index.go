package keystore

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
	"math"
	"sync"
	"sync/atomic"
)

// blockRows rows of 72 bytes fill nine pages exactly, and hold no pointer: the garbage collector never looks at them.
const blockRows = 1024

// shardCount locks, so that a check waits only for a change of one in so many keys, and the tables of row numbers grow a
// little at a time.
const shardCount = 256

// index holds a row for each secret and finds it by lookup id or, where it is foreign, by hash.
//
// Anyone may find; one goroutine at a time may put, drop and walk ([Store] holds its following lock). A row is read and
// written under the lock of the shard that its id or hash belongs to. Rows are numbered from 1.
type index struct {
	seed     maphash.Seed
	shards   [shardCount]shard
	blocks   atomic.Pointer[[]*block] // replaced when it grows, never changed in what can be seen of it
	imported atomic.Int64             // rows found by hash
	slow     slowStarts               // secrets without a row
	secrets  atomic.Int64             // rows
	keys     atomic.Int64

	census census

	// For the one writer.
	first numbers // key number → first row of the key; the others follow by row.next
	used  uint32  // rows handed out so far
	free  uint32  // first row that was given back; the others follow by row.next
}

// row is one secret.
type row struct {
	end     int64 // of the key or of this secret, whichever comes first: milliseconds of Unix time; 0: never
	hash    [32]byte
	id      [idLength]byte
	key     uint32 // number
	tenant  uint32 // number
	version uint32 // of the key's record
	next    uint32 // another row of the key; 0: none
	secret  uint16 // number within the key
	state   stateCode
	flags   rowFlags
}

type rowFlags uint8

const (
	flagForeign rowFlags = 1 << iota // found by hash
	flagStaged                       // its import is not published: as if it were not there
)

// block is a piece of the table. What is counted stands apart, and only where something was.
type block struct {
	rows  *[blockRows]row
	tally atomic.Pointer[tally]
}

// shard is what finds the rows of one part of all ids and hashes.
type shard struct {
	mu     sync.RWMutex // guards what follows, and all rows found by it
	ids    directory
	hashes directory
	_      [40]byte // shards share no cache line
}

func newIndex() *index {
	x := &index{seed: maphash.MakeSeed()}
	x.blocks.Store(new([]*block))
	for i := range x.shards {
		x.shards[i].ids.slots = make([]slot, minSlots)
		x.shards[i].hashes.slots = make([]slot, minSlots)
	}
	return x
}

// byID copies the row of a lookup id into r and returns its number. The number is 0, and r as it was, if there is none.
func (x *index) byID(id []byte, r *row) (n uint32) {
	h, want := maphash.Bytes(x.seed, id), [idLength]byte(id)
	s := x.shard(h)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for n := range s.ids.find(h) {
		if there := x.row(n); there.id == want {
			*r = *there
			return n
		}
	}
	return 0
}

// byHash does for foreign hashes what byID does for ids.
func (x *index) byHash(hash *[32]byte, r *row) (n uint32) {
	h := hashOfHash(hash)
	s := x.shard(h)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for n := range s.hashes.find(h) {
		if there := x.row(n); there.hash == *hash {
			*r = *there
			return n
		}
	}
	return 0
}

// place is where the row of that number lies.
func (x *index) place(n uint32) (*block, int) {
	n--
	return (*x.blocks.Load())[n/blockRows], int(n % blockRows)
}

func (x *index) row(n uint32) *row {
	b, i := x.place(n)
	return &b.rows[i]
}

func (x *index) shard(h uint64) *shard { return &x.shards[h>>56] }

// hashOf is what shard and directory of a row are chosen by.
func (x *index) hashOf(n uint32) uint64 {
	r := x.row(n)
	if r.flags&flagForeign != 0 {
		return hashOfHash(&r.hash)
	}
	return maphash.Bytes(x.seed, r.id[:])
}

// hashOfHash takes a part of an HMAC under the pepper: nobody outside can choose it.
func hashOfHash(hash *[32]byte) uint64 { return binary.LittleEndian.Uint64(hash[:]) }

// put makes the rows of a key those of its record. Rows that stay are changed first, so that what a record takes away
// is gone before anything is added. A record older than the rows is ignored.
func (x *index) put(h *head, flags rowFlags) {
	first := x.first.get(h.number)
	var stays [math.MaxUint8 + 1]bool // the secret of that place has its row
	for n, previous := first, uint32(0); n != 0; {
		r := x.row(n)
		next := r.next
		if r.version > h.version {
			return
		}
		if i := h.place(r); i >= 0 {
			stays[i] = true
			x.rewrite(n, h, &h.secrets[i], flags)
			previous = n
		} else {
			x.unlink(h.number, previous, n)
			x.drop(n)
		}
		n = next
	}
	for i := range h.secrets {
		if s := &h.secrets[i]; !stays[i] && !s.kind.slow() {
			x.add(h, s, flags)
		}
	}
	x.census.put(h, flags)
	switch has := x.first.get(h.number) != 0; {
	case has && first == 0:
		x.keys.Add(1)
	case !has && first != 0:
		x.keys.Add(-1)
	}
}

// place is the place among the secrets of the one that r stands for, or -1.
func (h *head) place(r *row) int {
	for i := range h.secrets {
		if s := &h.secrets[i]; s.number == r.secret && s.hash == r.hash && s.id == r.id {
			return i
		}
	}
	return -1
}

// remove drops all rows of a key.
func (x *index) remove(key uint32) {
	x.census.remove(key)
	x.slow.put(key, nil, 0)
	n := x.first.get(key)
	if n == 0 {
		return
	}
	x.first.set(key, 0)
	x.keys.Add(-1)
	for n != 0 {
		next := x.row(n).next
		x.drop(n)
		n = next
	}
}

func (x *index) unlink(key, previous, n uint32) {
	next := x.row(n).next
	if previous == 0 {
		x.first.set(key, next)
		return
	}
	s := x.shard(x.hashOf(previous))
	s.mu.Lock()
	defer s.mu.Unlock()
	x.row(previous).next = next
}

// rewrite changes a row in its place, to what h says of its secret s.
func (x *index) rewrite(n uint32, h *head, s *secret, flags rowFlags) {
	shard := x.shard(x.hashOf(n))
	shard.mu.Lock()
	defer shard.mu.Unlock()
	r := x.row(n)
	*r = rowOf(h, s, flags, r.next)
}

func rowOf(h *head, s *secret, flags rowFlags, next uint32) row {
	if s.kind == kindSHA256 {
		flags |= flagForeign
	}
	end := h.expires
	if end == 0 || s.ends != 0 && s.ends < end {
		end = s.ends
	}
	return row{
		end: end, hash: s.hash, id: s.id, key: h.number, tenant: h.tenant, version: h.version,
		next: next, secret: s.number, state: h.state, flags: flags,
	}
}

// add makes a row for a secret and puts it before the key's other rows.
func (x *index) add(h *head, s *secret, flags rowFlags) {
	n := x.allocate()
	r := rowOf(h, s, flags, x.first.get(h.number))
	x.first.set(h.number, n)
	hash := hashOfHash(&r.hash)
	if r.flags&flagForeign == 0 {
		hash = maphash.Bytes(x.seed, r.id[:])
	}
	shard := x.shard(hash)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	*x.row(n) = r
	shard.directory(r.flags).insert(n, hash)
	x.count(r.flags, 1)
}

// drop makes a row unfindable and gives it back.
func (x *index) drop(n uint32) {
	hash := x.hashOf(n)
	shard := x.shard(hash)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	r := x.row(n)
	shard.directory(r.flags).remove(n, hash)
	x.count(r.flags, -1)
	*r = row{next: x.free}
	x.forgetUse(n)
	x.free = n
}

func (x *index) count(flags rowFlags, by int64) {
	x.secrets.Add(by)
	if flags&flagForeign != 0 {
		x.imported.Add(by)
	}
}

func (s *shard) directory(flags rowFlags) *directory {
	if flags&flagForeign != 0 {
		return &s.hashes
	}
	return &s.ids
}

// allocate hands out the number of a row that nobody can find.
func (x *index) allocate() uint32 {
	if n := x.free; n != 0 {
		x.free = x.row(n).next
		return n
	}
	if x.used%blockRows == 0 {
		// Readers hold the old slice header, and never look past its end into the array that both share.
		blocks := append(*x.blocks.Load(), &block{rows: new([blockRows]row)})
		x.blocks.Store(&blocks)
	}
	x.used++
	return x.used
}

const minSlots = 8

// directory maps hashes to row numbers: open addressing, linear probing, at most three quarters full.
type directory struct {
	slots []slot // a power of two of them, from minSlots
	taken int
}

// slot holds the lower half of a hash, then a row number; 0 is free. Half a hash is enough to choose the slot in a table
// of any size, and to pass over most rows that are not meant without a look at them.
type slot uint64

func newSlot(n uint32, h uint64) slot { return slot(h<<32 | uint64(n)) }

func (s slot) row() uint32 { return uint32(s & math.MaxUint32) }
func (s slot) tag() uint32 { return uint32(s >> 32) }

func (d *directory) start(tag uint32) int { return int(tag) & (len(d.slots) - 1) }

func (d *directory) next(i int) int { return (i + 1) & (len(d.slots) - 1) }

// find yields the rows that may have this hash.
func (d *directory) find(h uint64) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		tag := newSlot(0, h).tag()
		for i := d.start(tag); d.slots[i] != 0; i = d.next(i) {
			if d.slots[i].tag() == tag && !yield(d.slots[i].row()) {
				return
			}
		}
	}
}

// insert adds a row that is not there.
func (d *directory) insert(n uint32, h uint64) {
	if 4*(d.taken+1) > 3*len(d.slots) {
		old := d.slots
		d.slots = make([]slot, 2*len(old))
		for _, s := range old {
			if s != 0 {
				d.settle(s)
			}
		}
	}
	d.settle(newSlot(n, h))
	d.taken++
}

func (d *directory) settle(s slot) {
	i := d.start(s.tag())
	for d.slots[i] != 0 {
		i = d.next(i)
	}
	d.slots[i] = s
}

// remove takes out a row that is there, and closes the gap: whoever can stand nearer to where its probing starts, moves.
func (d *directory) remove(n uint32, h uint64) {
	gap := d.start(newSlot(n, h).tag())
	for d.slots[gap].row() != n {
		gap = d.next(gap)
	}
	for i := d.next(gap); d.slots[i] != 0; i = d.next(i) {
		// The row at i may move to gap unless its probing starts behind gap, cyclically.
		mask := len(d.slots) - 1
		if (i-d.start(d.slots[i].tag()))&mask >= (i-gap)&mask {
			d.slots[gap] = d.slots[i]
			gap = i
		}
	}
	d.slots[gap] = 0
	d.taken--
}

// numbers maps key numbers, which are dense but for gaps, to row numbers; 0 is none.
type numbers struct {
	pages []*[4096]uint32
}

func (m *numbers) get(key uint32) uint32 {
	page, i := int(key>>12), key&4095
	if page >= len(m.pages) || m.pages[page] == nil {
		return 0
	}
	return m.pages[page][i]
}

func (m *numbers) set(key, row uint32) {
	page, i := int(key>>12), key&4095
	for page >= len(m.pages) {
		m.pages = append(m.pages, nil)
	}
	if m.pages[page] == nil {
		m.pages[page] = new([4096]uint32)
	}
	m.pages[page][i] = row
}
