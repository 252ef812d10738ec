package extauthz_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/crypto/bcrypt"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// ranges parses address ranges.
func ranges(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestTheFirstStepThatRefusesAnswers(t *testing.T) {
	t.Parallel()
	strict := extauthz.PolicySpec{
		Name: "strict", Paths: []string{"/strict"}, Environments: []string{"LIVE"}, CIDRs: ranges("10.0.0.0/8"),
		Permissions: []string{"note:create"}, EndUser: extauthz.EndUserRequired, Upgrades: []string{},
	}
	g := newGate(t, options(t, strict)).with(func(o *extauthz.Options) { o.RejectSpoofed = true })
	test := g.key(keystore.KeySpec{Environment: "TEST", OnBehalfOf: keystore.DelegationNone})
	live := g.key(keystore.KeySpec{})
	able := g.key(keystore.KeySpec{Permissions: []string{"note:create"}})

	// Everything is wrong at first; line by line one thing is put right.
	r := request("GET", "a,b", "/strict/../strict", "connection: x-tenant-id", "x-environment: PROD", "upgrade: websocket", "x-on-behalf-of: a,b")
	r.Environment = extauthz.Extension{Present: true, Value: "PROD"}
	g.deny(extauthz.ReasonPathRefused, r)
	r.Path = "/strict"
	g.deny(extauthz.ReasonHostRefused, r)
	r.Host = "a"
	g.deny(extauthz.ReasonConnectionRefused, r)
	r.Headers[2].Value = "close"
	g.deny(extauthz.ReasonHeaderSpoofed, r)
	r.Headers[3].Name = "x-harmless"
	r.Policy = extauthz.Extension{Present: true, Value: "lenient"}
	g.deny(extauthz.ReasonPolicyUnknown, r)
	r.Policy.Present = false
	g.deny(extauthz.ReasonEnvironmentUnconfigured, r)
	r.Environment.Value = "LIVE"
	r.Headers = append(r.Headers, extauthz.Header{Name: "x-api-key", Value: "a,b"})
	credential := &r.Headers[len(r.Headers)-1].Value
	g.deny(extauthz.ReasonCredentialAmbiguous, r)
	*credential = ""
	g.deny(extauthz.ReasonCredentialMissing, r)
	*credential = "a b"
	g.deny(extauthz.ReasonCredentialMalformed, r)
	*credential = "live_unknown"
	g.deny(extauthz.ReasonKeyUnknown, r)
	*credential = test
	g.deny(extauthz.ReasonEndUserInvalid, r)
	r.Headers[5].Value = "ada"
	g.deny(extauthz.ReasonEndUserRefused, r)
	r.Headers[5].Name = "x-nothing"
	g.deny(extauthz.ReasonEndUserRequired, r)
	r.Headers[5].Name = "x-on-behalf-of"
	*credential = live
	r.Environment.Value = "TEST"
	g.deny(extauthz.ReasonEnvironmentNotAllowed, r)
	r.Environment.Value = "LIVE"
	g.deny(extauthz.ReasonAddressRefused, r)
	r.Source = "10.1.2.3"
	g.deny(extauthz.ReasonPermissionMissing, r)
	*credential = able
	g.deny(extauthz.ReasonUpgradeRefused, r)
	r.Headers[4].Name = "x-upgrade"
	g.allow(r)
}

func TestTheZeroDecisionDenies(t *testing.T) {
	t.Parallel()
	var d extauthz.Decision
	if d.Allowed() || d.Reason() != extauthz.ReasonUndecided || d.Policy()+d.Tenant()+d.Environment()+d.KeyID()+d.EndUser() != "" {
		t.Errorf("the zero Decision is %+v", d)
	}
	if c := d.Reason().Class(); c != extauthz.ClassUnavailable || c.Status() != 503 {
		t.Errorf("its class is %s, %d", c, c.Status())
	}
	if r := extauthz.Reason(255); r.Class() != extauthz.ClassUnavailable || r.String() != "undecided" {
		t.Errorf("an unknown reason is %s, %s", r, r.Class())
	}
	allowed := []string{"allowed", "public", "preflight"}
	names := map[string]bool{}
	for r := range extauthz.Reasons() {
		if r.Class() == extauthz.ClassAllowed {
			if r.String() != allowed[0] {
				t.Errorf("%s allows, want %s", r, allowed[0])
			}
			allowed = allowed[1:]
		}
		if names[r.String()] {
			t.Errorf("two reasons are called %s", r)
		}
		names[r.String()] = true
	}
}

func TestAKeyThatIsNoLongerGoodIsRefusedWithTheSameBytes(t *testing.T) { // R-RESP-7, R-KEY-4
	t.Parallel()
	for _, name := range []string{"default", "mka1", "mlm"} {
		o := withProfile(t, name)
		o.Environments = append(o.Environments, keystore.Environment{Name: "OLD", KeyPrefix: "old_"})
		g := newGate(t, o)
		place := g.o.Profile.Names().Credentials[0] + ": "
		if place == "authorization: " {
			place += "Bearer "
		}
		disabled, disabledKey := g.create(keystore.KeySpec{})
		revoked, revokedKey := g.create(keystore.KeySpec{})
		expired := g.key(keystore.KeySpec{ExpiresAt: noon().Add(time.Second)})
		if _, err := g.keys.CreateTenant(t.Context(), keystore.TenantSpec{ID: "globex"}, noon()); err != nil {
			t.Fatal(err)
		}
		suspended := g.key(keystore.KeySpec{Tenant: "globex"})
		gone := g.key(keystore.KeySpec{Environment: "OLD"})
		g.allow(get("/", place+disabledKey))
		g.allow(get("/", place+revokedKey))
		g.allow(get("/", place+suspended))
		for _, change := range []func() error{
			func() error { _, err := g.keys.Disable(t.Context(), disabled, noon()); return err },
			func() error { _, err := g.keys.Revoke(t.Context(), revoked, noon()); return err },
			func() error { _, err := g.keys.SuspendTenant(t.Context(), "globex", noon()); return err },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
		}
		g = g.with(func(o *extauthz.Options) { o.Environments = o.Environments[:2] })

		var first answer
		for i, test := range []struct {
			credential string
			want       extauthz.Reason
		}{
			{"live_unknown", extauthz.ReasonKeyUnknown},
			{"a b", extauthz.ReasonCredentialMalformed},
			{flip(revokedKey), extauthz.ReasonKeyUnknown},
			{"test_" + strings.TrimPrefix(disabledKey, "live_"), extauthz.ReasonKeyUnknown}, // reprinted: another key
			{disabledKey, extauthz.ReasonKeyDisabled},
			{revokedKey, extauthz.ReasonKeyRevoked},
			{suspended, extauthz.ReasonTenantSuspended},
			{gone, extauthz.ReasonEnvironmentUnknown},
		} {
			a := g.deny(test.want, get("/", place+test.credential, "x-request-id: 1"))
			delete(a.Metadata, "reason")
			if i == 0 {
				first = a
			}
			if diff := cmp.Diff(first, a, cmpopts.IgnoreFields(answer{}, "Decision")); diff != "" {
				t.Errorf("%s: an unknown key and one that is %s differ:\n%s", name, test.want, diff)
			}
		}
		if first.Status != 401 || len(first.Metadata) > 0 {
			t.Errorf("%s: refused with %d, metadata %v", name, first.Status, first.Metadata)
		}

		g.allow(get("/", place+expired))
		later := g.Authorize(t.Context(), get("/", place+expired), noon().Add(time.Second))
		if later.Reason() != extauthz.ReasonKeyExpired {
			t.Errorf("%s: at its end a key is %s, want key_expired", name, later.Reason())
		}
	}
}

// flip changes a secret without its checksum's help.
func flip(key string) string {
	b := []byte(key)
	i := len(b) - 10
	if b[i] == '0' {
		b[i] = '1'
	} else {
		b[i] = '0'
	}
	return string(b)
}

func TestTheEnvironmentComesFromTheRecord(t *testing.T) { // R-KEY-3
	t.Parallel()
	g := newGate(t, options(t))
	foreign := g.imported(map[string]string{"live_like": "TEST", "test_like": "LIVE", "mine": "LIVE"})
	for text, environment := range foreign {
		a := g.allow(get("/", "x-api-key: "+text, "x-environment: PROD"))
		if a.Set["x-environment"] != environment || a.Decision.Environment() != environment {
			t.Errorf("%s is of %s upstream and %s in the decision, want %s", text, a.Set["x-environment"], a.Decision.Environment(), environment)
		}
	}
}

// imported imports keys of acme: text → environment.
func (g *gate) imported(keys map[string]string) map[string]string {
	g.t.Helper()
	lines := func(yield func(keystore.ImportedKey, error) bool) {
		for text, environment := range keys {
			line := keystore.ImportedKey{KeySpec: keystore.KeySpec{Tenant: "acme", Environment: environment}, Hash: sha256.Sum256([]byte(text))}
			if !yield(line, nil) {
				return
			}
		}
	}
	result, err := g.keys.Import(g.t.Context(), keystore.ImportOptions{}, lines, noon())
	if err != nil || result.Added != len(keys) {
		g.t.Fatalf("importing: %+v, %v", result, err)
	}
	return keys
}

func TestAPrefixMayHaveToFit(t *testing.T) { // R-KEY-3, mlm
	t.Parallel()
	o := withProfile(t, "mlm")
	o.Environments = []keystore.Environment{{Name: "LIVE", KeyPrefix: "mlm_live_"}, {Name: "SANDBOX", KeyPrefix: "mlm_sandbox_"}, {Name: "EU", KeyPrefix: "mlm_live_eu_"}}
	g := newGate(t, o)
	live, eu := g.key(keystore.KeySpec{}), g.key(keystore.KeySpec{Environment: "EU"})
	g.imported(map[string]string{"mlm_live_a": "LIVE", "mlm_sandbox_b": "LIVE", "foreign": "LIVE", "mlm_live_eu_c": "EU", "mlm_live_eu_d": "LIVE"})
	for text, want := range map[string]extauthz.Reason{
		live: extauthz.ReasonAllowed, eu: extauthz.ReasonAllowed,
		"mlm_live_a": extauthz.ReasonAllowed, "foreign": extauthz.ReasonAllowed, "mlm_live_eu_c": extauthz.ReasonAllowed,
		"mlm_sandbox_b": extauthz.ReasonKeyPrefixMismatch, "mlm_live_eu_d": extauthz.ReasonKeyPrefixMismatch,
	} {
		g.expect(want, get("/", "x-tenant-api-key: "+text))
	}

	// The file gives LIVE another prefix: what was printed with the old one is refused.
	renamed := g.with(func(o *extauthz.Options) {
		o.Environments = []keystore.Environment{{Name: "LIVE", KeyPrefix: "new_"}, o.Environments[1], o.Environments[2]}
	})
	renamed.deny(extauthz.ReasonKeyPrefixMismatch, get("/", "x-tenant-api-key: "+live))
	renamed.allow(get("/", "x-tenant-api-key: "+eu))
	shorter := g.with(func(o *extauthz.Options) {
		o.Environments = []keystore.Environment{{Name: "LIVE", KeyPrefix: "mlm_"}, o.Environments[1], {Name: "EU", KeyPrefix: "eu_"}}
	})
	shorter.deny(extauthz.ReasonKeyPrefixMismatch, get("/", "x-tenant-api-key: "+live))

	// No other profile asks.
	plain := g.with(func(o *extauthz.Options) {
		o.Profile = profile(t, "default")
		o.Environments = []keystore.Environment{{Name: "LIVE", KeyPrefix: "new_"}}
	})
	plain.allow(get("/", "x-api-key: "+live))
}

// slow imports a key of acme of which only a bcrypt hash is known.
func (g *gate) slow(text, environment string, cost int) {
	g.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(text), cost)
	if err != nil {
		g.t.Fatal(err)
	}
	result, err := g.keys.Import(g.t.Context(), keystore.ImportOptions{}, func(yield func(keystore.ImportedKey, error) bool) {
		yield(keystore.ImportedKey{
			KeySpec: keystore.KeySpec{Tenant: "acme", Environment: environment},
			Secrets: []keystore.StoredSecret{{Kind: keystore.HashBcrypt, Hash: string(hash), Start: text[:len(text)-1]}},
		}, nil)
	}, noon())
	if err != nil || result.Added != 1 {
		g.t.Fatalf("importing: %+v, %v", result, err)
	}
}

