package keystore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What a key or tenant may hold. What is written here always fits into a header value (R-RESP-3) where it is put into one.
const (
	maxIDLength          = 64
	maxNameLength        = 128 // of a key, in characters
	maxNameBytes         = 255 // of a key: its length is stored as one byte
	maxTenantNameLength  = 128 // in characters
	maxDescriptionLength = 255 // in characters
	maxStartLength       = 38  // the longest prefix, and half an id
	maxPermissions       = 64
	maxPermissionsLength = 2048 // joined by commas
	maxWordLength        = 64   // half a permission
	maxMetadataLength    = 4096
	maxCIDRs             = 64
	maxRateWindow        = 2678400000 * time.Millisecond
	maxRate              = 1_000_000_000
)

// KeySpec says what key to make.
type KeySpec struct {
	Tenant      string          // id or, where names are unique, name
	Environment string          // may be empty where there is one
	Name        string          // up to 128 printable characters, of 255 bytes in all
	Description string          // up to 255 printable characters
	Permissions []string        // in any order; nil: the tenant's default permissions
	OnBehalfOf  Delegation      // empty: any
	ExpiresAt   time.Time       // in the future; zero: never
	CIDRs       []netip.Prefix  // up to 64, without host bits
	Metadata    json.RawMessage // one JSON object of up to 4 KiB, or nil

	// Stored and given back, not enforced here.
	Remaining *int64
	Limits    []Limit // one for each window at most
	Refill    *Refill
	RateLimit *RateLimit
}

// key is the part of a new Key that spec decides, checked and in the form in which it is stored.
func (s *Store) key(spec *KeySpec, now time.Time) (Key, error) {
	k := Key{
		Name: spec.Name, Description: spec.Description, OnBehalfOf: spec.OnBehalfOf, CIDRs: slices.Clone(spec.CIDRs),
		Remaining: spec.Remaining, Limits: sortLimits(spec.Limits), Refill: spec.Refill, RateLimit: spec.RateLimit,
		CreatedAt: now, UpdatedAt: now,
	}
	if k.OnBehalfOf == "" {
		k.OnBehalfOf = DelegationAny
	}
	e, err := s.environment(spec.Environment)
	if err != nil {
		return Key{}, err
	}
	k.Environment = e.Name
	if k.Permissions, err = checkPermissions("permissions", spec.Permissions); err != nil {
		return Key{}, err
	}
	if k.Metadata, err = checkMetadata(spec.Metadata); err != nil {
		return Key{}, err
	}
	for _, err := range []error{
		checkName(spec.Name),
		checkText("description", spec.Description, maxDescriptionLength),
		checkDelegation(k.OnBehalfOf),
		checkTime("expires_at", spec.ExpiresAt),
		checkCIDRs(spec.CIDRs),
		checkQuota(spec),
	} {
		if err != nil {
			return Key{}, err
		}
	}
	return k, nil
}

// checkPermissions returns them sorted and each once.
func checkPermissions(field string, given []string) ([]string, error) {
	all := slices.Compact(slices.Sorted(slices.Values(given)))
	if len(all) > maxPermissions {
		return nil, &InvalidError{field, fmt.Sprintf("are %d, and %d are possible", len(all), maxPermissions), ""}
	}
	for _, p := range all {
		resource, action, _ := strings.Cut(p, ":")
		if !isWord(resource) || !isWord(action) {
			return nil, &InvalidError{
				field, fmt.Sprintf("%q is not resource:action", p),
				fmt.Sprintf("each half has 1 to %d letters, digits, '_', '.' or '-'; there are no wildcards", maxWordLength),
			}
		}
	}
	if n := len(strings.Join(all, ",")); n > maxPermissionsLength {
		return nil, &InvalidError{field, fmt.Sprintf("have %d bytes when joined by commas, and %d are possible", n, maxPermissionsLength), ""}
	}
	return all, nil
}

// isWord says whether s is half a permission: ^[A-Za-z0-9_.-]{1,64}$.
func isWord(s string) bool {
	return 1 <= len(s) && len(s) <= maxWordLength && wordCharacters().hold(s)
}

// checkName takes what can be the name of a key.
func checkName(name string) error {
	if n := len(name); n > maxNameBytes && utf8.RuneCountInString(name) <= maxNameLength {
		return &InvalidError{"name", fmt.Sprintf("has %d bytes, and %d are possible", n, maxNameBytes), ""}
	}
	return checkText("name", name, maxNameLength)
}

