package federation

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postern-auth/postern/internal/fields"
)

// What a user and a link may hold.
const (
	maxEmail          = 254 // bytes
	maxEmailLocal     = 64  // bytes before the @
	maxExternalID     = 255
	maxIdempotencyKey = 100
	maxLinks          = 100 // of a user
)

// sandbox is the environment whose users are test users.
const sandbox = "SANDBOX"

// User is one of a tenant's users, in one environment.
type User struct {
	ID             string // UUID, lower case; for ever
	Owner          Owner
	Email          string // unique among the owner's users, whatever the case of its letters
	DisplayName    string // may be empty
	MembershipTier Tier
	IsActive       bool
	IsTestUser     bool // made in SANDBOX
	Links          []Link
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Link is what a provider calls a user.
type Link struct {
	Provider   string // its id; there may be no such provider any more
	ExternalID string
}

// userRecord is a user as the file holds it, without links.
type userRecord struct {
	User
	number  uint32 // its place among all users, for ever
	version uint32
}

func (u *userRecord) key() []byte { return userKey(u.Owner, u.number) }

// userKey has an owner's users in the order in which they were made.
func userKey(o Owner, number uint32) []byte { return fields.AppendUint32(o.prefix(), number) }

func appendUser(b []byte, u userRecord) []byte {
	b = fields.AppendUint32(b, u.number, u.version)
	b = fields.AppendText(b, u.Owner.Tenant, u.Owner.Environment)
	b = fields.AppendBool(b, u.IsActive, u.IsTestUser)
	b = fields.AppendText(b, u.ID, u.Email, string(u.MembershipTier))
	b = fields.AppendLongText(b, u.DisplayName)
	return fields.AppendTime(b, u.CreatedAt, u.UpdatedAt)
}

func decodeUser(version uint8, b []byte) (userRecord, error) {
	r := fields.NewReader(b)
	u := userRecord{number: r.Uint32(), version: r.Uint32()}
	u.Owner, u.IsActive, u.IsTestUser = readOwner(&r), r.Bool(), r.Bool()
	u.ID, u.Email, u.MembershipTier = r.Text(), r.Text(), Tier(r.Text())
	u.DisplayName = r.LongText()
	u.CreatedAt, u.UpdatedAt = r.Time(), r.Time()
	if err := r.Done(version, codecVersion); err != nil {
		return userRecord{}, err
	}
	return u, nil
}

// UserSpec says what user to make.
type UserSpec struct {
	Email          string // as the package comment says
	DisplayName    string // up to 255 printable characters; may be empty
	MembershipTier Tier   // empty: ORDINARY
	IsInactive     bool

	// IdempotencyKey, of up to 100 printable characters, has a second request with the same one within 24 h make nothing. Empty: none.
	IdempotencyKey string
}

func (spec *UserSpec) checkInto(p problems) {
	p.add("email", checkEmail(spec.Email))
	if spec.DisplayName != "" {
		p.add("display_name", checkText(spec.DisplayName, maxDisplayName))
	}
	if spec.MembershipTier != "" {
		p.add("membership_tier", checkTier(spec.MembershipTier))
	}
	if spec.IdempotencyKey != "" {
		p.add("idempotency_key", checkText(spec.IdempotencyKey, maxIdempotencyKey))
	}
}

// UserChange says what to change of a user: what is nil stays as it is. The rules are those of [UserSpec].
type UserChange struct {
	Email          *string
	DisplayName    *string // empty: none
	MembershipTier *Tier
	IsActive       *bool
}

func (c *UserChange) checkInto(p problems) {
	if c.Email != nil {
		p.add("email", checkEmail(*c.Email))
	}
	if c.DisplayName != nil && *c.DisplayName != "" {
		p.add("display_name", checkText(*c.DisplayName, maxDisplayName))
	}
	if c.MembershipTier != nil {
		p.add("membership_tier", checkTier(*c.MembershipTier))
	}
}

// apply makes u what c says, and returns the JSON names of what that changed.
func (c *UserChange) apply(u *User) (changed []string) {
	if c.Email != nil && *c.Email != u.Email {
		u.Email = *c.Email
		changed = append(changed, "email")
	}
	if c.DisplayName != nil && *c.DisplayName != u.DisplayName {
		u.DisplayName = *c.DisplayName
		changed = append(changed, "display_name")
	}
	if c.MembershipTier != nil && *c.MembershipTier != u.MembershipTier {
		u.MembershipTier = *c.MembershipTier
		changed = append(changed, "membership_tier")
	}
	if c.IsActive != nil && *c.IsActive != u.IsActive {
		u.IsActive = *c.IsActive
		changed = append(changed, "is_active")
	}
	return changed
}

// checkEmail says what keeps s from being an address as the package comment has it.
func checkEmail(s string) string {
	const problem = "must be an e-mail address"
	if s == "" {
		return required
	}
	local, host, _ := strings.Cut(s, "@")
	if len(s) > maxEmail || !isGraphic(s) || local == "" || len(local) > maxEmailLocal || !isHostName(host) {
		return problem
	}
	if strings.ContainsAny(local, `"(),:;<>[\]`) || strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return problem
	}
	return ""
}

// isHostName reports whether s is labels of letters, digits and inner hyphens, with dots in between.
func isHostName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.Trim(label, letters+digits+"-") != "" {
			return false
		}
	}
	return true
}

// foldEmail is the form by which addresses are compared. They are ASCII.
func foldEmail(s string) string { return strings.ToLower(s) }

// checkExternalID says what keeps s from being what a provider calls a user: 1 to 255 printable ASCII characters.
func checkExternalID(s string) string {
	switch {
	case s == "":
		return required
	case len(s) > maxExternalID || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Sprintf("must be 1 to %d printable ASCII characters", maxExternalID)
	}
	return ""
}

// checkProviderRef says what keeps s from naming a provider, whether there is one or not.
func checkProviderRef(s string) string {
	switch {
	case s == "":
		return required
	case utf8.RuneCountInString(s) > maxProviderID:
		return fmt.Sprintf("must be 1 to %d characters", maxProviderID)
	}
	return ""
}

// canonicalUUID returns s in lower case, if it is a UUID.
func canonicalUUID(s string) (string, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return "", false
	}
	hexDigits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.DecodeString(hexDigits); err != nil {
		return "", false
	}
	return strings.ToLower(s), true
}

// newUUID draws a random one (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
