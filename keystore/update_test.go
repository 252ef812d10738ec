package keystore_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/keystore"
)

// R-RESP-3: what is changed is checked as what is new, and a refusal changes nothing.
func TestUpdateRefusesWhatCreateDoes(t *testing.T) {
	s := open(t, options(database(t)))
	made, _, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE", Name: "was"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		field  string
		change keystore.KeyChange
	}{
		"a name of 129 characters":  {"name", keystore.KeyChange{Name: new(strings.Repeat("x", 129))}},
		"a name of 256 bytes":       {"name", keystore.KeyChange{Name: new(strings.Repeat("é", 128))}},
		"a name with a newline":     {"name", keystore.KeyChange{Name: new("a\nb")}},
		"a description of 256":      {"description", keystore.KeyChange{Description: new(strings.Repeat("x", 256))}},
		"a wildcard":                {"permissions", keystore.KeyChange{Permissions: &[]string{"note:*"}}},
		"an unknown delegation":     {"on_behalf_of", keystore.KeyChange{OnBehalfOf: new(keystore.Delegation("some"))}},
		"an expiry that is now":     {"expires_at", keystore.KeyChange{ExpiresAt: new(noon)}},
		"an expiry beyond RFC 3339": {"expires_at", keystore.KeyChange{ExpiresAt: new(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))}},
		"bits behind the mask":      {"cidrs", keystore.KeyChange{CIDRs: &[]netip.Prefix{netip.MustParsePrefix("10.1.0.0/8")}}},
		"metadata of over 4 KiB": {"metadata", keystore.KeyChange{Metadata: map[string]json.RawMessage{
			"a": json.RawMessage(`"` + strings.Repeat("x", 4089) + `"`),
		}}},
		"metadata that is no JSON": {"metadata", keystore.KeyChange{Metadata: map[string]json.RawMessage{"a": json.RawMessage(`{`)}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.UpdateKey(t.Context(), made.ID, tc.change, noon)
			if refused, ok := errors.AsType[*keystore.InvalidError](err); !ok || refused.Field != tc.field {
				t.Errorf("UpdateKey: %v, want a refusal of %s", err, tc.field)
			}
			got, err := s.Key(t.Context(), made.ID, noon)
			if diff := cmp.Diff(made, got, cmpopts.EquateComparable(netip.Prefix{})); err != nil || diff != "" {
				t.Errorf("%v, changed to (-was +is):\n%s", err, diff)
			}
		})
	}
}
