package keystore_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// Whoever keeps a table beside the keys changes it by the same gate: what was done and its record are there together, or neither is.
func TestOthersChangeTheirTablesThroughTheGate(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	notes := store.NewTable(store.Schema[string]{
		Name: "notes", Version: 1,
		Encode: func(dst []byte, n string) []byte { return append(dst, n...) },
		Decode: func(_ uint8, b []byte) (string, error) { return string(b), nil },
	})
	write := func(key string, err error) func(*store.Tx) (*keystore.Record, error) {
		return func(tx *store.Tx) (*keystore.Record, error) {
			return &keystore.Record{Action: "note.write", Tenant: "acme"}, errors.Join(notes.Put(tx, []byte(key), "x"), err)
		}
	}
	ctx := keystore.WithActor(t.Context(), "uid:7")
	if err := s.Change(ctx, noon, write("kept", nil)); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := s.Change(ctx, noon, write("lost", broken)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	var actions []string
	for r, err := range s.Audit(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Action == "note.write" {
			actions = append(actions, r.Actor+" "+r.Tenant+" "+r.Time.String())
		}
	}
	if len(actions) != 1 || actions[0] != "uid:7 acme "+noon.String() {
		t.Errorf("recorded: %q", actions)
	}
	err := db.View(func(tx *store.Tx) error {
		_, err := notes.Get(tx, []byte("lost"))
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was not recorded: %v", err)
	}
}

func TestWhatIsMadeFromThePepperIsApart(t *testing.T) { // R-EXCH-5
	pepper := bytes.Repeat([]byte{7}, 32)
	records, err := keystore.RecordKey(pepper)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := keystore.TokenKey(pepper)
	if err != nil || len(tokens) != 32 || bytes.Equal(tokens, records) || bytes.Equal(tokens, pepper) {
		t.Errorf("%x beside %x, %v", tokens, records, err)
	}
}
