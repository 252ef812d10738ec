package keystore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/keystore"
)

// beside opens a second store on the file of the first, as a command does where no index is: read only.
func beside(t *testing.T, o keystore.Options) *keystore.Store {
	t.Helper()
	o.ReadOnly = true
	return open(t, o)
}

func TestAReaderWithoutAnIndexJudgesAsTheIndexDoes(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	cases := refusals(t, s)
	_, valid := create(t, s)
	cases["a valid key"] = refusal{valid, nil}
	foreign(t, s, "another", "short")
	cases["an imported key"] = refusal{"short", nil}
	for _, text := range malformed() {
		cases["malformed "+text] = refusal{text, keystore.ErrUnknown}
	}
	cases["too long"] = refusal{strings.Repeat("y", 257), keystore.ErrUnknown}
	reading := beside(t, options(db))
	now := noon.Add(time.Hour)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := keystore.NewPrepare(func(k *keystore.Key) (any, int) { return k.ID, 0 })
			want, wantErr := s.Lookup(t.Context(), c.printed, p, now)
			got, err := reading.Lookup(t.Context(), c.printed, p, now)
			if !errors.Is(err, c.want) || !errors.Is(wantErr, c.want) {
				t.Errorf("Lookup = %v with an index and %v without, want %v", wantErr, err, c.want)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(keystore.Match{})); diff != "" {
				t.Errorf("the match differs:\n%s", diff)
			}
		})
	}
}

func TestVerifySaysWhoseARefusedKeyIs(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	cases := refusals(t, s)
	valid, printed := create(t, s)
	cases["a valid key"] = refusal{printed, nil}
	foreign(t, s, "short")
	cases["an imported key"] = refusal{"short", nil}
	now := noon.Add(time.Hour)
	for where, store := range map[string]*keystore.Store{"with an index": s, "without": beside(t, options(db))} {
		for name, c := range cases {
			t.Run(name+" "+where, func(t *testing.T) {
				k, err := store.Verify(t.Context(), c.printed, now)
				if !errors.Is(err, c.want) {
					t.Fatalf("Verify = %v, want %v", err, c.want)
				}
				if errors.Is(c.want, keystore.ErrUnknown) {
					if !cmp.Equal(k, keystore.Key{}) {
						t.Errorf("nothing was proven, and it is key %s", k.ID)
					}
					return
				}
				want, err := s.Key(t.Context(), k.ID, now)
				if diff := cmp.Diff(want, k); err != nil || diff != "" {
					t.Errorf("%v\n%s", err, diff)
				}
				if c, err := keystore.Parse(c.printed); err == nil && c.ID != k.ID {
					t.Errorf("it is key %s, want %s", k.ID, c.ID)
				}
			})
		}
	}
	if k, err := s.Verify(t.Context(), printed, now); err != nil || k.ID != valid.ID || !k.LastUsedAt.IsZero() {
		t.Errorf("%+v, %v: want that nothing is counted", k, err)
	}
}

// The log names a refused secret by its lookup id: whoever reads it finds the key. What changes a key wants the key's own id.
func TestAKeyIsShownByALookupIDToo(t *testing.T) {
	s := open(t, options(database(t)))
	k, _ := create(t, s)
	_, printed := rotate(t, s, k.ID, time.Hour, noon)
	id := lookupID(t, printed)
	if id == k.ID {
		t.Fatal("the new secret has the id of the key")
	}
	got, err := s.Key(t.Context(), id, noon)
	if err != nil || got.ID != k.ID || len(got.Secrets) != 2 {
		t.Errorf("Key(%s) = %+v, %v, want key %s", id, got, err, k.ID)
	}
	if _, err := s.Revoke(t.Context(), id, noon); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("Revoke(%s) = %v, want %v", id, err, keystore.ErrNotFound)
	}
}
