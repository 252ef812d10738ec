package federation

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postern-auth/postern/internal/fields"
)

// What a provider may hold, in characters.
const (
	maxProviderID   = 100
	maxDisplayName  = 255
	maxURL          = 2048
	maxAudiences    = 50
	maxAudience     = 2048
	maxClaimName    = 100
	maxProviders    = 100  // of a tenant in an environment
	maxProviderRows = 1000 // the same, with those that were deleted
)

// Tier is the membership of a user.
type Tier string

// The tiers. Ordinary is the default.
const (
	TierOrdinary Tier = "ORDINARY"
	TierSenior   Tier = "SENIOR"
	TierManager  Tier = "MANAGER"
	TierDirector Tier = "DIRECTOR"
)

func tiers() []Tier { return []Tier{TierOrdinary, TierSenior, TierManager, TierDirector} }

// Provider is an identity provider whose tokens are exchanged.
type Provider struct {
	ID                    string // [A-Za-z0-9._:-]{1,100}, neither "." nor ".."; for ever
	DisplayName           string
	Issuer                string // https URL; what the claim iss must be, byte for byte
	JWKSURI               string // https URL; where its keys are
	AllowedAudiences      []string
	AutoCreateUsers       bool
	DefaultMembershipTier Tier   // of users that are made by an exchange
	UserIDClaim           string // top-level claims, by their exact names
	EmailClaim            string
	NameClaim             string
	IsActive              bool
	CreatedAt             time.Time
	UpdatedAt             time.Time
}

// providerRecord is a provider as the file holds it. A deleted one stays, until there are too many: who it was tells a restore that it must stay so.
type providerRecord struct {
	Provider
	owner   Owner
	version uint32 // rises with each change, over a deletion too
	deleted bool
}

func (p *providerRecord) key() []byte { return p.owner.key(p.ID) }

func appendProvider(b []byte, p providerRecord) []byte {
	b = fields.AppendUint32(b, p.version)
	b = fields.AppendText(b, p.owner.Tenant, p.owner.Environment)
	b = fields.AppendBool(b, p.deleted, p.AutoCreateUsers, p.IsActive)
	b = fields.AppendText(b, p.ID, string(p.DefaultMembershipTier))
	b = fields.AppendLongText(b, p.DisplayName, p.Issuer, p.JWKSURI, p.UserIDClaim, p.EmailClaim, p.NameClaim)
	b = fields.AppendLongText(fields.AppendCount(b, len(p.AllowedAudiences)), p.AllowedAudiences...)
	return fields.AppendTime(b, p.CreatedAt, p.UpdatedAt)
}

func decodeProvider(version uint8, b []byte) (providerRecord, error) {
	r := fields.NewReader(b)
	p := providerRecord{version: r.Uint32(), owner: readOwner(&r), deleted: r.Bool()}
	p.AutoCreateUsers, p.IsActive = r.Bool(), r.Bool()
	p.ID, p.DefaultMembershipTier = r.Text(), Tier(r.Text())
	for _, s := range [...]*string{&p.DisplayName, &p.Issuer, &p.JWKSURI, &p.UserIDClaim, &p.EmailClaim, &p.NameClaim} {
		*s = r.LongText()
	}
	for range r.Byte() {
		p.AllowedAudiences = append(p.AllowedAudiences, r.LongText())
	}
	p.CreatedAt, p.UpdatedAt = r.Time(), r.Time()
	if err := r.Done(version, codecVersion); err != nil {
		return providerRecord{}, err
	}
	return p, nil
}

// ProviderSpec says what a provider shall be. What is nil stays as it is, or is the default where there is no such provider yet.
type ProviderSpec struct {
	ID               string
	DisplayName      string   // 1 to 255 printable characters
	Issuer           string   // https URL of up to 2,048 characters, without user and fragment
	JWKSURI          string   // likewise
	AllowedAudiences []string // 1 to 50, of 1 to 2,048 characters

	AutoCreateUsers       *bool   // default: true
	DefaultMembershipTier *Tier   // default: ORDINARY
	UserIDClaim           *string // 1 to 100 printable characters; default: sub
	EmailClaim            *string // default: email
	NameClaim             *string // default: name
	IsActive              *bool   // default: true
}

