package extauthz_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// What may happen to a tokenWorld, and what the oracle knows of it then.

func (w *tokenWorld) addKey(spec keystore.KeySpec) {
	key, text, err := w.gate.keys.Create(w.t.Context(), spec, w.now)
	w.must(err)
	w.keys = append(w.keys, &knownKey{
		id: key.ID, text: text, tenant: spec.Tenant, environment: spec.Environment, permissions: spec.Permissions,
		alone: spec.OnBehalfOf == keystore.DelegationNone, expires: spec.ExpiresAt,
	})
}

func permissionSets() [][]string {
	return [][]string{nil, {"note:read"}, {"note:create"}, {"note:create", "note:read"}}
}

func (w *tokenWorld) createKey(rt *rapid.T) {
	w.addKey(keystore.KeySpec{
		Tenant: pick(rt, "tenant", "acme", "globex"), Environment: pick(rt, "environment", "LIVE", "TEST"),
		Permissions: pick(rt, "permissions", permissionSets()...), OnBehalfOf: pick(rt, "delegation", keystore.DelegationAny, keystore.DelegationNone),
		ExpiresAt: pick(rt, "expires", time.Time{}, w.now.Add(20*time.Second), w.now.Add(10*time.Minute)),
	})
}

func (w *tokenWorld) changeKey(rt *rapid.T) {
	k := pick(rt, "key", w.keys...)
	if k.revoked {
		return // for good
	}
	ctx, keys := w.t.Context(), w.gate.keys
	var err error
	switch pick(rt, "change", "disable", "enable", "revoke", "narrow", "expire", "delegate") {
	case "disable":
		_, err = keys.Disable(ctx, k.id, w.now)
		k.disabled = true
	case "enable":
		_, err = keys.Enable(ctx, k.id, w.now)
		k.disabled = false
	case "revoke":
		_, err = keys.Revoke(ctx, k.id, w.now)
		k.revoked = true
	case "narrow":
		k.permissions = pick(rt, "permissions", permissionSets()...)
		_, err = keys.UpdateKey(ctx, k.id, keystore.KeyChange{Permissions: new(slices.Clone(k.permissions))}, w.now)
	case "expire":
		k.expires = w.now.Add(pick(rt, "in", time.Second, time.Minute))
		_, err = keys.UpdateKey(ctx, k.id, keystore.KeyChange{ExpiresAt: new(k.expires)}, w.now)
	case "delegate":
		k.alone = rapid.Bool().Draw(rt, "alone")
		delegation := keystore.DelegationAny
		if k.alone {
			delegation = keystore.DelegationNone
		}
		_, err = keys.UpdateKey(ctx, k.id, keystore.KeyChange{OnBehalfOf: new(delegation)}, w.now)
	}
	w.must(err)
}

// mintToken mints a token of ours, some of them for others, or of what they should not be.
func (w *tokenWorld) mintToken(rt *rapid.T) {
	k := pick(rt, "key", w.keys...)
	g := token.Grant{
		Tenant: k.tenant, Organization: k.tenant == "globex", Environment: k.environment, KeyID: k.id, Subject: pick(rt, "subject", "ada", "bob"),
		Audience: pick(rt, "audience", api, api, api, api, api, "https://website.example"), Permissions: pick(rt, "permissions", permissionSets()...),
		ExpiresAt: w.now.Add(pick(rt, "life", time.Minute, time.Hour)),
	}
	if w.profile() == "mlm" {
		g.Provider, g.ExternalID, g.Session = "my-app", g.Subject+"@home", pick(rt, "session", "session-1", "session-2")
	}
	switch pick(rt, "oddity", "none", "none", "none", "none", "tenant", "environment", "key", "no key") {
	case "tenant":
		g.Tenant = pick(rt, "tenant", "acme", "globex")
	case "environment":
		g.Environment = pick(rt, "environment", "LIVE", "TEST")
	case "key":
		g.KeyID, k = "nobodys-key", nil
	case "no key":
		if w.profile() == "default" {
			g.KeyID, k = "", nil
		}
	}
	text, g, err := w.authority.Mint(g, w.now)
	w.must(err)
	t := &knownToken{Grant: g, text: text, key: k}
	if rapid.IntRange(0, 7).Draw(rt, "broken") == 7 {
		t.text, t.broken = text[:len(text)-8]+strings.Repeat("A", 8), true
	}
	w.tokens = append(w.tokens, t)
}

// signToken signs a token as the issuer does.
func (w *tokenWorld) signToken(rt *rapid.T) {
	g := token.Grant{
		Tenant: "acme", Environment: "LIVE", Subject: pick(rt, "subject", "ada", "bob"), Audience: pick(rt, "audience", api, api, api, api, "https://other.example"),
		Permissions: pick(rt, "permissions", permissionSets()...), IssuedAt: w.now, ExpiresAt: w.now.Add(pick(rt, "life", time.Minute, time.Hour)),
	}
	payload := w.idp.claims(w.t, map[string]any{
		"sub": g.Subject, "aud": g.Audience, "iat": g.IssuedAt.Unix(), "exp": g.ExpiresAt.Unix(), "scope": strings.Join(g.Permissions, " "),
		"jti": fmt.Sprint("t", len(w.tokens)),
	})
	w.tokens = append(w.tokens, &knownToken{Grant: g, text: w.signer.Sign(w.t, nil, payload), issuer: true, keySet: w.keySet})
}

