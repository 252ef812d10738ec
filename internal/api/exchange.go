package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/token"
)

// maxURI is the longest audience, in characters.
const maxURI = 2048

// The lives of tokens that mka1 makes, in seconds.
const (
	mka1Least   = 300
	mka1Most    = 30 * 24 * 3600
	mka1Default = 3600
)

// exchangeToken gives a key's caller a token for one end user and one audience (mka1).
func (c *call) exchangeToken() (Reply, error) {
	f, err := readFields(c.body)
	if err != nil {
		return Reply{}, err
	}
	g := token.Grant{
		Audience: f.text("audience", rule{func(s string) bool { return isAbsoluteURI(s, maxURI) }, "must be an absolute URI of at most 2048 characters"}),
		Subject:  f.text("externalUserId", rule{isEndUser, "must be 1 to 150 printable ASCII characters, not *, without a space at either end"}),
	}
	life := time.Duration(f.whole("expiresIn", mka1Least, mka1Most, mka1Default)) * time.Second
	permissions, given := f.texts("permissions", "must be an array of strings")
	if !given {
		permissions = c.caller.Permissions
	}
	switch err := f.err(); {
	case err != nil:
		return Reply{}, err
	case c.caller.EndUser != "" && c.caller.EndUser != g.Subject:
		return Reply{}, invalid("externalUserId", "must equal X-On-Behalf-Of")
	case g.Subject == c.caller.Tenant:
		return Reply{}, invalid("externalUserId", "must not be the id of the account")
	case !c.caller.Delegates, !within(permissions, c.caller.Permissions):
		return Reply{}, c.refused(ClassForbidden)
	}
	g.Permissions = permissions
	text, _, err := c.mint(g, life)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Status: http.StatusOK, Header: []Field{{"Content-Type", typeJSON}}, Body: append(append([]byte(`{"token":"`), text...), `"}`...)}, nil
}

// mint makes a token of the caller's: no permission that he lacks, no later end than his.
func (c *call) mint(g token.Grant, life time.Duration) (string, token.Grant, error) {
	who := c.caller
	g.Tenant, g.Organization, g.Environment, g.KeyID = who.Tenant, who.Organization, who.Environment, who.KeyID
	g.Permissions = slices.Compact(slices.Sorted(slices.Values(g.Permissions)))
	g.NotAfter = earlier(g.NotAfter, earlier(who.ExpiresAt, who.KeyExpiresAt))
	g.ExpiresAt = c.now.Add(life)
	text, g, err := c.Tokens.Mint(g, c.now)
	if errors.Is(err, token.ErrExpired) { // within this second
		return "", g, c.refused(ClassRefused)
	}
	return text, g, err
}

// earlier is the first of two times; a zero one never comes.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// isEndUser reports whether s may be the end user of a token. What no header could say is allowed here.
func isEndUser(s string) bool {
	return printable(s, 1, 150) && s != "*" && strings.TrimSpace(s) == s
}

// within reports whether all of some are among all, which are sorted.
func within(some, all []string) bool {
	for _, permission := range some {
		if _, held := slices.BinarySearch(all, permission); !held {
			return false
		}
	}
	return true
}
