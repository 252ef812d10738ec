package federation

import (
	"fmt"

	"github.com/postern-auth/postern/internal/strictjson"
)

// ProviderMembers are the names that [ReadProvider] knows.
func ProviderMembers() []string {
	return []string{
		"provider_id", "display_name", "issuer", "issuer_url", "jwks_uri", "allowed_audiences", "auto_create_users", "default_membership_tier",
		"user_id_claim", "email_claim", "name_claim", "is_active", "enabled",
	}
}

// ReadProvider reads what a provider shall be. A member that is null is an absent one; others than [ProviderMembers] are not looked at.
// Error: an [*InvalidError] with all that is wrong.
func ReadProvider(o strictjson.Object) (ProviderSpec, error) {
	r := memberReader{Object: o, problems: problems{}}
	spec := ProviderSpec{
		ID: r.text("provider_id"), DisplayName: r.text("display_name"), JWKSURI: r.text("jwks_uri"),
		AutoCreateUsers: r.optionalBool("auto_create_users"),
		UserIDClaim:     r.optionalText("user_id_claim"),
		EmailClaim:      r.optionalText("email_claim"),
		NameClaim:       r.optionalText("name_claim"),
	}
	if issuer := alias(&r, "issuer", "issuer_url", r.optionalText); issuer != nil {
		spec.Issuer = *issuer
	}
	spec.IsActive = alias(&r, "is_active", "enabled", r.optionalBool)
	if m, given := o.Given("allowed_audiences"); given {
		var ok bool
		if spec.AllowedAudiences, ok = m.Texts(); !ok {
			r.add("allowed_audiences", "must be a list of texts")
		}
	}
	if t := r.optionalText("default_membership_tier"); t != nil {
		spec.DefaultMembershipTier = (*Tier)(t)
	}
	spec.checkInto(r.problems)
	return spec, r.err()
}

// UserMembers are the names that [ReadUser] knows; [ReadUserChange] knows the same but idempotency_key.
func UserMembers() []string {
	return []string{"email", "display_name", "membership_tier", "is_active", "idempotency_key"}
}

// ReadUser reads what user to make, by the rules of [ReadProvider].
func ReadUser(o strictjson.Object) (UserSpec, error) {
	r := memberReader{Object: o, problems: problems{}}
	spec := UserSpec{
		Email: r.text("email"), DisplayName: r.text("display_name"), MembershipTier: Tier(r.text("membership_tier")),
		IdempotencyKey: r.text("idempotency_key"),
	}
	if active := r.optionalBool("is_active"); active != nil {
		spec.IsInactive = !*active
	}
	if r.present("membership_tier") && spec.MembershipTier == "" {
		r.add("membership_tier", checkTier(""))
	}
	if r.present("idempotency_key") && spec.IdempotencyKey == "" {
		r.add("idempotency_key", checkText("", maxIdempotencyKey))
	}
	spec.checkInto(r.problems)
	return spec, r.err()
}

// ReadUserChange reads what to change of a user, by the rules of [ReadProvider], but that a display_name that is null clears it.
func ReadUserChange(o strictjson.Object) (UserChange, error) {
	r := memberReader{Object: o, problems: problems{}}
	change := UserChange{Email: r.optionalText("email"), DisplayName: r.optionalText("display_name"), IsActive: r.optionalBool("is_active")}
	if m, _ := o.Find("display_name"); m.Kind == strictjson.KindNull {
		change.DisplayName = new(string)
	}
	if t := r.optionalText("membership_tier"); t != nil {
		change.MembershipTier = (*Tier)(t)
	}
	change.checkInto(r.problems)
	return change, r.err()
}

// memberReader reads members, and notes what is wrong with them.
type memberReader struct {
	strictjson.Object
	problems
}

func (r *memberReader) present(name string) bool {
	_, given := r.Given(name)
	return given
}

func (r *memberReader) optionalText(name string) *string {
	m, given := r.Given(name)
	if !given {
		return nil
	}
	s, ok := m.Text()
	if !ok {
		r.add(name, "must be a text")
		return nil
	}
	return &s
}

// text reads a member of which the empty text and none are the same.
func (r *memberReader) text(name string) string {
	if s := r.optionalText(name); s != nil {
		return *s
	}
	return ""
}

func (r *memberReader) optionalBool(name string) *bool {
	m, given := r.Given(name)
	if !given {
		return nil
	}
	b, ok := m.Bool()
	if !ok {
		r.add(name, "must be true or false")
		return nil
	}
	return &b
}

// alias reads a member that has two names.
func alias[T comparable](r *memberReader, name, other string, read func(string) *T) *T {
	a, b := read(name), read(other)
	if a != nil && b != nil && *a != *b {
		r.add(other, fmt.Sprintf("differs from %s, of which it is another name", name))
	}
	if _, refused := r.problems[other]; refused && a == nil {
		r.add(name, r.problems[other])
	}
	if a == nil {
		return b
	}
	return a
}