// checkInto finds all that is wrong with spec.
func (spec *ProviderSpec) checkInto(p problems) {
	p.add("provider_id", checkProviderID(spec.ID))
	p.add("display_name", checkText(spec.DisplayName, maxDisplayName))
	p.add("issuer", checkURL(spec.Issuer))
	p.add("jwks_uri", checkURL(spec.JWKSURI))
	p.add("allowed_audiences", checkAudiences(spec.AllowedAudiences))
	if t := spec.DefaultMembershipTier; t != nil {
		p.add("default_membership_tier", checkTier(*t))
	}
	for field, name := range map[string]*string{"user_id_claim": spec.UserIDClaim, "email_claim": spec.EmailClaim, "name_claim": spec.NameClaim} {
		if name != nil {
			p.add(field, checkText(*name, maxClaimName))
		}
	}
}

// apply makes p what spec says, and returns the JSON names of what that changed.
func (spec *ProviderSpec) apply(p *Provider) (changed []string) {
	set := func(field string, place, value *string) {
		if value != nil && *place != *value {
			*place = *value
			changed = append(changed, field)
		}
	}
	toggle := func(field string, place, value *bool) {
		if value != nil && *place != *value {
			*place = *value
			changed = append(changed, field)
		}
	}
	set("display_name", &p.DisplayName, &spec.DisplayName)
	set("issuer", &p.Issuer, &spec.Issuer)
	set("jwks_uri", &p.JWKSURI, &spec.JWKSURI)
	if !slices.Equal(p.AllowedAudiences, spec.AllowedAudiences) {
		p.AllowedAudiences = slices.Clone(spec.AllowedAudiences)
		changed = append(changed, "allowed_audiences")
	}
	toggle("auto_create_users", &p.AutoCreateUsers, spec.AutoCreateUsers)
	set("default_membership_tier", (*string)(&p.DefaultMembershipTier), (*string)(spec.DefaultMembershipTier))
	set("user_id_claim", &p.UserIDClaim, spec.UserIDClaim)
	set("email_claim", &p.EmailClaim, spec.EmailClaim)
	set("name_claim", &p.NameClaim, spec.NameClaim)
	toggle("is_active", &p.IsActive, spec.IsActive)
	return changed
}

// newProvider is one with nothing but defaults.
func newProvider(id string) Provider {
	return Provider{
		ID: id, AutoCreateUsers: true, DefaultMembershipTier: TierOrdinary,
		UserIDClaim: "sub", EmailClaim: "email", NameClaim: "name", IsActive: true,
	}
}

const (
	required = "is required"

	letters              = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits               = "0123456789"
	providerIDCharacters = letters + digits + "._:-"
)

func checkProviderID(id string) string {
	switch {
	case id == "":
		return required
	case len(id) > maxProviderID || strings.Trim(id, providerIDCharacters) != "":
		return fmt.Sprintf("must be 1 to %d characters of A-Z, a-z, 0-9, '.', '_', ':' and '-'", maxProviderID)
	case id == "." || id == "..":
		return "must not be a dot segment: no URL could name it"
	}
	return ""
}

func checkText(s string, most int) string {
	switch {
	case s == "":
		return required
	case utf8.RuneCountInString(s) > most || !isPrintable(s):
		return fmt.Sprintf("must be 1 to %d printable characters", most)
	}
	return ""
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// isGraphic reports whether s is of printable ASCII characters without space.
func isGraphic(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func checkURL(s string) string {
	if s == "" {
		return required
	}
	if len(s) > maxURL || !isGraphic(s) {
		return fmt.Sprintf("must be an https URL of at most %d ASCII characters", maxURL)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || !strings.HasPrefix(s, "https://") || u.Hostname() == "" || u.Opaque != "":
		return "must be an https URL"
	case u.User != nil || strings.Contains(s, "#"):
		return "must be an https URL without user and fragment"
	}
	return ""
}

func checkAudiences(all []string) string {
	if len(all) == 0 {
		return "must be a list of at least one audience"
	}
	if len(all) > maxAudiences {
		return fmt.Sprintf("must be a list of at most %d audiences", maxAudiences)
	}
	for _, a := range all {
		if a == "" || utf8.RuneCountInString(a) > maxAudience || !utf8.ValidString(a) {
			return fmt.Sprintf("must be a list of texts of 1 to %d characters", maxAudience)
		}
	}
	return ""
}

func checkTier(t Tier) string {
	if !slices.Contains(tiers(), t) {
		return "must be ORDINARY, SENIOR, MANAGER or DIRECTOR"
	}
	return ""
}

// errStands says that a record stands where another one should.
var errStands = errors.New("it stands in another one's place")
