package e2e

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
)

// R-EXCH-3, interface section 6: profile default trades a key for a token, which goes in the key's place until it is revoked.
func TestTokensOfTheDefaultProfile(t *testing.T) {
	t.Parallel()
	c := quickstart()
	g := open(t, c.example, withAPI(t), change{"", "public_url: https://app.example.com"})
	k := g.mint(t, "--permission", "note:create", "--permission", "note:read")
	const form = "Content-Type: application/x-www-form-urlencoded"
	trade := func(more url.Values, lines ...string) (status int, text string) {
		t.Helper()
		body := url.Values{
			"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token": {k.Key}, "subject_token_type": {"urn:postern:params:oauth:token-type:api-key"},
		}
		maps.Copy(body, more)
		r := g.front(t).post(t, "POST", "/oauth/token", body.Encode(), append(lines, form)...)
		var reply struct {
			Token string `json:"access_token"`
		}
		decode(t, string(r.Body), &reply)
		return r.Status, reply.Token
	}
	_, ofTenant := trade(nil)
	_, ofUser := trade(url.Values{"scope": {"note:read"}}, "X-On-Behalf-Of: user_1")
	_, elsewhere := trade(url.Values{"audience": {"https://elsewhere.example"}})
	if status, _ := trade(nil, c.credential(k.Key)); status != http.StatusBadRequest {
		t.Errorf("two credentials: %d", status)
	}
	if status, _ := trade(url.Values{"subject_token": {ofTenant}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}}); status != http.StatusBadRequest {
		t.Errorf("our own token as a subject: %d", status)
	}
	tenants, users := c.upstream(k, "note:create,note:read"), c.upstream(k, "note:read")
	users[obo], users["x-user-id"] = "user_1", "user_1"
	for _, d := range g.doors(t) {
		for _, line := range []string{"Authorization: Bearer " + ofTenant, "authorization: bearer  " + ofTenant} {
			arrives(t, tenants, d.allowed(t, c.shut, line, "X-User-Id: evil"))
		}
		arrives(t, users, d.allowed(t, c.shut, "Authorization: Bearer "+ofUser))
		arrives(t, users, d.allowed(t, c.shut, "Authorization: Bearer "+ofUser, "X-On-Behalf-Of: user_1"))
		c.forbidden.is(t, g.refused(t, d, c.shut, "Authorization: Bearer "+ofUser, "X-On-Behalf-Of: user_2"))
		c.forbidden.is(t, d.send(t, c.method, c.guarded, "Authorization: Bearer "+ofUser))
		c.refused.is(t, g.refused(t, d, c.shut, "X-API-Key: "+ofUser))
		c.refused.is(t, g.refused(t, d, c.shut, "Authorization: Bearer "+elsewhere))
		c.ambiguous.is(t, g.refused(t, d, c.shut, "Authorization: Bearer "+ofUser, "X-API-Key: "+k.Key))
	}
	revoke := url.Values{"token": {ofUser}}.Encode()
	if r := g.front(t).post(t, "POST", "/oauth/revoke", revoke, form, c.credential(k.Key)); r.Status != http.StatusOK {
		t.Errorf("revoke: %d %s", r.Status, r.Body)
	}
	for _, d := range g.doors(t) {
		r := g.refused(t, d, c.shut, "Authorization: Bearer "+ofUser)
		c.refused.is(t, r)
		g.because(t, "token_revoked", r)
		d.allowed(t, c.shut, "Authorization: Bearer "+ofTenant)
	}
	g.Run(t, "keys", "revoke", k.ID)
	c.refused.is(t, g.refused(t, g.front(t), c.shut, "Authorization: Bearer "+ofTenant))
}
