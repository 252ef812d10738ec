package extauthz

import "github.com/postern-auth/postern/keystore"

// Decision is the answer to one Check, made by [Authorizer.Authorize] and by nobody else. It never changes, and its zero
// value denies.
//
// It aliases the message of its [Request] and lives as long as that.
type Decision struct {
	reason Reason
	policy *policy        // that was chosen; nil before one is
	key    *preparedKey   // that was proven, or what a proven token leaves of the key behind it; nil before it is
	token  *verified      // that was proven; nil for a key
	beside *preparedKey   // the key that was proven beside a token; nil elsewhere
	match  keystore.Match // of the key whose use is counted
	cause  error          // of a fault of ours, or what is wrong with a token

	claimed string // the text of a key, proven or not: never shown

	// What this request adds to the prepared pieces.
	endUser  string   // verified; "" when the request is the tenant's own
	identity string   // of owner and end user in one, where the profile sends it
	extra    []string // request headers to remove: received spellings of managed names and credentials
	bearer   string   // a token for the upstream, as the value of authorization; "": there is none
	spoofed  bool     // the client sent a managed header
}

// Allowed reports whether the request may pass.
func (d *Decision) Allowed() bool { return d.reason.Class() == ClassAllowed }

// Reason returns why the decision is what it is.
func (d *Decision) Reason() Reason { return d.reason }

// Cause returns what went wrong where the fault is ours, or what is wrong with a token, for the log alone; usually nil.
func (d *Decision) Cause() error { return d.cause }

// Policy returns the name of the policy that was applied, or "" where none was chosen.
func (d *Decision) Policy() string {
	if d.policy == nil {
		return ""
	}
	return d.policy.name
}

// Tenant returns the id of the proven key's tenant, or "".
func (d *Decision) Tenant() string {
	if d.key == nil {
		return ""
	}
	return d.key.tenant
}

// Environment returns the proven key's environment, or "".
func (d *Decision) Environment() string {
	if d.key == nil {
		return ""
	}
	return d.key.environment
}

// KeyID returns the id of the proven key, or "".
func (d *Decision) KeyID() string {
	if d.key == nil {
		return ""
	}
	return d.key.id
}

// LookupID returns the lookup id that a key claims which was not proven good: that of the secret, if the reason says that there
// is one. It is "" for text that is not a key of ours, and for keys that are named by [Decision.KeyID]. It comes from the text,
// so that finding it takes as long for one that was revoked as for one that never was (R-RESP-7).
func (d *Decision) LookupID() string {
	if d.key != nil || d.claimed == "" {
		return ""
	}
	c, _ := keystore.Parse(d.claimed)
	return c.ID
}

// Issuer returns iss of the proven token, or "".
func (d *Decision) Issuer() string {
	if d.token == nil {
		return ""
	}
	return d.token.by.rules.Issuer
}

// EndUser returns the verified end user that the request acts for, or "".
func (d *Decision) EndUser() string { return d.endUser }

// nameValue is a header, or a piece of metadata. A header's name is in lower case.
type nameValue struct{ name, value string }

// pieces is a part of many replies that is known before any request comes: what a key, a policy or a profile gives to
// each of them. encode turns it into bytes of the reply, once, and these never change.
//
// An allow is the union of: the key's pieces, or the profile's where there is no key; the pieces of the end user's
// absence, or the end user's own headers; the policy's; and the decision's extra removals.
type pieces struct {
	set      []nameValue // request headers to set
	remove   []string    // request headers to remove
	respond  []nameValue // response headers, on whatever the client gets
	metadata []nameValue // strings for access logs
}
