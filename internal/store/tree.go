package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"runtime/debug"
	"syscall"
)

// What bbolt's pages look like, in the machine's byte order: a header of 16 bytes (id 8, kind 2, count 2, overflow 4), elements of 16 bytes,
// then keys and values, to which the elements point from their own place.
const (
	pageSize     = 4096 // of our files, whatever the machine's
	pageHead     = 16
	elementSize  = 16
	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10
	nestedBucket = 0x01 // a leaf element's flag: the value is a bucket

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = 0xffffffffffffffff
)

// A tree is a bbolt file before bbolt opens it.
//
// bbolt trusts the pages that its two meta pages lead to: a page that points back to its parent is an endless loop, one that is used twice or is
// both used and free is overwritten some day, and a file without a stored free list is searched for free pages in a goroutine whose page faults nobody can
// recover. So the pages are walked once, at open, before it may see them: each must be what it says, stand in order, and have one owner.
type tree struct {
	meta
	source
	owned []uint64 // a bit for each page
}

// A source has the pages of a tree.
type source interface {
	// page returns a page with so many that follow it.
	page(id, overflow uint64) (page, error)

	// done ends the use of a page.
	done(page)
}

// memory is a source that is mapped.
type memory []byte

func (m memory) page(id, overflow uint64) (page, error) {
	size := (overflow + 1) * pageSize
	return page(m[id*pageSize:][:size:size]), nil // without the capacity, or an element could reach into the next page
}

func (memory) done(page) {}

func newTree(s source, m meta) *tree {
	return &tree{source: s, meta: m, owned: make([]uint64, m.pages/64+1)}
}

// examine walks everything.
func (t *tree) examine() error {
	if err := t.walk(t.root, nil, nil, ofBuckets); err != nil {
		return err
	}
	return t.free(t.freelist)
}

// examine walks the file and reads it into the page cache by the way. The error is ErrCorrupt, or that of mapping the file.
func examine(f *os.File) (m meta, err error) {
	info, err := f.Stat()
	if err != nil {
		return meta{}, err
	}
	size := info.Size()
	if size < 2*pageSize {
		return meta{}, fmt.Errorf("%w: %d bytes are no database", ErrCorrupt, size)
	}
	file, err := mapFile(f, size)
	if err != nil {
		return meta{}, err
	}
	defer func() { err = errors.Join(err, unmap(file)) }()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recovered(&err)
	if m, err = newestMeta(file, 2); err != nil {
		return meta{}, err
	}
	if m.pages > uint64(size)/pageSize {
		return meta{}, fmt.Errorf("%w: truncated to %d of at least %d bytes", ErrCorrupt, size, m.pages*pageSize)
	}
	return m, newTree(memory(file), m).examine()
}

// recovered makes a panic over what a file holds an error; it is deferred.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = corrupt(p)
	}
}

// mapFile maps the first size bytes of the file, to be read.
func mapFile(f *os.File, size int64) ([]byte, error) {
	b, err := syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED|populate)
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	return b, nil
}

// unmap undoes mapFile; of nil it does nothing.
func unmap(b []byte) error {
	if b == nil {
		return nil
	}
	return syscall.Munmap(b)
}

// A bucketKind says what the leaves of a bucket hold: we have one bucket of buckets, and no buckets among records.
type bucketKind bool

const (
	ofRecords bucketKind = false
	ofBuckets bucketKind = true
)

// A meta is the part of a meta page that matters here.
type meta struct {
	root     uint64 // page of the bucket of buckets
	sequence uint64 // of that bucket
	freelist uint64 // page
	pages    uint64
	commit   uint64 // its number
}

// look is newestMeta for a file that may have been truncated, and of which a commit may be writing a meta page.
func look(file []byte) (m meta, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recovered(&err)
	return newestMeta(file, 1)
}

// newestMeta returns what the newer of the meta pages says, of which at least so many must be whole.
//
// In a file at rest both are: what a commit changes there fills one sector of a disk, which is written whole or not at all. One that is not was
// damaged afterwards, and may have held the last commit, a revocation say; the other one must not count then.
func newestMeta(file []byte, whole int) (newest meta, err error) {
	for i := range 2 {
		m, err := readMeta(file[i*pageSize+pageHead:])
		if errors.Is(err, errSum) {
			continue
		}
		if err != nil {
			return meta{}, err
		}
		whole--
		if m.commit >= newest.commit {
			newest = m
		}
	}
	if whole > 0 {
		return meta{}, fmt.Errorf("%w: a meta page is damaged", ErrCorrupt)
	}
	return newest, nil
}

// errSum says that a meta page is damaged, or is being written.
var errSum = fmt.Errorf("%w: the checksum of a meta page differs", ErrCorrupt)

// readMeta reads what follows the head of a meta page.
func readMeta(b []byte) (meta, error) {
	e := binary.NativeEndian
	if e.Uint32(b) != boltMagic || e.Uint32(b[4:]) != boltVersion {
		return meta{}, fmt.Errorf("%w: no bbolt file, or a meta page of it was overwritten", ErrCorrupt)
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56])
	if e.Uint64(b[56:]) != sum.Sum64() {
		return meta{}, errSum
	}
	m := meta{
		root: e.Uint64(b[16:]), sequence: e.Uint64(b[24:]), freelist: e.Uint64(b[32:]), pages: e.Uint64(b[40:]), commit: e.Uint64(b[48:]),
	}
	if e.Uint32(b[8:]) != pageSize || m.freelist == noFreelist {
		return meta{}, fmt.Errorf("%w: a bbolt file, but not one of Postern", ErrCorrupt)
	}
	return m, nil
}

