package jwks

import (
	"math"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/strictjson"
)

// Claims is what a verified token says. The texts alias the token's decoded payload; copy what must outlive many tokens.
type Claims struct {
	Issuer    string    // iss
	Subject   string    // sub; empty when there is none, or it is no text
	ID        string    // jti; empty when there is none, or it is no text
	Audience  []string  // aud, of which one text is a list of one
	ExpiresAt time.Time // without leeway; up to the year 9999, which nanoseconds do not reach
	NotBefore time.Time // zero: absent
	IssuedAt  time.Time // zero: absent

	members strictjson.Object
	payload string
}

// Has says whether there is a claim of that exact top-level name, whatever its value.
func (c *Claims) Has(name string) bool {
	_, ok := c.members.Find(name)
	return ok
}

// Text returns the claim of that exact top-level name, if it is a text. A dot in a name is a dot.
func (c *Claims) Text(name string) (string, bool) {
	m, _ := c.members.Find(name)
	return m.Text()
}

// Texts returns the claim of that exact top-level name, if it is an array of texts.
func (c *Claims) Texts(name string) ([]string, bool) {
	m, _ := c.members.Find(name)
	return m.Texts()
}

// Words returns the claim of that exact top-level name, if it is an array of texts, or one text, split at spaces as scope is
// (RFC 6749, section 3.3).
func (c *Claims) Words(name string) ([]string, bool) {
	m, _ := c.members.Find(name)
	if text, ok := m.Text(); ok {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), true
	}
	return m.Texts()
}

// JSON returns all claims as they were signed.
func (c *Claims) JSON() string { return c.payload }

// claims gathers what the token says, before anything of it is judged. What has the wrong JSON type stays zero here, and fails
// the step of Rules that reads it.
func (t *Token) claims() Claims {
	c := Claims{members: t.members, payload: t.payload}
	for _, m := range t.members {
		switch m.Name {
		case "iss":
			c.Issuer, _ = m.Text()
		case "sub":
			c.Subject, _ = m.Text()
		case "jti":
			c.ID, _ = m.Text()
		case "aud":
			if one, ok := m.Text(); ok {
				c.Audience = []string{one}
			} else {
				c.Audience, _ = m.Texts()
			}
		}
	}
	return c
}

// date returns the claim of that name as a NumericDate (RFC 7519, section 2): seconds since 1970, perhaps with a fraction.
// The time is zero when there is none; fits is false when it is no number, or lies beyond the year 9999 (RFC 3339).
func (c *Claims) date(name string) (at time.Time, fits bool) {
	const lastSecond = 253402300799 // 9999-12-31T23:59:59Z
	m, ok := c.members.Find(name)
	if !ok {
		return time.Time{}, true
	}
	f, fits := m.Number()
	if !fits || f < -lastSecond || f > lastSecond {
		return time.Time{}, false
	}
	seconds, fraction := math.Modf(f)
	return time.Unix(int64(seconds), int64(fraction*1e9)).UTC(), true
}
