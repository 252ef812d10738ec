package federation_test

import (
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
)

// faults are what an examination finds.
func faults(t *testing.T, db *store.DB) (found []store.Fault, records int) {
	t.Helper()
	e := &store.Examination{DB: db, Fault: func(f store.Fault) { found = append(found, f) }}
	if err := federation.Examine(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return found, e.Records
}

func TestAnExaminationFindsWhatContradictsItself(t *testing.T) { // R-STORE-3
	for harm, want := range map[string]store.Fault{
		"":                {},
		"user":            {Place: "users", Problem: ", who stands elsewhere"},
		"user id":         {Place: "users", Problem: "has no id"},
		"provider":        {Place: "providers", Problem: `is provider "p", which stands elsewhere`},
		"provider id":     {Place: "providers", Problem: "has no id"},
		"provider issuer": {Place: "providers", Problem: "does not say whom to believe: its issuer, jwks_uri or allowed_audiences could not have been stored"},
		"link":            {Place: "links", Problem: ", who is not there"},
		"link elsewhere":  {Place: "links", Problem: `is a link of provider "p", which stands elsewhere`},
		"request":         {Place: "user_requests", Problem: ", who is not there"},
	} {
		db := authtest.NewDatabase(t)
		h := newHouseIn(t, db, 0)
		put(t, h.Store, acme, provider("gone"))
		if err := h.DeleteProvider(t.Context(), acme, "gone", noon); err != nil {
			t.Fatal(err)
		}
		if _, err := h.exchange(t, h.sign(t, nil)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.CreateUser(t.Context(), acme, federation.UserSpec{Email: "bob@example.com", IdempotencyKey: "1"}, noon); err != nil {
			t.Fatal(err)
		}
		if harm != "" {
			if _, err := db.Update(func(tx *store.Tx) error { return federation.Harm(tx, acme, harm) }); err != nil {
				t.Fatal(err)
			}
		}
		got, records := faults(t, db)
		if (harm == "") != (len(got) == 0) || len(got) > 1 || records < 6 {
			t.Errorf("%q: %d records, %+v", harm, records, got)
		}
		for _, f := range got {
			if !strings.HasPrefix(f.Place, `table "`+want.Place+`", record `) || !strings.HasSuffix(f.Problem, want.Problem) {
				t.Errorf("%q: %+v, want %+v", harm, f, want)
			}
		}
	}
}