func TestSlowKeysAreImportedOnes(t *testing.T) { // R-KEY-3, mlm
	t.Parallel()
	o := withProfile(t, "mlm")
	o.Environments = []keystore.Environment{{Name: "LIVE", KeyPrefix: "mlm_live_"}, {Name: "SANDBOX", KeyPrefix: "mlm_sandbox_"}}
	g := newGate(t, o)
	for text, want := range map[string]extauthz.Reason{
		"foreign": extauthz.ReasonAllowed, "mlm_live_a": extauthz.ReasonAllowed, "mlm_sandbox_b": extauthz.ReasonKeyPrefixMismatch,
	} {
		g.slow(text, "LIVE", bcrypt.MinCost)
		for range 2 { // as a slow one, and as what replaces it
			g.expect(want, get("/", "x-tenant-api-key: "+text))
		}
	}
}

// R-KEY-7: more attempts than may wait, and those that come too late, are 503.
func TestSlowKeysThatCannotBeComparedNowAreUnavailable(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	g.slow("slow-key", "LIVE", 12)
	late, cancel := context.WithCancel(t.Context())
	cancel()
	overloaded := 0
	for i := range 100 {
		d := g.Authorize(late, get("/", fmt.Sprint("x-api-key: slow-ke", i)), noon())
		if d.Reason() == extauthz.ReasonOverloaded {
			overloaded++
		} else if d.Reason() != extauthz.ReasonDeadline {
			t.Errorf("attempt %d: %v", i, d.Reason())
		}
	}
	if overloaded == 0 {
		t.Error("none of a hundred attempts was shed")
	}
	other := newGate(t, options(t))
	other.slow("slow-key", "LIVE", bcrypt.MinCost)
	if d := other.Authorize(late, get("/", "x-api-key: slow-key"), noon()); d.Reason() != extauthz.ReasonDeadline && !d.Allowed() {
		t.Errorf("too late: %v", d.Reason())
	}
	other.allow(get("/", "x-api-key: slow-key"))
}