// checkText takes up to limit printable characters.
func checkText(field, text string, limit int) error {
	if n := utf8.RuneCountInString(text); n > limit {
		return &InvalidError{field, fmt.Sprintf("has %d characters, and %d are possible", n, limit), ""}
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return &InvalidError{field, "holds a character that cannot be printed", "write it in UTF-8, on one line"}
	}
	return nil
}

// checkMetadata returns it in its shortest form; nil for none.
func checkMetadata(m json.RawMessage) (json.RawMessage, error) {
	if len(m) == 0 {
		return nil, nil
	}
	var short bytes.Buffer
	if err := json.Compact(&short, m); err != nil || short.Bytes()[0] != '{' || !utf8.Valid(m) {
		return nil, &InvalidError{"metadata", "is not a JSON object", `write it like {"team":"blue"}`}
	}
	if short.Len() > maxMetadataLength {
		return nil, &InvalidError{"metadata", fmt.Sprintf("has %d bytes, and %d are possible", short.Len(), maxMetadataLength), ""}
	}
	return short.Bytes(), nil
}

func checkDelegation(d Delegation) error {
	if !slices.Contains(delegations(), d) {
		return &InvalidError{"on_behalf_of", fmt.Sprintf("%q is not known", d), "choose any or none"}
	}
	return nil
}

// checkTime takes no time, and what RFC 3339 can express of those that are stored.
func checkTime(field string, t time.Time) error {
	if !t.IsZero() && (t.UnixMilli() <= 0 || t.UTC().Year() > 9999) {
		return &InvalidError{field, "is out of range", "choose a year from 1970 to 9999"}
	}
	return nil
}

// isShowable says whether s may be shown as the start of a key: nothing, or a header value (R-RESP-3) of some length.
func isShowable(s string) bool {
	return len(s) <= maxStartLength && s == strings.TrimSpace(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

func checkCIDRs(ranges []netip.Prefix) error {
	if len(ranges) > maxCIDRs {
		return &InvalidError{"cidrs", fmt.Sprintf("are %d, and %d are possible", len(ranges), maxCIDRs), ""}
	}
	for _, p := range ranges {
		switch {
		case !p.IsValid():
			return &InvalidError{"cidrs", "hold something that is no address range", "write it like 10.0.0.0/8"}
		case p.Addr().Is4In6():
			return &InvalidError{"cidrs", fmt.Sprintf("%q is IPv4 inside IPv6", p), "write it as IPv4, like 10.0.0.0/8"}
		case p != p.Masked():
			return &InvalidError{"cidrs", fmt.Sprintf("%q has bits behind its mask", p), fmt.Sprintf("write %s, or the single address with its full length", p.Masked())}
		}
	}
	return nil
}

// checkQuota checks what is stored for limits.
func checkQuota(spec *KeySpec) error {
	if spec.Remaining != nil && *spec.Remaining < 0 {
		return &InvalidError{"remaining", "is less than 0", ""}
	}
	for i, l := range spec.Limits {
		if l.Limit < 1 || !slices.Contains(windows(), l.Window) {
			return &InvalidError{"limits", fmt.Sprintf("%d/%s is not a limit", l.Limit, l.Window), "write it like 10/second; there are second, minute, hour and day"}
		}
		if slices.ContainsFunc(spec.Limits[:i], func(o Limit) bool { return o.Window == l.Window }) {
			return &InvalidError{"limits", fmt.Sprintf("hold the window %s twice", l.Window), ""}
		}
	}
	if f := spec.Refill; f != nil && (f.Amount < 1 || !isWholeMillis(f.Interval)) {
		return &InvalidError{"refill", "needs an amount of at least 1 and an interval of at least 1 ms", ""}
	}
	if f := spec.Refill; f != nil {
		if err := checkTime("refill.last_at", f.LastAt); err != nil {
			return err
		}
	}
	if r := spec.RateLimit; r != nil && (r.Window < time.Second || r.Window > maxRateWindow || !isWholeMillis(r.Window) || r.Max < 1 || r.Max > maxRate) {
		return &InvalidError{"rate_limit", "needs a window of 1000 to 2678400000 ms and a maximum of 1 to 1000000000", ""}
	}
	return nil
}

func isWholeMillis(d time.Duration) bool { return d >= time.Millisecond && d%time.Millisecond == 0 }

// sortLimits returns them from the narrowest window to the widest.
func sortLimits(limits []Limit) []Limit {
	return slices.SortedFunc(slices.Values(limits), func(a, b Limit) int {
		return int(symbol(windows(), a.Window)) - int(symbol(windows(), b.Window))
	})
}
