package keystore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

func TestALogIsReadForWhatItEnds(t *testing.T) {
	const good = `{"time":"2026-11-02T09:00:00.1Z","level":"INFO","msg":"changed","stream":"audit","action":"key.revoke","actor":"uid:0","number":3,"key_id":"a"}`
	for name, test := range map[string]struct {
		log   string
		lines int // 0: an error, whose text begins with
		want  string
	}{
		"nothing":                    {"", -1, ""},
		"other lines":                {`{"stream":"decisions"}` + "\n" + `{"msg":"ready"}` + "\npanic: text\n\n[]\n", -1, ""},
		"lines of the stream":        {good + "\r\n" + strings.ReplaceAll(good, "key.revoke", "keys.import") + "\n", 2, ""},
		"what a client said":         {`{"time":"t","level":"INFO","msg":"decision","user_agent":"\"stream\":\"audit\" {"}`, -1, ""},
		"the same, cut":              {`{"time":"t","level":"INFO","msg":"decision","user_agent":"\"stream\":\"aud`, -1, ""},
		"another message, cut":       {`{"time":"t","level":"INFO","msg":"listening","li`, -1, ""},
		"cut":                        {good[:100], 0, "line 1 is damaged"},
		"cut before it can be told":  {good + "\n" + good[:20], 0, "line 2 is damaged"},
		"in somebody's wrapping":     {"2026-11-02T09:00:00Z stderr F " + good, 0, "line 1 is damaged"},
		"no key":                     {strings.Replace(good, "key_id", "key", 1), 0, "line 1 is one of the stream audit, but does not say"},
		"no time":                    {strings.Replace(good, "time", "when", 1), 0, "line 1 is one of the stream audit, but does not say"},
		"a time that is none":        {strings.Replace(good, "2026-", "", 1), 0, "line 1 is one of the stream audit, but not as"},
		"no action":                  {strings.Replace(good, "action", "did", 1), 0, "line 1 is one of the stream audit, but has no action"},
		"an action of another time":  {strings.Replace(good, "key.revoke", "key.burn", 1), 0, `line 1 has the action "key.burn"`},
		"one of something else":      {strings.Replace(good, "key.revoke", "config.reload", 1), 1, ""},
		"secrets that are no list":   {strings.Replace(good, `"number":3`, `"ended":"0123456789ab, 01234"`, 1), 0, "line 1 is one of the stream audit, but does not list"},
		"an end that is none":        {strings.Replace(good, `"number":3`, `"ends":"#1=2026-13-01"`, 1), 0, "line 1 is one of the stream audit, but does not say when"},
		"secrets that ended, and do": {strings.Replace(good, `"number":3`, `"ended":"0123456789ab, #1","ends":"#2=2026-11-02T09:00:00Z"`, 1), 1, ""},
		"an expiry":                  {strings.Replace(good, `"number":3`, `"expires_at":["2026-11-02T09:00:00Z"]`, 1), 1, ""},
		"an expiry that is none":     {strings.Replace(strings.Replace(good, "key.revoke", "key.update", 1), `"number":3`, `"expires_at":["soon"]`, 1), 0, "line 1 is one of the stream audit, but does not say when the key"},
		"the same as lists":          {strings.Replace(good, `"number":3`, `"ended":["0123456789ab"],"ends":["#2=2026-11-02T09:00:00Z"]`, 1), 1, ""},
		"a line without end":         {"\n\n" + strings.Repeat("x", 2<<20), 0, "line 3 is longer"},
	} {
		log, err := keystore.ReadAudit(strings.NewReader(test.log))
		switch {
		case test.lines == 0:
			if bad := (*keystore.LineError)(nil); !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || log.Lines != max(test.lines, 0):
			t.Errorf("%s: %d lines, %v", name, log.Lines, err)
		}
	}
}

// A log that ends before the backup was made knows nothing of the time since, however much it says of the time before.
func TestALogThatEndsBeforeTheBackupTellsNothing(t *testing.T) {
	line := func(msg, at string) string {
		return `{"time":"` + at + `","level":"INFO","msg":"` + msg + `","stream":"audit","action":"key.revoke","actor":"uid:0","number":3,"key_id":"0123456789ab"}` + "\n"
	}
	before, after := line("changed", "2026-11-02T11:00:00Z"), `{"time":"2026-11-02T12:30:00Z","level":"INFO","msg":"ready"}`
	h := newHarvest(t)
	create(t, h.Store)
	if _, err := restore(t, copyOf(t, h.Store), nil, before); !errors.Is(err, keystore.ErrLogEnds) {
		t.Errorf("one that ends before it: %v", err)
	}
	if done, err := restore(t, copyOf(t, h.Store), nil, before+after); err != nil || done.Lost {
		t.Errorf("one that goes on: %+v, %v", done, err)
	}
}