func TestWhenTheStoreCannotAnswerNothingPasses(t *testing.T) { // R-RESP-6
	t.Parallel()
	g := newGate(t, options(t))
	key := "x-api-key: " + g.key(keystore.KeySpec{})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if d := g.Authorize(canceled, get("/", key), noon()); d.Reason() != extauthz.ReasonDeadline {
		t.Errorf("without time to read the record: %s, want deadline", d.Reason())
	}
	g.allow(get("/", key))
	if err := g.keys.Close(); err != nil {
		t.Fatal(err)
	}
	a := g.deny(extauthz.ReasonStore, get("/", key))
	if cause := a.Decision.Cause(); !errors.Is(cause, keystore.ErrUnavailable) {
		t.Errorf("the cause is %v, want the key store's", cause)
	}
	if a.Status != 503 || !strings.Contains(strings.Join(a.Headers, "\n"), "retry-after: 1") {
		t.Errorf("got %d %q", a.Status, a.Headers)
	}
}

func TestADecisionMayBeAskedForTwice(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t))
	r := get("/", "x-api-key: "+g.key(keystore.KeySpec{}), "x-on-behalf-of: ada", "x_tenant_id: evil")
	first, second := g.allow(r), g.allow(r)
	if diff := cmp.Diff(first, second, cmpopts.IgnoreFields(answer{}, "Decision")); diff != "" {
		t.Errorf("the second answer differs:\n%s", diff)
	}
}
