package keystore_test

import (
	"sync"
	"testing"

	"github.com/postern-auth/postern/keystore"
)

// Where the cache has room for few, all keys share one place in front of it.
func TestKeysThatShareAPlaceInFrontOfTheCacheAreNotMistaken(t *testing.T) {
	o := options(database(t))
	o.CacheSize = 1
	s := open(t, o)
	first, firstPrinted := create(t, s)
	second, secondPrinted := create(t, s)
	for range 10 {
		for printed, want := range map[string]string{firstPrinted: first.ID, secondPrinted: second.ID} {
			if m, err := s.Lookup(t.Context(), printed, nil, noon); err != nil || m.Key.ID != want {
				t.Fatalf("Lookup = %v, %v, want key %s", m.Key, err, want)
			}
		}
	}
}

// A record that is out of date does not stay in front of the cache: it would be read from the file again and again.
func TestAChangedRecordIsReadOnce(t *testing.T) {
	s := open(t, options(database(t)))
	key, printed := create(t, s)
	lookup := func() keystore.Match {
		t.Helper()
		m, err := s.Lookup(t.Context(), printed, nil, noon)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	lookup()
	name := "changed"
	if _, err := s.UpdateKey(t.Context(), key.ID, keystore.KeyChange{Name: &name}, noon); err != nil {
		t.Fatal(err)
	}
	if got := lookup().Key.Name; got != name {
		t.Errorf("after the change the name is %q, want %q", got, name)
	}
	before := s.Stats().Reads
	for range 10 {
		lookup()
	}
	if got := s.Stats().Reads - before; got != 0 {
		t.Errorf("%d reads after the first, want 0", got)
	}
}

// forgetful keeps nothing.
type forgetful struct{}

func (forgetful) Get(uint64) (*keystore.Cached, bool) { return nil, false }
func (forgetful) Set(uint64, *keystore.Cached, int64) {}

// remembering keeps everything.
type remembering struct{ entries sync.Map }

func newRemembering() *remembering { return new(remembering) }

func (r *remembering) Get(number uint64) (*keystore.Cached, bool) {
	c, ok := r.entries.Load(number)
	if !ok {
		return nil, false
	}
	return c.(*keystore.Cached), true
}

func (r *remembering) Set(number uint64, c *keystore.Cached, _ int64) { r.entries.Store(number, c) }

// late answers with the oldest entry of three that it was given, and with each again later.
type late struct {
	mu      sync.Mutex
	entries map[uint64][]*keystore.Cached
	asked   int
}

func newLate() *late { return &late{entries: make(map[uint64][]*keystore.Cached)} }

func (l *late) Get(number uint64) (*keystore.Cached, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.entries[number]
	if len(all) == 0 {
		return nil, false
	}
	l.asked++
	return all[l.asked%len(all)], true
}

func (l *late) Set(number uint64, c *keystore.Cached, _ int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[number] = append(l.entries[number], c)
}
