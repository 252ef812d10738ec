package keystore_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// encodings are samples of each kind of record, from real ones.
func encodings(tb testing.TB) [][]byte {
	tb.Helper()
	s := open(tb, options(database(tb)))
	full := keystore.KeySpec{
		Tenant: "default", Environment: "LIVE", Name: "n", Description: "d", Permissions: []string{"a:b", "c:d"}, ExpiresAt: noon.Add(time.Hour),
		CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}, Metadata: []byte(`{"a":1}`),
		Remaining: new(int64(1)), Limits: []keystore.Limit{{Limit: 1, Window: keystore.WindowDay}}, Refill: &keystore.Refill{Amount: 1, Interval: time.Second},
		RateLimit: &keystore.RateLimit{Enabled: true, Window: time.Second, Max: 1},
	}
	k, _, err := s.Create(tb.Context(), full, noon)
	if err != nil {
		tb.Fatal(err)
	}
	foreign(tb, s, "mk-foreign")
	all, err := s.Encodings(k.ID)
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// R-STORE-2: what decodes, encodes to the same bytes, and the index reads from a head what the rest of us reads from the
// whole. What does not decode gives nothing.
func FuzzDecode(f *testing.F) {
	for _, b := range encodings(f) {
		f.Add(b, uint8(1))
		f.Add(b[:len(b)-1], uint8(1))
		f.Add(append(bytes.Clone(b), 0), uint8(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, version uint8) {
		for kind, again := range keystore.Reencode(version, b) {
			switch {
			case again != nil && !bytes.Equal(again, b):
				t.Errorf("a %s %x decodes to what encodes as %x", kind, b, again)
			case again != nil && version != 1:
				t.Errorf("version %d of a %s is known", version, kind)
			}
		}
	})
}

// Each cut and each wrong version is noticed.
func TestDecodeRefusesPieces(t *testing.T) {
	for _, b := range encodings(t) {
		if n := len(keystore.Reencode(1, b)); n == 0 {
			t.Errorf("%x is nothing", b)
		}
		kinds := keystore.Reencode(1, b)
		for i := range b {
			for kind := range keystore.Reencode(1, b[:i]) {
				if _, was := kinds[kind]; was {
					t.Errorf("%d bytes of a %s of %d are one too", i, kind, len(b))
				}
			}
		}
		if all := keystore.Reencode(2, b); len(all) != 0 {
			t.Errorf("version 2 is known: %v", all)
		}
	}
}

// A slow secret beside another one is kept as it is, and is in the way of nothing.
func TestSlowHashesAreKept(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	k, printed := create(t, s)
	if err := s.AddSlowSecret(k.ID, "$2b$10$abcdefghijklmnopqrstuv", "mk-abc"); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s = open(t, options(db))
	got, err := s.Key(t.Context(), k.ID, noon)
	if err != nil || len(got.Secrets) != 2 || got.Secrets[0].Start != "mk-abc" || got.Start != "mk-abc" || got.Secrets[0].LookupID != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Error(err)
	}
	if n := s.Stats(); n.Secrets != 2 || n.Keys != 1 {
		t.Errorf("%+v", n)
	}
	if _, err := s.Revoke(t.Context(), k.ID, noon); err != nil {
		t.Error(err)
	}
}
