package store_test

import (
	"bytes"
	"errors"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-auth/postern/internal/store"
)

// The model of a database: plain maps and a list.
type model struct {
	notes    map[string]note
	tallies  map[string]uint64
	sequence uint64
	feed     []store.Change // all of them
	revision uint64
	floor    uint64 // the newest revision that the trimmed feed has lost
}

const modelFeed = 12

func (m *model) clone() *model {
	c := *m
	c.notes, c.tallies, c.feed = maps.Clone(m.notes), maps.Clone(m.tallies), slices.Clone(m.feed)
	return &c
}

// put does what Put and Insert shall, and returns the error that they shall.
func (m *model) put(key string, n note) error {
	for k, other := range m.notes {
		if k != key && other.Name == n.Name {
			return store.ErrExists
		}
	}
	m.notes[key] = n
	m.note(key, false)
	return nil
}

func (m *model) note(key string, deleted bool) {
	c := store.Change{Revision: m.revision + 1, Table: "notes", Key: []byte(key), Deleted: deleted}
	for i, old := range m.feed {
		if old.Revision == c.Revision && string(old.Key) == key {
			m.feed[i] = c
			return
		}
	}
	m.feed = append(m.feed, c)
}

// commit ends a transaction.
func (m *model) commit() {
	if len(m.feed) == 0 || m.feed[len(m.feed)-1].Revision == m.revision {
		return
	}
	m.revision++
	for m.held() > modelFeed {
		m.floor++ // every revision has a change
	}
}

// held returns the number of changes that the trimmed feed holds.
func (m *model) held() (n int) {
	for _, c := range m.feed {
		if c.Revision > m.floor {
			n++
		}
	}
	return n
}

// A machine runs a database and its model side by side, and a follower of the feed.
type machine struct {
	path  string
	db    *store.DB
	model *model

	copied  map[string]note // what the follower knows
	copiedR uint64
}

var (
	drawKey  = rapid.SampledFrom([]string{"a", "b", "ba", "c", "d", "e"})
	drawNote = rapid.Custom(func(t *rapid.T) note {
		n := note{
			Name: rapid.SampledFrom([]string{"n1", "n2", "n3", "n4", "n5", "n6"}).Draw(t, "name"),
			Tags: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "xy", "y"}), 0, 3, rapid.ID[string]).Draw(t, "tags"),
			N:    rapid.Uint64().Draw(t, "n"),
		}
		if len(n.Tags) == 0 {
			n.Tags = nil
		}
		return n
	})
)

// step does one random thing in a transaction, and the same in the model m.
func (s *machine) step(t *rapid.T, tx *store.Tx, m *model) {
	key, notes := drawKey.Draw(t, "key"), noteTable()
	_, there := m.notes[key]
	switch rapid.SampledFrom([]string{"put", "insert", "delete", "tally", "untally", "sequence"}).Draw(t, "step") {
	case "put":
		n := drawNote.Draw(t, "note")
		same(t, "Put", m.put(key, n), notes.Put(tx, []byte(key), n))
	case "insert":
		n := drawNote.Draw(t, "note")
		if there {
			same(t, "Insert", store.ErrExists, notes.Insert(tx, []byte(key), n))
		} else {
			same(t, "Insert", m.put(key, n), notes.Insert(tx, []byte(key), n))
		}
	case "delete":
		want := store.ErrNotFound
		if there {
			want = nil
			delete(m.notes, key)
			m.note(key, true)
		}
		same(t, "Delete", want, notes.Delete(tx, []byte(key)))
	case "tally":
		m.tallies[key] = rapid.Uint64().Draw(t, "tally")
		same(t, "Put of a tally", nil, tallyTable().Put(tx, []byte(key), m.tallies[key]))
	case "untally":
		want := store.ErrNotFound
		if _, there := m.tallies[key]; there {
			want = nil
			delete(m.tallies, key)
		}
		same(t, "Delete of a tally", want, tallyTable().Delete(tx, []byte(key)))
	case "sequence":
		n, err := notes.NextSequence(tx)
		same(t, "NextSequence", nil, err)
		if m.sequence++; n != m.sequence {
			t.Fatalf("NextSequence = %d, want %d", n, m.sequence)
		}
	}
}

// write is a transaction of several steps, which may end in an error.
func (s *machine) write(t *rapid.T, run func(func(*store.Tx) error) (uint64, error)) {
	mistake := error(nil)
	if rapid.IntRange(0, 3).Draw(t, "mistake") == 0 {
		mistake = errors.New("mistake")
	}
	var after *model
	revision, err := run(func(tx *store.Tx) error {
		after = s.model.clone()
		for range rapid.IntRange(0, 5).Draw(t, "steps") {
			s.step(t, tx, after)
			s.compare(t, tx, after)
		}
		return mistake
	})
	if !errors.Is(err, mistake) {
		t.Fatalf("transaction: %v, want %v", err, mistake)
	}
	if mistake == nil {
		s.model = after
		s.model.commit()
		if revision != s.model.revision {
			t.Fatalf("revision %d, want %d", revision, s.model.revision)
		}
	}
}

