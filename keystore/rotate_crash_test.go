package keystore_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// rotateCrashDir names, in the environment of a child, the folder that it shall rotate keys in until it is killed.
const rotateCrashDir = "POSTERN_ROTATE_CRASH_DIR"

// rotateCrashChild rotates keys and ends old secrets, and says on stdout what it begins and what was acknowledged.
func rotateCrashChild(dir string, say func(words ...any)) error {
	s, err := openToCrash(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	failed := make(chan error)
	for range 3 {
		go func() {
			k, printed, err := s.Create(ctx, keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, noon)
			if err != nil {
				failed <- err
			}
			say("created", k.ID, printed)
			for {
				overlap := time.Duration(rand.IntN(2)) * time.Hour
				say("rotating", k.ID, overlap)
				_, printed, err := s.Rotate(ctx, k.ID, keystore.RotateSpec{Overlap: overlap}, noon)
				if err != nil {
					failed <- err
				}
				say("rotated", k.ID, printed)
				if rand.IntN(2) == 0 {
					continue
				}
				say("ending", k.ID)
				if _, err := s.EndOld(ctx, k.ID, time.Time{}, noon); err != nil {
					failed <- err
				}
				say("ended", k.ID)
			}
		}()
	}
	return <-failed
}

// rotating is a key as it was acknowledged, and as it will be if what was begun is done.
type rotating struct {
	works   []string // oldest first, as printed
	ended   []string
	changes int // that were acknowledged

	begun   bool
	after   []string // of works, if it is done; a rotation adds one whose text nobody knows
	unknown bool
}

// hear follows what the child says.
func (r *rotating) hear(word, rest string) {
	last := r.works[max(0, len(r.works)-1):]
	switch word {
	case "created":
		r.works = []string{rest}
	case "rotating":
		r.begun, r.unknown, r.after = true, true, last
		if rest == "0s" {
			r.after = nil
		}
	case "ending":
		r.begun, r.unknown, r.after = true, false, last
	case "rotated", "ended":
		r.settle()
		if word == "rotated" {
			r.works = append(r.works, rest)
		}
	}
}

// settle makes what was begun what is.
func (r *rotating) settle() {
	if r.unknown || len(r.after) < len(r.works) { // otherwise nothing had to end
		r.changes++
	}
	for _, printed := range r.works {
		if !slices.Contains(r.after, printed) {
			r.ended = append(r.ended, printed)
		}
	}
	r.works, r.begun = slices.Clone(r.after), false
}

// TestARotationIsWholeOrNotAtAll kills a child at random points of rotations and of the end of old secrets. What it
// acknowledged holds after the restart: new secrets work, ended ones do not. What it had begun is done with its record, or is
// not there.
func TestARotationIsWholeOrNotAtAll(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 5
	}
	dir := filepath.Join(t.TempDir(), "data")
	keys := make(map[string]*rotating)
	for range rounds {
		authtest.UntilKilled(t, rotateCrashDir, dir, crashTime, func(line string) {
			words := append(strings.Fields(line), "")
			if keys[words[1]] == nil {
				keys[words[1]] = &rotating{}
			}
			keys[words[1]].hear(words[0], words[2])
		})
		verifyRotations(t, dir, keys)
		if t.Failed() {
			return
		}
	}
}

func verifyRotations(t *testing.T, dir string, keys map[string]*rotating) {
	t.Helper()
	db, err := store.Open(store.Options{Path: filepath.Join(dir, "postern.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s, err := keystore.Open(options(db), noon)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	recorded := make(map[string]int)
	for _, r := range records(t, s, 0) {
		if r.Action != "key.create" {
			recorded[r.KeyID]++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(keys)) {
		r := keys[id]
		k, err := s.Key(t.Context(), id, noon)
		if err != nil {
			t.Errorf("key %s: %v", id, err)
			continue
		}
		if int(k.Version)-1 != recorded[id] {
			t.Errorf("key %s has had %d changes, of which %d are recorded", id, k.Version-1, recorded[id])
		}
		if r.begun && recorded[id] > r.changes { // it was done, but for the answer
			if r.settle(); r.unknown && (!k.Secrets[0].EndsAt.IsZero() || slices.Contains(ids(k.Secrets[1:]), k.Secrets[0].LookupID)) {
				t.Errorf("key %s: the newest secret is %+v", id, k.Secrets[0])
			}
			if r.unknown {
				r.works = append(r.works, "nobody was told it")
			}
		}
		r.begun = false
		if recorded[id] != r.changes {
			t.Errorf("key %s: %d changes are recorded, and %d were acknowledged", id, recorded[id], r.changes)
		}
		r.verify(t, s, id)
	}
}

// verify compares what lookups say with what was acknowledged.
func (r *rotating) verify(t *testing.T, s *keystore.Store, id string) {
	t.Helper()
	for _, printed := range r.works {
		if printed == "nobody was told it" {
			continue
		}
		if m, err := s.Lookup(t.Context(), printed, nil, noon); err != nil || m.Key.ID != id {
			t.Errorf("key %s: a secret that works: %v", id, err)
		}
	}
	for _, printed := range r.ended {
		if _, err := s.Lookup(t.Context(), printed, nil, noon); !errors.Is(err, keystore.ErrExpired) && !errors.Is(err, keystore.ErrUnknown) {
			t.Errorf("key %s: a secret that ended: %v", id, err)
		}
	}
}
