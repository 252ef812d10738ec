package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

// What a line is read as is written as a line that is read as the same. A line that is refused leaves nothing.
func FuzzImportLine(f *testing.F) {
	hash := strings.Repeat("0", 64)
	f.Add([]byte(`{"id":"a","tenant":"t","permissions":["a:b"],"expires_at":"2026-11-02T09:00:00Z","metadata":{"a":[1,{"b":null}]},"hash":"` + hash + `"}`))
	f.Add([]byte(`{"limits":[{"limit":1,"window":"day"}],"refill":{"amount":1,"interval_ms":1,"last_at":null},"rate_limit":{"enabled":true},"remaining":-1}`))
	f.Add([]byte(`{"n\u0061me":"\ud800","cidrs":[],"state":null}`))
	f.Add([]byte(`{"metadata":{"a":1,"a":2}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var l importLine
		if err := decode(line, &l); err != nil {
			if _, ok := errors.AsType[*keystore.InvalidError](err); !ok {
				t.Fatalf("error %v is not an InvalidError", err)
			}
			return
		}
		written, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var again importLine
		if err := decode(written, &again); err != nil {
			t.Fatalf("%s became %s: %v", line, written, err)
		}
		rewritten, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(written), string(rewritten)); diff != "" {
			t.Fatal(diff)
		}
		im := newImporter(&handler{}, ImportOptions{})
		if key, err := im.key(line); err != nil && key.Hash != [32]byte{} {
			t.Fatalf("a refused line gave %+v", key)
		}
	})
}

// The scanner of valid JSON finds the members that encoding/json finds, or a name that stands twice.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(" {\"a\" : 1 , \"b\":[ ],\"c\":{\"d\":\"}\\\"\"} } "))
	f.Add([]byte(`{"\u0061":-1.5e3,"":true,"b":[{},[null,"]"]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var want map[string]json.RawMessage
		if !utf8.Valid(data) || json.Unmarshal(data, &want) != nil || want == nil { // decode has looked
			return
		}
		members, err := membersOf(data)
		if err != nil {
			return
		}
		if len(members) != len(want) {
			t.Fatalf("%d members, want %d", len(members), len(want))
		}
		for _, m := range members {
			if !bytes.Equal(m.value, want[m.name]) {
				t.Fatalf("%q is %q, want %q", m.name, m.value, want[m.name])
			}
		}
	})
}

func BenchmarkImportLine(b *testing.B) {
	line := []byte(`{"id":"9sD3kQ0ZpT1x","tenant":"acme","environment":"LIVE","start":"mk-9sD","name":"backend","description":null,"state":"active","permissions":["note:read"],` +
		`"on_behalf_of":"any","expires_at":null,"remaining":null,"limits":[],"cidrs":[],"metadata":{"team":"blue"},"created_at":"2026-11-02T09:00:00Z","hash":"` + strings.Repeat("0", 64) + `"}`)
	im := newImporter(&handler{}, ImportOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := im.key(line); err != nil {
			b.Fatal(err)
		}
	}
}