// compare reads everything in every way.
func (s *machine) compare(t *rapid.T, tx *store.Tx, m *model) {
	notes := noteTable()
	got, last := map[string]note{}, []byte(nil)
	for row, err := range notes.Scan(tx, nil) {
		if err != nil || bytes.Compare(row.Key, last) <= 0 {
			t.Fatalf("row %q after %q: %v", row.Key, last, err)
		}
		last = bytes.Clone(row.Key)
		got[string(row.Key)] = row.Record
	}
	diff(t, "notes", m.notes, got)
	tallies := map[string]uint64{}
	for row, err := range tallyTable().Scan(tx, nil) {
		same(t, "Scan of tallies", nil, err)
		tallies[string(row.Key)] = row.Record
	}
	diff(t, "tallies", m.tallies, tallies)
	for _, name := range []string{"n1", "n2", "n3", "n4", "n5", "n6"} {
		s.compareIndex(t, tx, "name", name, m, func(n note) bool { return n.Name == name })
	}
	for _, tag := range []string{"x", "xy", "y"} {
		s.compareIndex(t, tx, "tag", tag, m, func(n note) bool { return slices.Contains(n.Tags, tag) })
	}
}

func (s *machine) compareIndex(t *rapid.T, tx *store.Tx, index, k string, m *model, claims func(note) bool) {
	var want, got []string
	for key, n := range m.notes {
		if claims(n) {
			want = append(want, key)
		}
	}
	slices.Sort(want)
	for row, err := range noteTable().ScanIndex(tx, index, []byte(k), nil) {
		same(t, "ScanIndex", nil, err)
		got = append(got, string(row.Key))
	}
	diff(t, index+" "+k, want, got)
	row, err := noteTable().Lookup(tx, index, []byte(k))
	if len(want) == 0 {
		same(t, "Lookup", store.ErrNotFound, err)
	} else if err != nil || string(row.Key) != want[0] {
		t.Fatalf("Lookup(%s, %s) = %q, %v, want %q", index, k, row.Key, err, want[0])
	}
}

// follow brings the follower up to date, by the feed or, where that is too short, anew.
func (s *machine) follow(t *rapid.T) {
	var got []store.Change
	upTo, err := s.db.Changes(s.copiedR, func(c store.Change) error {
		got = append(got, c)
		return nil
	})
	if s.copiedR < s.model.floor {
		same(t, "Changes", store.ErrFellBehind, err)
		s.copied = map[string]note{}
		for row, err := range noteTable().Walk(s.db, nil) {
			same(t, "Walk", nil, err)
			s.copied[string(row.Key)] = row.Record
		}
		s.copiedR = s.model.revision
		return
	}
	same(t, "Changes", nil, err)
	var want []store.Change
	for _, c := range s.model.feed {
		if c.Revision > s.copiedR {
			want = append(want, c)
		}
	}
	diff(t, "changes", want, got)
	s.apply(t, got)
	if s.copiedR = upTo; upTo != s.model.revision {
		t.Fatalf("up to %d, want %d", upTo, s.model.revision)
	}
}

func (s *machine) apply(t *rapid.T, changes []store.Change) {
	err := s.db.View(func(tx *store.Tx) error {
		for _, c := range changes {
			n, err := noteTable().Get(tx, c.Key)
			switch {
			case err == nil:
				s.copied[string(c.Key)] = n
			case errors.Is(err, store.ErrNotFound):
				delete(s.copied, string(c.Key))
			default:
				return err
			}
		}
		return nil
	})
	same(t, "View", nil, err)
}

func (s *machine) open(t *rapid.T) {
	db, err := store.Open(store.Options{Path: s.path, FeedLength: modelFeed})
	same(t, "Open", nil, err)
	s.db = db
}

// The database does what plain maps do, whatever is done in whatever order.
func TestTheDatabaseIsLikePlainMaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := &machine{path: filepath.Join(t.TempDir(), "data", "postern.db"), copied: map[string]note{}}
		s.model = &model{notes: map[string]note{}, tallies: map[string]uint64{}}
		s.open(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"update": func(t *rapid.T) { s.write(t, s.db.Update) },
			"batch":  func(t *rapid.T) { s.write(t, s.db.Batch) },
			"follow": func(t *rapid.T) {
				s.follow(t)
				diff(t, "the follower's copy", s.model.notes, s.copied)
			},
			"reopen": func(t *rapid.T) {
				same(t, "Close", nil, s.db.Close())
				s.open(t)
			},
			"": func(t *rapid.T) {
				same(t, "View", nil, s.db.View(func(tx *store.Tx) error {
					s.compare(t, tx, s.model)
					return nil
				}))
			},
		})
		same(rt, "Close", nil, s.db.Close())
		verify(t, s.path)
	})
}

func same(t *rapid.T, what string, want, got error) {
	if !errors.Is(got, want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

func diff[T any](t *rapid.T, what string, want, got T) {
	if !reflect.DeepEqual(want, got) { // far cheaper than cmp
		t.Fatalf("%s: %s", what, cmp.Diff(want, got))
	}
}
