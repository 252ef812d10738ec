package token_test

import (
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
)

// faults are what an examination finds.
func faults(t *testing.T, db *store.DB, secret []byte) (found []store.Fault, records int) {
	t.Helper()
	e := &store.Examination{DB: db, Fault: func(f store.Fault) { found = append(found, f) }}
	if err := token.Examiner(secret)(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return found, e.Records
}

func TestAnExaminationFindsWhatContradictsItself(t *testing.T) { // R-STORE-3
	for harm, want := range map[string]store.Fault{
		"":                  {},
		"key id":            {Place: "signing_keys", Problem: `x", which stands elsewhere`},
		"key algorithm":     {Place: "signing_keys", Problem: `has the algorithm "none", which is not known`},
		"key seal":          {Place: "signing_keys", Problem: "has no private key"},
		"no key signs":      {Place: "signing_keys", Problem: "is one of the signing keys of which one signs, and 0 do"},
		"two keys sign":     {Place: "signing_keys", Problem: "is one of the signing keys of which one signs, and 2 do"},
		"denial":            {Place: "denials", Problem: `is the revocation of "one", which stands elsewhere`},
		"denial of nothing": {Place: "denials", Problem: "is a revocation of nothing"},
		"session id":        {Place: "sessions", Problem: `is session "s9", which stands elsewhere`},
		"session of nobody": {Place: "sessions", Problem: "is the session of nobody"},
		"session numbers":   {Place: "sessions", Problem: "has refresh token 1 after 1, and issued 1"},
		"session length":    {Place: "sessions", Problem: "has 0 refresh tokens that can be used and 257 that were ended, of at most 64 and 256"},
	} {
		db := authtest.NewDatabase(t)
		a := open(t, options(db, token.FormMLM), noon)
		_, first := openSession(t, a, noon)
		refresh(t, a, first, noon, nil)
		refresh(t, a, first, noon, nil) // a retry
		ended, _ := openSession(t, a, noon)
		if _, err := a.RevokeSession(t.Context(), ended.ID, noon); err != nil {
			t.Fatal(err)
		}
		if harm != "" {
			if _, err := db.Update(func(tx *store.Tx) error { return token.Harm(tx, harm) }); err != nil {
				t.Fatal(err)
			}
		}
		got, records := faults(t, db, nil)
		if (harm == "") != (len(got) == 0) || records < 3 {
			t.Errorf("%q: %d records, %+v", harm, records, got)
		}
		for _, f := range got {
			if !strings.HasPrefix(f.Place, `table "`+want.Place+`", record `) || !strings.HasSuffix(f.Problem, want.Problem) {
				t.Errorf("%q: %+v, want %+v", harm, f, want)
			}
		}
	}
}

// Whoever has the pepper learns of seals that do not fit, before the next start does.
func TestAnExaminationTriesTheSeals(t *testing.T) { // R-EXCH-5
	db := authtest.NewDatabase(t)
	o := options(db, token.FormMLM)
	open(t, o, noon)
	if got, _ := faults(t, db, o.Secret); len(got) > 0 {
		t.Errorf("%+v", got)
	}
	damaged := func(got []store.Fault) bool {
		return len(got) == 1 && strings.HasPrefix(got[0].Place, `table "signing_keys", record `) && strings.HasPrefix(got[0].Problem, "cannot be unsealed")
	}
	if got, _ := faults(t, db, []byte("another secret of thirty-two bytes")); !damaged(got) {
		t.Errorf("by another secret: %+v", got)
	}
	if _, err := db.Update(token.KeysOf().Flip); err != nil {
		t.Fatal(err)
	}
	if got, _ := faults(t, db, o.Secret); !damaged(got) {
		t.Errorf("a bit is another: %+v", got)
	}
	if got, _ := faults(t, db, nil); len(got) > 0 {
		t.Errorf("without a secret: %+v", got)
	}
}