// A log that lacks a record since the backup may lack a revocation; one that has all of them, in any order, tells.
func TestALogWithAGapDoesNotTellAll(t *testing.T) {
	h := newHarvest(t)
	k, printed := create(t, h.Store)
	backup := func() *store.DB { return copyOf(t, h.Store) }
	backups := []*store.DB{backup(), backup(), backup(), backup()}
	_, err := h.Revoke(t.Context(), k.ID, later)
	create(t, h.Store)
	create(t, h.Store)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSpace(h.log.String()), "\n")
	if len(lines) != 5 { // the tenant and the key are in the backup
		t.Fatal(h.log)
	}
	for name, log := range map[string]string{"rotated away": lines[3] + lines[4], "lost": lines[0] + lines[3] + "\n" + lines[4]} {
		var gap *keystore.LogGapError
		if done, err := restore(t, backups[0], nil, log); !errors.As(err, &gap) || gap.Number != 3 || !done.Lost {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
	}
	for name, log := range map[string]string{"whole": h.log.String(), "in parts": lines[4] + "\n" + lines[3] + lines[2]} {
		b := backups[1]
		backups = backups[1:]
		if done, err := restore(t, b, nil, log); err != nil || done.Lost || done.Revoked != 1 {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
	}
	o := keystore.RestoreOptions{Options: options(backups[1]), AcceptLost: true}
	if o.Audited, err = keystore.ReadAudit(strings.NewReader(lines[2] + lines[4])); err != nil {
		t.Fatal(err)
	}
	if done, err := keystore.Restore(t.Context(), o, later); err != nil || !done.Lost || done.Revoked != 1 {
		t.Errorf("what the log says counts: %+v, %v", done, err)
	}
	if _, err := open(t, options(backups[1])).Lookup(t.Context(), printed, nil, later); !errors.Is(err, keystore.ErrRevoked) {
		t.Error(err)
	}
}

// A copy that does not say when it was made is as old as its last change.
func TestALogThatEndsBeforeACopyTellsNothing(t *testing.T) {
	h := newHarvest(t)
	create(t, h.Store) // at noon
	backup := copyOf(t, h.Store)
	if _, err := backup.Update(func(tx *store.Tx) error { return store.SetMeta(tx, "backup", nil) }); err != nil {
		t.Fatal(err)
	}
	old := `{"time":"2026-01-01T09:00:00Z","level":"INFO","msg":"changed","stream":"audit","action":"key.revoke","number":1,"key_id":"a"}`
	if done, err := restore(t, backup, nil, old); !errors.Is(err, keystore.ErrLogEnds) || !done.Time.IsZero() {
		t.Errorf("%+v, %v", done, err)
	}
}

// What is about neither keys nor tenants is for others to judge, in the form that it was recorded in.
func TestLinesAboutOtherThingsAreHandedOut(t *testing.T) {
	const log = `{"time":"2026-11-02T09:00:00.1Z","level":"INFO","msg":"changed","stream":"audit","action":"key.revoke","number":3,"key_id":"a"}
{"time":"2026-11-02T12:00:00Z","level":"INFO","msg":"changed","stream":"audit","action":"token.revoke","actor":"uid:0","number":4,"key_id":"k","tenant":"acme","environment":"LIVE","sessions":2,"user":["u"]}
{"time":"2026-11-02T12:00:00Z","level":"INFO","msg":"changed","stream":"decisions","action":"token.revoke"}`
	var got []keystore.Record
	gather := func(r *keystore.Record) error {
		got = append(got, *r)
		return nil
	}
	want := []keystore.Record{{
		Number: 4, Time: noon, Actor: "uid:0", Action: "token.revoke", Tenant: "acme", Environment: "LIVE", KeyID: "k",
		Details: []keystore.Detail{{Name: "sessions", Count: 2}, {Name: "user", Texts: []string{"u"}}},
	}}
	if _, err := keystore.ReadAudit(strings.NewReader(log), gather); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	bad := (*keystore.LineError)(nil)
	if _, err := keystore.ReadAudit(strings.NewReader(log), gather, func(*keystore.Record) error { return errors.New("lacks something") }); !errors.As(err, &bad) ||
		*bad != (keystore.LineError{Line: 2, Problem: "lacks something"}) {
		t.Error(err)
	}
	if _, err := keystore.ReadAudit(strings.NewReader(strings.Replace(log, `"time":"2026-11-02T12:00:00Z",`, "", 1)), gather); !errors.As(err, &bad) {
		t.Errorf("a line without a time: %v", err)
	}
}
