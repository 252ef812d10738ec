package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/admin"
)

type keysUpdateCmd struct {
	keyRef
	Name        *string   `placeholder:"NAME" help:"Name, for lists. Empty: none."`
	Description *string   `placeholder:"TEXT" help:"What the key is for. Empty: nothing."`
	Permission  []string  `sep:"none" placeholder:"R:A" help:"Permission, as resource:action. Repeatable: these instead of those that it has; --permission= leaves none."`
	ExpiresIn   *lifetime `placeholder:"720h" help:"Time until the key expires, or never. An expired key works again."`
	CIDR        []string  `name:"cidr" sep:"none" placeholder:"RANGE" help:"Address range that the key may be used from, like 10.0.0.0/8. Repeatable: these instead of those that it has; --cidr= lets it be used from anywhere."`
	Metadata    []edit    `sep:"none" placeholder:"K=V" help:"Text to keep with the key. Repeatable; other names stay. K= removes one, and --metadata= all."`
	OnBehalfOf  *string   `enum:"any,none" placeholder:"WHO" help:"End users that the key may act for by X-On-Behalf-Of: any or none."`
	Limit       []string  `hidden:"" sep:"none"`
	Remaining   *string   `hidden:""`
	Tenant      *string   `hidden:""`
	Env         *string   `hidden:""`
}

// Help is the detail of the command's help.
func (*keysUpdateCmd) Help() string {
	return `Changes what is named and nothing else. When it returns, no check that begins sees what was before. Tenant and environment are a key's for ever, and a revoked key stays as it is.

Example: 30 more days, from one network only.

    postern keys update 9sD3kQ0ZpT1x --expires-in 720h --cidr 10.0.0.0/8`
}

// Run changes a key.
func (k *keysUpdateCmd) Run(ctx context.Context, out *output) error {
	r, err := k.request(time.Now())
	if err != nil {
		return err
	}
	return k.change(ctx, out, func(c *admin.Client, ctx context.Context, id string) (admin.Key, error) {
		return c.UpdateKey(ctx, id, r)
	})
}

// request is what the flags ask for.
func (k *keysUpdateCmd) request(now time.Time) (r admin.KeyUpdate, err error) {
	const help = "postern keys update --help"
	switch {
	case len(k.Limit) > 0:
		return r, errUnbuiltLimits("--limit")
	case k.Remaining != nil:
		return r, errUnbuiltLimits("--remaining")
	case k.Tenant != nil:
		return r, misuse(errors.New("--tenant: a key keeps its tenant for ever"), "postern keys create --help")
	case k.Env != nil:
		return r, misuse(errors.New("--env: a key keeps its environment for ever"), "postern keys create --help")
	}
	r = admin.KeyUpdate{Name: k.Name, Description: k.Description, OnBehalfOf: k.OnBehalfOf}
	if r.Permissions, err = replacement("--permission", k.Permission); err != nil {
		return r, misuse(err, help)
	}
	if r.CIDRs, err = replacement("--cidr", k.CIDR); err != nil {
		return r, misuse(err, help)
	}
	if k.ExpiresIn != nil {
		r.ExpiresAt = new(k.ExpiresIn.from(now))
	}
	if r.Metadata, err = patch(k.Metadata); err != nil {
		return r, misuse(fmt.Errorf("--metadata: %w", err), help)
	}
	if r.Name == nil && r.Description == nil && r.OnBehalfOf == nil && r.Permissions == nil && r.CIDRs == nil && r.ExpiresAt == nil && r.Metadata == nil {
		return r, misuse(errors.New("nothing is named that should change"), help)
	}
	return r, nil
}

// lifetime is a length of time, or never (zero).
type lifetime time.Duration

// UnmarshalText takes what lies in the future.
func (l *lifetime) UnmarshalText(text []byte) error {
	if string(text) == "never" {
		*l = 0
		return nil
	}
	if _, err := time.ParseDuration(string(text)); err != nil {
		return fmt.Errorf("%q is neither a length of time like 720h nor never", text)
	}
	return (*span)(l).UnmarshalText(text)
}

