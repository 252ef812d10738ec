package extauthz_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

func TestWhatTheUpstreamLearns(t *testing.T) {
	t.Parallel()
	organization := keystore.TenantSpec{ID: "guild", Kind: keystore.KindOrganization}
	able := keystore.KeySpec{Permissions: []string{"note:read", "agent:create", "note:create"}}
	tests := []struct {
		name, profile string
		change        func(*extauthz.Options)
		key           keystore.KeySpec
		endUser       bool
		want          map[string]string // without x-api-key-id
		respond       map[string]string
	}{
		{name: "default", profile: "default", want: map[string]string{"x-tenant-id": "acme", "x-environment": "LIVE"}},
		{
			name: "default, with all that it can say", profile: "default", key: able, endUser: true,
			want: map[string]string{"x-tenant-id": "acme", "x-environment": "LIVE", "x-permissions": "agent:create,note:create,note:read", "x-on-behalf-of": "ada"},
		},
		{name: "mka1", profile: "mka1", want: map[string]string{"x-account-id": "acme"}},
		{
			name: "mka1, environments listed", profile: "mka1", change: func(o *extauthz.Options) { o.InjectEnvironment = true },
			key: keystore.KeySpec{Environment: "TEST"}, want: map[string]string{"x-account-id": "acme", "x-environment": "TEST"},
		},
		{
			name: "mka1, of an organisation", profile: "mka1", key: keystore.KeySpec{Tenant: "guild", Permissions: []string{"a:b"}}, endUser: true,
			want: map[string]string{"x-account-id": "guild", "x-organization-id": "guild", "x-permissions": "a:b", "x-on-behalf-of": "ada"},
		},
		{
			name: "mka1, identity raw", profile: "mka1", change: func(o *extauthz.Options) { o.Identity = extauthz.IdentityRaw }, endUser: true,
			want: map[string]string{"x-account-id": "acme", "x-on-behalf-of": "ada", "x-owner-identity": "acme:ada"},
		},
		{
			name: "mka1, identity raw, no end user", profile: "mka1", change: func(o *extauthz.Options) { o.Identity = extauthz.IdentityRaw },
			want: map[string]string{"x-account-id": "acme", "x-owner-identity": "acme"},
		},
		{
			name: "mka1, identity sha256", profile: "mka1", change: func(o *extauthz.Options) { o.Identity = extauthz.IdentitySHA256 }, endUser: true,
			want: map[string]string{"x-account-id": "acme", "x-on-behalf-of": "ada", "x-owner-identity": sum("acme:ada")},
		},
		{
			name: "mka1, identity sha256, no end user", profile: "mka1", change: func(o *extauthz.Options) { o.Identity = extauthz.IdentitySHA256 },
			want: map[string]string{"x-account-id": "acme", "x-owner-identity": sum("acme")},
		},
		{
			name: "mka1, identity off", profile: "mka1", change: func(o *extauthz.Options) { o.Identity = extauthz.IdentityOff }, endUser: true,
			want: map[string]string{"x-account-id": "acme", "x-on-behalf-of": "ada"},
		},
		{
			name: "mlm", profile: "mlm", key: able, endUser: true, respond: map[string]string{"x-environment": "LIVE"},
			want: map[string]string{"x-tenant-id": "acme", "x-environment": "LIVE", "x-permissions": "agent:create,note:create,note:read"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, withProfile(t, test.profile))
			if test.change != nil {
				g = g.with(test.change)
			}
			if _, err := g.keys.CreateTenant(t.Context(), organization, noon()); err != nil {
				t.Fatal(err)
			}
			id, key := g.create(test.key)
			place := "authorization: Bearer "
			if test.profile == "mlm" {
				place = "x-tenant-api-key: "
			}
			r := get("/", place+key)
			if test.endUser {
				r.Headers = append(r.Headers, extauthz.Header{Name: "x-on-behalf-of", Value: "ada"})
			}
			for range 2 { // from the file, then from the cache
				a := g.allow(r)
				if a.Set["x-api-key-id"] != id || a.Decision.KeyID() != id || a.Metadata["key_id"] != id {
					t.Errorf("key id %q upstream, %q in the decision, %q in metadata, want %q", a.Set["x-api-key-id"], a.Decision.KeyID(), a.Metadata["key_id"], id)
				}
				delete(a.Set, "x-api-key-id")
				if diff := cmp.Diff(test.want, a.Set); diff != "" {
					t.Errorf("set (-want +got):\n%s", diff)
				}
				if test.respond == nil {
					test.respond = map[string]string{}
				}
				if diff := cmp.Diff(test.respond, a.Respond); diff != "" {
					t.Errorf("response headers (-want +got):\n%s", diff)
				}
				if d := a.Decision; a.Metadata["tenant_id"] != d.Tenant() || a.Metadata["environment"] != d.Environment() || d.Tenant() == "" || d.Environment() == "" {
					t.Errorf("metadata %v, tenant %q, environment %q", a.Metadata, d.Tenant(), d.Environment())
				}
			}
		})
	}
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func TestMLMNamesTheEnvironmentOfAKnownCredentialOnly(t *testing.T) {
	t.Parallel()
	g := newGate(t, withProfile(t, "mlm", extauthz.PolicySpec{Paths: []string{"/able"}, Permissions: []string{"a:b"}}))
	key := bearer(g)[0]
	const environment = "x-environment: LIVE"
	tests := []struct {
		want    extauthz.Reason
		request *extauthz.Request
		known   bool
	}{
		{extauthz.ReasonPermissionMissing, get("/able", key), true},
		{extauthz.ReasonCredentialMissing, get("/able"), false},
		{extauthz.ReasonKeyUnknown, get("/able", "x-tenant-api-key: live_x"), false},
		{extauthz.ReasonPathRefused, get("/a//b", key), false},
		{extauthz.ReasonCredentialAmbiguous, get("/", key, key), false},
	}
	for _, test := range tests {
		a := g.deny(test.want, test.request)
		found := false
		for _, h := range a.Headers {
			found = found || h == environment
		}
		if _, inMetadata := a.Metadata["environment"]; found != test.known || inMetadata != test.known {
			t.Errorf("%s: %q, metadata %v; known: %v", test.want, a.Headers, a.Metadata, test.known)
		}
	}
}

