package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// record is one of the audit.
type record struct {
	Number      uint64
	Actor       string
	Action      string
	KeyID       string `json:"key_id"`
	Tenant      string
	Environment string
}

// audit is all of it, without a gap.
func (g *gate) audit(t *testing.T) []record {
	t.Helper()
	var audit struct{ Records []record }
	decode(t, g.ask(t, "data/admin.sock", "/v1/audit?limit=10000"), &audit)
	for i, r := range audit.Records {
		if r.Number != uint64(i)+1 {
			t.Fatalf("record %d has the number %d", i+1, r.Number)
		}
	}
	return audit.Records
}

// recorded looks for the making of every key in the audit, by the user who runs the command, and for its line in the log.
func recorded(g *gate) func(*testing.T) { // R-ADM-2, mka1 41, mlm 36
	return func(t *testing.T) {
		recorded := map[string]bool{}
		for _, r := range g.audit(t) {
			if r.Action == "key.create" && r.Actor == fmt.Sprint("uid:", os.Getuid()) {
				recorded[r.KeyID] = true
			}
		}
		for _, k := range g.minted {
			if !recorded[k.ID] {
				t.Errorf("nobody made key %s", k.ID)
			}
		}
	}
}

// mlm 36: what a tenant changes through its keys is on record with the key, what an operator changes with who that is, and what
// Postern does by itself too.
func TestEveryChangeOfTokensAndUsersIsOnRecord(t *testing.T) {
	t.Parallel()
	p := openPlatform(t)
	operator, tenant := fmt.Sprint("uid:", os.Getuid()), "key:"+p.live.ID
	s := p.signIn(t, p.live, "user_1")
	p.register(t, p.live, "my-app", p.idp.Issuer(), p.idp.KeysURL(), `,"auto_create_users":false`)
	p.must(t, p.live, "POST", "link", fmt.Sprintf(`{"mlmUserId":%q,"externalId":"other","provider":"my-app"}`, s.User), new(any))
	p.must(t, p.live, "PATCH", "users/"+s.User, `{"is_active":false}`, new(any))
	p.must(t, p.live, "PATCH", "users/"+s.User, `{"is_active":true}`, new(any))
	p.ask(t, p.live, "POST", "users", `{"email":"b@example.com"}`)
	p.ask(t, p.live, "DELETE", "providers/my-app", "")
	p.Run(t, "users", "deactivate", s.User, "--tenant", "acme")
	p.Run(t, "token", "revoke", "--jti", "some")
	p.Run(t, "signing-keys", "rotate")
	got := map[string]bool{}
	for _, r := range p.audit(t) {
		got[r.Action+" by "+r.Actor] = true
	}
	for _, want := range []string{
		"signing_key.create by postern", "signing_key.rotate by " + operator, "token.revoke by " + operator, "user.deactivate by " + operator,
		"provider.create by " + tenant, "provider.update by " + tenant, "provider.delete by " + tenant,
		"user.create by " + tenant, "user.link by " + tenant, "user.deactivate by " + tenant, "user.activate by " + tenant,
	} {
		if !got[want] {
			t.Errorf("%s is not on record, but %q", want, slices.Sorted(maps.Keys(got)))
		}
	}
}

// mlm 18: a tenant that is made with its providers can exchange at once.
func TestATenantIsMadeWithItsProviders(t *testing.T) {
	t.Parallel()
	p := openPlatform(t)
	file := filepath.Join(t.TempDir(), "tenant.yaml")
	text := fmt.Sprintf("name: globex\nproviders:\n  - { provider_id: my-app, display_name: Ours, issuer: %q, jwks_uri: %q, allowed_audiences: [api://my-app] }\n", p.idp.Issuer(), p.idp.KeysURL())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Run(t, "tenants", "create", "--file", file)
	for _, environment := range []string{"LIVE", "SANDBOX"} {
		k := p.mint(t, "--tenant", "globex", "--env", environment)
		s := p.signIn(t, k, "user_1")
		arrives(t, byUser(k, s, "user_1"), p.front(t).allowed(t, mlm().shut, bearerOf(s)))
	}
}
