package federation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Members are those of a JSON object, by their names, each as it was written. Who read them has refused names that stood there twice, and text that is not UTF-8.
type Members map[string]json.RawMessage

// ProviderMembers are the names that [ReadProvider] knows.
func ProviderMembers() []string {
	return []string{
		"provider_id", "display_name", "issuer", "issuer_url", "jwks_uri", "allowed_audiences", "auto_create_users", "default_membership_tier",
		"user_id_claim", "email_claim", "name_claim", "is_active", "enabled",
	}
}

// ReadProvider reads what a provider shall be. A member that is null is an absent one; others than [ProviderMembers] are not looked at.
// Error: an [*InvalidError] with all that is wrong.
func ReadProvider(m Members) (ProviderSpec, error) {
	r := memberReader{members: m, problems: problems{}}
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
	if r.present("allowed_audiences") && json.Unmarshal(m["allowed_audiences"], &spec.AllowedAudiences) != nil {
		r.add("allowed_audiences", "must be a list of texts")
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
func ReadUser(m Members) (UserSpec, error) {
	r := memberReader{members: m, problems: problems{}}
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
func ReadUserChange(m Members) (UserChange, error) {
	r := memberReader{members: m, problems: problems{}}
	change := UserChange{Email: r.optionalText("email"), DisplayName: r.optionalText("display_name"), IsActive: r.optionalBool("is_active")}
	if raw, ok := m["display_name"]; ok && string(raw) == "null" {
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
	members Members
	problems
}

func (r *memberReader) present(name string) bool {
	raw, ok := r.members[name]
	return ok && string(raw) != "null"
}

func (r *memberReader) optionalText(name string) *string {
	if !r.present(name) {
		return nil
	}
	var s string
	if json.Unmarshal(r.members[name], &s) != nil {
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
	if !r.present(name) {
		return nil
	}
	var b bool
	if json.Unmarshal(r.members[name], &b) != nil {
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

// Unknown are the names in m, in order, that are not among known.
func (m Members) Unknown(known []string) []string {
	var unknown []string
	for name := range m {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.SortFunc(unknown, strings.Compare)
	return unknown
}