func TestARecordThatBreaksAHeaderIsNotSent(t *testing.T) { // R-RESP-3
	t.Parallel()
	a := authorizer(t, options(t))
	long := strings.Repeat("p", 63) + ":" + strings.Repeat("q", 63) // 127 bytes, and a comma
	permissions := func(n int) []string { return slices.Repeat([]string{long}, n) }
	tests := []struct {
		name string
		key  keystore.Key
		want extauthz.Reason
	}{
		{"a sound one", keystore.Key{ID: "k", Tenant: "acme", Environment: "LIVE"}, extauthz.ReasonUndecided},
		{"a line break", keystore.Key{ID: "k", Tenant: "acme\r\nx-environment: prod", Environment: "LIVE"}, extauthz.ReasonReply},
		{"a space at the end", keystore.Key{ID: "k ", Tenant: "acme", Environment: "LIVE"}, extauthz.ReasonReply},
		{"not ASCII", keystore.Key{ID: "k", Tenant: "acm\u00e9", Environment: "LIVE"}, extauthz.ReasonReply},
		{"1,024 bytes", keystore.Key{ID: strings.Repeat("k", 1024), Tenant: "acme", Environment: "LIVE"}, extauthz.ReasonUndecided},
		{"1,025 bytes", keystore.Key{ID: strings.Repeat("k", 1025), Tenant: "acme", Environment: "LIVE"}, extauthz.ReasonReply},
		{"2,047 bytes of permissions", keystore.Key{ID: "k", Tenant: "acme", Environment: "LIVE", Permissions: permissions(16)}, extauthz.ReasonUndecided},
		{"2,175 bytes of permissions", keystore.Key{ID: "k", Tenant: "acme", Environment: "LIVE", Permissions: permissions(17)}, extauthz.ReasonReply},
		{"an environment that is gone", keystore.Key{ID: "k", Tenant: "acme", Environment: "OLD"}, extauthz.ReasonEnvironmentUnknown},
	}
	for _, test := range tests {
		if got := a.Prepared(&test.key); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// The cache of records is bounded by bytes: what is prepared of a key counts with what it holds.
func TestWhatIsPreparedHasItsSize(t *testing.T) {
	t.Parallel()
	a := authorizer(t, options(t))
	plain := keystore.Key{ID: "abcdefghijkl", Tenant: "acme", Environment: "LIVE"}
	able := plain
	for i := range 64 {
		able.Permissions = append(able.Permissions, strings.Repeat("a", 20)+":"+strings.Repeat("b", 8)+string(rune('0'+i)))
	}
	joined := len(strings.Join(able.Permissions, ","))
	if small, large := a.PreparedSize(&plain), a.PreparedSize(&able); small < 400 || large < small+joined {
		t.Errorf("%d bytes without permissions, %d with %d bytes of them", small, large, joined)
	}
	unknown := keystore.Key{Environment: "GONE"}
	if size := a.PreparedSize(&unknown); size < 64 {
		t.Errorf("%d bytes of a key that passes nothing", size)
	}
}
