package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/store"
)

// follow returns what Changes yields after a revision.
func follow(tb testing.TB, db *store.DB, after uint64) (changes []store.Change, upTo uint64, err error) {
	tb.Helper()
	upTo, err = db.Changes(after, func(c store.Change) error {
		changes = append(changes, c)
		return nil
	})
	return changes, upTo, err
}

func TestTheFeedTellsWhatChanged(t *testing.T) {
	t.Parallel()
	db, notes := newDB(t), noteTable()
	put(t, db, "a", "b")
	update(t, db, func(tx *store.Tx) error { return tallyTable().Put(tx, []byte("b"), 1) }) // volatile
	update(t, db, func(tx *store.Tx) error {
		return errors.Join( // each key once, as it ends
			notes.Put(tx, []byte("c"), note{Name: "c"}), notes.Delete(tx, []byte("a")),
			notes.Delete(tx, []byte("c")), notes.Put(tx, []byte("a"), note{Name: "a"}),
			blobTable().Put(tx, []byte("a"), nil))
	})
	put(t, db, "d")
	all := []store.Change{
		{Revision: 1, Table: "notes", Key: []byte("a")},
		{Revision: 1, Table: "notes", Key: []byte("b")},
		{Revision: 2, Table: "notes", Key: []byte("c"), Deleted: true},
		{Revision: 2, Table: "notes", Key: []byte("a")},
		{Revision: 2, Table: "blobs", Key: []byte("a")},
		{Revision: 3, Table: "notes", Key: []byte("d")},
	}
	for after, want := range map[uint64][]store.Change{0: all, 1: all[2:], 2: all[5:], 3: nil} {
		got, upTo, err := follow(t, db, after)
		if diff := cmp.Diff(want, got); diff != "" || upTo != 3 || err != nil {
			t.Errorf("after %d, up to %d, %v: %s", after, upTo, err, diff)
		}
	}
	_, _, err := follow(t, db, 4)
	wantErr(t, "a revision of the future", err, store.ErrFellBehind)
	_, _, err = follow(t, db, ^uint64(0))
	wantErr(t, "the last revision of all", err, store.ErrFellBehind)
}

func TestTheFeedIsTrimmedByWholeRevisions(t *testing.T) {
	t.Parallel()
	db := openDB(t, store.Options{Path: newPath(t), FeedLength: 5})
	put(t, db, "a", "b", "c") // 1
	put(t, db, "d")           // 2
	put(t, db, "e")           // 3: five changes are held
	if got, _, err := follow(t, db, 0); len(got) != 5 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	put(t, db, "f") // 4: one too many, and revision 1 goes as a whole
	_, upTo, err := follow(t, db, 0)
	wantErr(t, "after 0", err, store.ErrFellBehind)
	if upTo != 0 {
		t.Errorf("up to %d", upTo)
	}
	if got, upTo, err := follow(t, db, 1); len(got) != 3 || upTo != 4 || err != nil {
		t.Errorf("after 1: %v, up to %d, %v", got, upTo, err)
	}
	put(t, db, "g", "h", "i", "j", "k", "l") // 5: more than the feed can hold
	_, _, err = follow(t, db, 4)
	wantErr(t, "after 4", err, store.ErrFellBehind)
	if got, upTo, err := follow(t, db, 5); got != nil || upTo != 5 || err != nil {
		t.Errorf("after 5: %v, up to %d, %v", got, upTo, err)
	}
	put(t, db, "m")
	if got, upTo, err := follow(t, db, 5); len(got) != 1 || upTo != 6 || err != nil {
		t.Errorf("after 5: %v, up to %d, %v", got, upTo, err)
	}
}

func TestALongFeedIsReadInPieces(t *testing.T) {
	t.Parallel()
	db := openDB(t, store.Options{Path: newPath(t), FeedLength: 4000})
	const revisions, each = 7, 500 // a piece ends within a revision
	for r := range revisions {
		update(t, db, func(tx *store.Tx) error {
			for i := range each {
				if err := blobTable().Put(tx, fmt.Appendf(nil, "%d-%d", r, i), nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var got []store.Change
	mistake := errors.New("mistake")
	upTo, err := db.Changes(0, func(c store.Change) error {
		if len(got) == 2*each+3 {
			return mistake
		}
		got = append(got, c)
		return nil
	})
	wantErr(t, "the error of yield", err, mistake)
	if upTo != 2 {
		t.Errorf("up to %d, want the last revision that came whole, 2", upTo)
	}
	got = got[:2*each]
	upTo, err = db.Changes(upTo, func(c store.Change) error {
		if len(got) == 2*each { // written meanwhile: not in this round
			put(t, db, "late")
		}
		got = append(got, c)
		return nil
	})
	if err != nil || upTo != revisions {
		t.Errorf("up to %d, %v", upTo, err)
	}
	for i, c := range got {
		want := store.Change{Revision: uint64(i/each + 1), Table: "blobs", Key: fmt.Appendf(nil, "%d-%d", i/each, i%each)}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Fatalf("change %d: %s", i, diff)
		}
	}
	if len(got) != revisions*each {
		t.Errorf("%d changes", len(got))
	}
}

func TestAReaderThatIsOvertakenFallsBehind(t *testing.T) {
	t.Parallel()
	db := openDB(t, store.Options{Path: newPath(t), FeedLength: 1500})
	for r := range 3 {
		update(t, db, func(tx *store.Tx) error {
			for i := range 500 {
				if err := blobTable().Put(tx, fmt.Appendf(nil, "%d-%d", r, i), nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	n := 0
	upTo, err := db.Changes(0, func(store.Change) error {
		if n++; n == 1 { // while the first piece of 1,024 is read, all that follows is trimmed
			keys := make([]string, 1400)
			for i := range keys {
				keys[i] = fmt.Sprint(i)
			}
			put(t, db, keys...)
		}
		return nil
	})
	wantErr(t, "Changes", err, store.ErrFellBehind)
	if upTo != 2 || n != 1024 {
		t.Errorf("up to %d after %d changes", upTo, n)
	}
}