// span is a length of time from now on.
type span time.Duration

// UnmarshalText takes what lies in the future.
func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a length of time like 720h", text)
	}
	if d <= 0 {
		return fmt.Errorf("%v is not in the future", d)
	}
	*s = span(d)
	return nil
}

// from is when l has passed; the zero time is never.
func (l lifetime) from(now time.Time) time.Time {
	if l == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(l))
}

// replacement is what replaces a list: nil where no flag was given, and an empty one for one that is empty.
func replacement(flag string, values []string) (*[]string, error) {
	switch {
	case len(values) == 0:
		return nil, nil
	case len(values) == 1 && values[0] == "":
		return &[]string{}, nil
	}
	if slices.Contains(values, "") {
		return nil, fmt.Errorf("%s= clears the list, and stands alone", flag)
	}
	return &values, nil
}

// edit is k=v, k= to remove k, or nothing to remove all.
type edit struct{ name, value string }

// UnmarshalText takes a name that is not empty, and any value; or nothing at all.
func (e *edit) UnmarshalText(text []byte) error {
	var found bool
	if e.name, e.value, found = strings.Cut(string(text), "="); len(text) > 0 && (!found || e.name == "") {
		return fmt.Errorf("%q is not k=v", text)
	}
	return nil
}

// patch is the JSON of edits, in which null removes; nil without any.
func patch(edits []edit) (json.RawMessage, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	members := make(map[string]*string, len(edits))
	for _, e := range edits {
		if e.name == "" && len(edits) > 1 {
			return nil, errors.New("an empty one clears all, and stands alone")
		}
		if _, twice := members[e.name]; twice {
			return nil, fmt.Errorf("%q is given twice", e.name)
		}
		if members[e.name] = &e.value; e.value == "" {
			members[e.name] = nil
		}
	}
	if _, all := members[""]; all {
		return json.RawMessage("null"), nil
	}
	return json.Marshal(members)
}

type tenantsUpdateCmd struct {
	tenantRef
	Name              *string  `placeholder:"NAME" help:"Name. Empty: none; in profile mlm it is needed, and unique."`
	DefaultPermission []string `sep:"none" placeholder:"R:A" help:"Permission of new keys that name none, as resource:action. Repeatable: these instead of those that it has; --default-permission= leaves none."`
	Tier              *string  `hidden:""`
	Kind              *string  `hidden:""`
	NewID             *string  `name:"id" hidden:""`
}

// Help is the detail of the command's help.
func (*tenantsUpdateCmd) Help() string {
	return `Changes what is named and nothing else. The keys that the tenant has keep their permissions.

Example:

    postern tenants update acme --name "Acme Ltd" --default-permission note:read`
}

// Run changes a tenant.
func (t *tenantsUpdateCmd) Run(ctx context.Context, out *output) error {
	const help = "postern tenants update --help"
	switch {
	case t.Tier != nil:
		return errUnbuiltLimits("--tier")
	case t.Kind != nil:
		return misuse(errors.New("--kind: a tenant keeps its kind for ever"), help)
	case t.NewID != nil:
		return misuse(errors.New("--id: a tenant keeps its id for ever"), help)
	}
	permissions, err := replacement("--default-permission", t.DefaultPermission)
	if err != nil {
		return misuse(err, help)
	}
	if t.Name == nil && permissions == nil {
		return misuse(errors.New("nothing is named that should change"), help)
	}
	return t.ask(ctx, out, writing, func(c *admin.Client, ctx context.Context, ref string) (admin.Tenant, error) {
		return c.UpdateTenant(ctx, ref, admin.TenantUpdate{Name: t.Name, DefaultPermissions: permissions})
	})
}

type tenantsSetTierCmd struct {
	tenantRef
	Tier string `arg:"" optional:""`
}

// Help is the detail of the command's help.
func (*tenantsSetTierCmd) Help() string {
	return `Not built yet: this version enforces no limits, and so has no tiers.

Example:

    postern tenants set-tier acme enterprise`
}

// Run refuses.
func (*tenantsSetTierCmd) Run() error { return errUnbuiltLimits("set-tier") }