func (w *tokenWorld) revokeToken(rt *rapid.T) {
	if len(w.tokens) == 0 {
		return
	}
	t := pick(rt, "token", w.tokens...)
	if t.issuer {
		return
	}
	var err error
	switch what := pick(rt, "what", "token", "session", "user"); {
	case what == "user":
		_, err = w.authority.RevokeUser(w.t.Context(), t.Tenant, t.Environment, t.Subject, w.now)
		name := t.Tenant + " " + t.Environment + " " + t.Subject
		if w.now.After(w.signedOut[name]) {
			w.signedOut[name] = w.now
		}
	case what == "session" && t.Session != "":
		_, err = w.authority.RevokeSession(w.t.Context(), t.Session, w.now)
		w.revoked[t.Session] = true
	default:
		err = w.authority.RevokeToken(w.t.Context(), token.Revocation{ID: t.ID}, w.now)
		w.revoked[t.ID] = true
	}
	w.must(err)
}

func (w *tokenWorld) changeUser(rt *rapid.T) {
	user, inactive := pick(rt, "user", "ada", "bob"), rapid.Bool().Draw(rt, "inactive")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.oracle.inactive[user] = inactive
}

func (w *tokenWorld) changeTenant(rt *rapid.T) {
	tenant := pick(rt, "tenant", "acme", "globex")
	change := w.gate.keys.SuspendTenant
	if w.suspended[tenant] = rapid.Bool().Draw(rt, "suspended"); !w.suspended[tenant] {
		change = w.gate.keys.ResumeTenant
	}
	_, err := change(w.t.Context(), tenant, w.now)
	w.must(err)
}

// rotate changes keys: ours, which then overlap, the issuer's, or whether anybody can know those.
func (w *tokenWorld) rotate(rt *rapid.T) {
	switch pick(rt, "whose", "ours", "the issuer's", "the issuer's are gone", "the issuer's are back", "the issuer's are back") {
	case "ours":
		_, err := w.authority.Rotate(w.t.Context(), w.now)
		w.must(err)
	case "the issuer's":
		w.publish()
	case "the issuer's are gone":
		w.gone = true
	default:
		w.gone = false
	}
	w.idp.gone.Store(w.gone)
}

func (w *tokenWorld) reload(rt *rapid.T) {
	auth := []extauthz.Auth{extauthz.AuthKey, extauthz.AuthToken, extauthz.AuthKeyOrToken, extauthz.AuthKeyOrToken}
	credentials := []extauthz.Credentials{extauthz.CredentialsStrip, extauthz.CredentialsKeep}
	if w.profile() == "mlm" {
		auth = append(auth, extauthz.AuthKeyAndToken, extauthz.AuthKeyAndToken)
	}
	if w.profile() != "default" {
		credentials = append(credentials, extauthz.CredentialsIdentityJWT)
	}
	p := extauthz.PolicySpec{
		Auth: pick(rt, "auth", auth...), Credentials: pick(rt, "credentials", credentials...), Permissions: pick(rt, "permissions", permissionSets()...),
		EndUser:      pick(rt, "end user", extauthz.EndUserOptional, extauthz.EndUserOptional, extauthz.EndUserRequired, extauthz.EndUserForbidden),
		Environments: pick(rt, "environments", nil, nil, []string{"LIVE"}),
	}
	own := w.o.Own
	issuers := w.o.Issuers
	if rapid.IntRange(0, 3).Draw(rt, "tokens too") == 3 {
		own = pick(rt, "own", extauthz.OwnTokens{Issuer: api, Audiences: []string{api}}, extauthz.OwnTokens{Issuer: api, AnyAudience: true}, extauthz.OwnTokens{})
		spec := w.idp.spec()
		spec.MaxLifetime = pick(rt, "longest", 24*time.Hour, 30*time.Minute)
		w.configs++
		issuers = pick(rt, "issuers", []extauthz.IssuerSpec{spec}, []extauthz.IssuerSpec{spec}, nil)
	}
	w.configure(func(o *extauthz.Options) { o.Default, o.Own, o.Issuers = p, own, issuers })
}

// turnClock goes to where something begins or ends, or just beside it, or anywhere, back too.
func (w *tokenWorld) turnClock(rt *rapid.T) {
	at := map[time.Time]bool{w.now.Add(time.Duration(rapid.IntRange(-1800, 3600).Draw(rt, "seconds")) * time.Second): true}
	for _, t := range w.tokens {
		at[t.IssuedAt.Add(-clocks)], at[t.ExpiresAt.Add(w.leeway(t))] = true, true
	}
	for _, k := range w.keys {
		if !k.expires.IsZero() {
			at[k.expires] = true
		}
	}
	instants := slices.SortedFunc(maps.Keys(at), time.Time.Compare)
	w.now = pick(rt, "clock", instants...).Add(pick(rt, "beside", -time.Second, 0, time.Second))
	if early, late := noon().Add(-30*time.Minute), noon().Add(6*time.Hour); w.now.Before(early) || w.now.After(late) {
		w.now = noon()
	}
}
