package admin

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

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
		im := newImporter(&handler{}, ImportOptions{Format: formatSHA256})
		if key, err := im.key(line); err != nil && key.Hash != [32]byte{} {
			t.Fatalf("a refused line gave %+v", key)
		}
	})
}

// A row of better-auth is a key under the hash that stands in it, or refused with nothing left of it.
func FuzzBetterAuthRow(f *testing.F) {
	hash := strings.Repeat("A", 43)
	f.Add([]byte(`{"id":1,"userId":"u","key":"` + hash + `","permissions":"{\"a\":[\"b\"]}","metadata":"\"{}\"","enabled":"f","createdAt":1790848800000}`))
	f.Add([]byte(`{"id":"a","referenceId":"o","key":"` + hash + `","permissions":{"a":[null]},"remaining":"5","refillAmount":1,"refillInterval":9223372036854775807}`))
	f.Add([]byte(`{"id":"a","referenceId":"o","key":"` + hash + `","rateLimitTimeWindow":1e3,"rateLimitMax":-1,"expiresAt":"2026-11-01 13:30:00+01"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		key, err := newImporter(&handler{}, ImportOptions{Format: formatBetterAuth, AcceptUnenforcedLimits: true}).key(line)
		if err != nil {
			if _, ok := errors.AsType[*keystore.InvalidError](err); !ok {
				t.Fatalf("error %v is not an InvalidError", err)
			}
			if diff := cmp.Diff(keystore.ImportedKey{}, key, cmp.AllowUnexported(keystore.ImportedKey{})); diff != "" {
				t.Fatalf("a refused row gave %s", diff)
			}
			return
		}
		members, err := parseObject(line)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			var text string
			if m.Name == "key" && json.Unmarshal([]byte(m.Raw), &text) == nil {
				if hash, err := keystore.ParseHash(text); err != nil || hash != key.Hash {
					t.Fatalf("key %x stands under the hash %q", key.Hash, text)
				}
			}
		}
		if key.ID == "" || key.Tenant == "" {
			t.Fatalf("%s is a key of nobody: %+v", line, key)
		}
	})
}

func BenchmarkImportLine(b *testing.B) {
	line := []byte(`{"id":"9sD3kQ0ZpT1x","tenant":"acme","environment":"LIVE","start":"mk-9sD","name":"backend","description":null,"state":"active","permissions":["note:read"],` +
		`"on_behalf_of":"any","expires_at":null,"remaining":null,"limits":[],"cidrs":[],"metadata":{"team":"blue"},"created_at":"2026-11-02T09:00:00Z","hash":"` + strings.Repeat("0", 64) + `"}`)
	im := newImporter(&handler{}, ImportOptions{Format: formatSHA256})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := im.key(line); err != nil {
			b.Fatal(err)
		}
	}
}