// walk owns the page and all below it, whose keys must rise from key from up to, but without, to (nil: no bound).
func (t *tree) walk(id uint64, from, to []byte, in bucketKind) error {
	p, err := t.own(id, branchPage|leafPage)
	if err != nil {
		return err
	}
	defer t.done(p)
	n := p.count()
	if n > 0 && (bytes.Compare(p.key(0), from) < 0 || to != nil && bytes.Compare(p.key(n-1), to) >= 0) {
		return fmt.Errorf("%w: page %d: its keys are out of order", ErrCorrupt, id)
	}
	if p.kind() == leafPage {
		return t.leaf(id, p, in)
	}
	for i := range n {
		next := to
		if i+1 < n {
			next = p.key(i + 1)
		}
		if err := t.walk(p.child(i), p.key(i), next, in); err != nil {
			return err
		}
	}
	return nil
}

// leaf looks at the elements of a leaf page: all must lie on it. Their order is left to those who read them, for to touch each key
// would take longer than all the rest.
func (t *tree) leaf(id uint64, p page, in bucketKind) error {
	for i := range p.count() {
		value := p.value(i)
		if isBucket := p.flags(i)&nestedBucket != 0; isBucket != (in == ofBuckets) {
			return fmt.Errorf("%w: page %d: element %d should not be there", ErrCorrupt, id, i)
		}
		if in == ofBuckets {
			if err := t.bucket(id, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket walks a bucket: the page of its root and its sequence, of 8 bytes each. Without a page it is small, and the root follows.
func (t *tree) bucket(id uint64, value []byte) error {
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return t.walk(root, nil, nil, ofRecords)
	}
	root := page(value[16:len(value):len(value)])
	if root.kind() != leafPage {
		return fmt.Errorf("%w: page %d: a bucket has no root", ErrCorrupt, id)
	}
	return t.leaf(id, root, ofRecords)
}

// free owns the page of the free list, and the pages in it.
func (t *tree) free(id uint64) error {
	p, err := t.own(id, freelistPage)
	if err != nil {
		return err
	}
	defer t.done(p)
	n, ids := p.count(), p[pageHead:]
	if n == 0xffff { // the true count comes first
		n, ids = int(binary.NativeEndian.Uint64(ids)), ids[8:] //nolint:gosec // a false count ends in a panic or a page that is used twice
	}
	for i := range n {
		if err := t.claim(binary.NativeEndian.Uint64(ids[8*i:])); err != nil {
			return err
		}
	}
	return nil
}

// own returns the page, which must be of one of the kinds, and which nobody else may own.
func (t *tree) own(id uint64, kinds uint16) (page, error) {
	if err := t.claim(id); err != nil {
		return nil, err
	}
	p, err := t.page(id, 0)
	if err != nil {
		return nil, err
	}
	overflow, kind := p.overflow(), p.kind()
	if p.id() != id || overflow >= t.pages-id || kind&kinds == 0 || kind&(kind-1) != 0 {
		return nil, fmt.Errorf("%w: page %d is not what it should be", ErrCorrupt, id)
	}
	for i := range overflow {
		if err := t.claim(id + 1 + i); err != nil {
			return nil, err
		}
	}
	if overflow == 0 {
		return p, nil
	}
	t.done(p)
	return t.page(id, overflow)
}

func (t *tree) claim(id uint64) error {
	if id < 2 || id >= t.pages {
		return fmt.Errorf("%w: page %d of %d", ErrCorrupt, id, t.pages)
	}
	if t.owned[id/64]&(1<<(id%64)) != 0 {
		return fmt.Errorf("%w: page %d is used twice", ErrCorrupt, id)
	}
	t.owned[id/64] |= 1 << (id % 64)
	return nil
}

// A page is one page with its overflow. Its methods panic if an element points out of it; examine recovers.
type page []byte

func (p page) id() uint64       { return binary.NativeEndian.Uint64(p) }
func (p page) kind() uint16     { return binary.NativeEndian.Uint16(p[8:]) }
func (p page) count() int       { return int(binary.NativeEndian.Uint16(p[10:])) }
func (p page) overflow() uint64 { return uint64(binary.NativeEndian.Uint32(p[12:])) }

func (p page) element(i int) page { return p[pageHead+i*elementSize:] }

// key returns the key of an element: in a branch, position 4, size 4, child 8; in a leaf, flags 4, position 4, size 4, size of the value 4.
func (p page) key(i int) []byte {
	e := p.element(i)
	at := e
	if p.kind() == leafPage {
		at = e[4:]
	}
	pos, size := binary.NativeEndian.Uint32(at), binary.NativeEndian.Uint32(at[4:])
	return e[pos:][:size]
}

func (p page) child(i int) uint64 { return binary.NativeEndian.Uint64(p.element(i)[8:]) }

func (p page) flags(i int) uint32 { return binary.NativeEndian.Uint32(p.element(i)) }

func (p page) value(i int) []byte {
	e := p.element(i)
	pos, keySize, size := binary.NativeEndian.Uint32(e[4:]), binary.NativeEndian.Uint32(e[8:]), binary.NativeEndian.Uint32(e[12:])
	return e[pos:][keySize:][:size]
}
