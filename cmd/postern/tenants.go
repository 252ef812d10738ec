package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postern-auth/postern/internal/admin"
)

type tenantsCmd struct {
	Create  tenantsCreateCmd  `cmd:"" help:"Make a tenant."`
	List    tenantsListCmd    `cmd:"" help:"List all tenants."`
	Get     tenantsGetCmd     `cmd:"" help:"Show a tenant."`
	Update  tenantsUpdateCmd  `cmd:"" help:"Change the name of a tenant, or what its new keys may do."`
	SetTier tenantsSetTierCmd `cmd:"" hidden:"" help:"Not built yet."`
	Suspend tenantsSuspendCmd `cmd:"" help:"Refuse all keys of a tenant until it is resumed."`
	Resume  tenantsResumeCmd  `cmd:"" help:"End a suspension."`
}

// Help is the detail of the noun's help.
func (*tenantsCmd) Help() string {
	return `Example:

    postern tenants create --id acme`
}

type tenantsCreateCmd struct {
	located
	ID                given    `name:"id" placeholder:"ID" help:"Id: 1 to 64 letters, digits, - and _; a UUID in profile mlm. Default: made."`
	Name              string   `placeholder:"NAME" help:"Name. In profile mlm it is needed, unique, and stands for the id everywhere."`
	Kind              string   `enum:"account,organization" default:"account" placeholder:"KIND" help:"What it is: account or organization. Default: account."`
	Tier              string   `hidden:"" placeholder:"TIER"`
	File              given    `placeholder:"FILE" help:"YAML or JSON with id, name, kind, default_permissions and providers, in the place of flags; - is standard input."`
	DefaultPermission []string `sep:"none" placeholder:"R:A" help:"Permission of new keys that name none, as resource:action. Repeatable."`
}

// Help is the detail of the command's help.
func (*tenantsCreateCmd) Help() string {
	return `Example: a tenant whose keys may read notes unless they are given other permissions.

    postern tenants create --id acme --name "Acme Ltd" --default-permission note:read

In profile mlm a file may hold the tenant's identity providers, as "postern providers apply" takes them, each with environment or environments; without either it is made in all.

    postern tenants create --file acme.yaml`
}

// Run makes a tenant.
func (t *tenantsCreateCmd) Run(ctx context.Context, out *output) error {
	if t.Tier != "" {
		return errUnbuiltLimits("--tier")
	}
	request := admin.TenantRequest{ID: string(t.ID), Name: t.Name, Kind: t.Kind, DefaultPermissions: t.DefaultPermission}
	if t.File != "" {
		var err error
		if request, err = t.fromFile(out.stdin); err != nil {
			return err
		}
	}
	return t.withData(ctx, out, writing, func(c *admin.Client) error {
		tenant, err := c.CreateTenant(ctx, request)
		if err != nil {
			return missing(err, map[string]string{"name": request.Name})
		}
		return out.tenant(tenant)
	})
}

// fromFile is the request that the file holds.
func (t *tenantsCreateCmd) fromFile(stdin io.Reader) (r admin.TenantRequest, err error) {
	if t.ID != "" || t.Name != "" || t.Kind != "account" || len(t.DefaultPermission) > 0 {
		return r, misuse(errors.New("--file holds the whole tenant, and there are flags for parts of one"), "postern tenants create --help")
	}
	s, err := readSheet(string(t.File), stdin)
	if err != nil {
		return r, err
	}
	m, err := members(s.value)
	if err != nil {
		return r, fmt.Errorf("%s: %w", s.name, err)
	}
	for name, place := range map[string]any{
		"id": &r.ID, "name": &r.Name, "kind": &r.Kind, "default_permissions": &r.DefaultPermissions, "providers": &r.Providers,
	} {
		if raw, ok := m[name]; ok && json.Unmarshal(raw, place) != nil {
			return r, fmt.Errorf("%s: %s: has the wrong form", s.name, name)
		}
		delete(m, name)
	}
	if unknown := unknownOf(m); len(unknown) > 0 {
		return r, fmt.Errorf("%s: %s: unknown field", s.name, unknown[0])
	}
	return r, nil
}

// errUnbuiltLimits refuses a flag that would protect.
func errUnbuiltLimits(flag string) error {
	return hint(errors.New(flag+" is not built yet: this version enforces no limits"), "leave it out, and limit elsewhere until limits are enforced")
}

type tenantsListCmd struct{ located }

// Help is the detail of the command's help.
func (*tenantsListCmd) Help() string {
	return `Example: the ids of all suspended tenants.

    postern tenants list -o json | jq -r '.tenants[] | select(.state == "suspended").id'`
}

// Run lists tenants.
func (t *tenantsListCmd) Run(ctx context.Context, out *output) error {
	return t.withData(ctx, out, reading, func(c *admin.Client) error {
		return list(out, "tenants", c.Tenants(ctx), []string{"ID", "NAME", "KIND", "STATE", "TIER", "CREATED"}, func(t admin.Tenant) []string {
			return []string{t.ID, text(t.Name), t.Kind, t.State, text(t.Tier), when(&t.CreatedAt)}
		})
	})
}

// tenantRef is embedded by the commands that name a tenant.
type tenantRef struct {
	located
	Tenant string `arg:"" help:"Id of the tenant, or its name where names are unique (profile mlm)."`
}

// Validate refuses an empty name, which would name the list.
func (t tenantRef) Validate() error { return notEmpty("<tenant>", t.Tenant) }

// ask does something to the tenant and shows it.
func (t tenantRef) ask(ctx context.Context, out *output, a access, do func(*admin.Client, context.Context, string) (admin.Tenant, error)) error {
	return t.withData(ctx, out, a, func(c *admin.Client) error {
		tenant, err := do(c, ctx, t.Tenant)
		if err != nil {
			return err
		}
		return out.tenant(tenant)
	})
}

type tenantsGetCmd struct{ tenantRef }

// Help is the detail of the command's help.
func (*tenantsGetCmd) Help() string {
	return `Example:

    postern tenants get acme`
}

// Run shows a tenant.
func (t *tenantsGetCmd) Run(ctx context.Context, out *output) error {
	return t.ask(ctx, out, reading, (*admin.Client).Tenant)
}

type tenantsSuspendCmd struct{ tenantRef }

// Help is the detail of the command's help.
func (*tenantsSuspendCmd) Help() string {
	return `When it returns, no key of the tenant is accepted any more. The keys keep their own states.

Example:

    postern tenants suspend acme`
}

// Run suspends a tenant.
func (t *tenantsSuspendCmd) Run(ctx context.Context, out *output) error {
	return t.ask(ctx, out, writing, (*admin.Client).SuspendTenant)
}

type tenantsResumeCmd struct{ tenantRef }

// Help is the detail of the command's help.
func (*tenantsResumeCmd) Help() string {
	return `Example:

    postern tenants resume acme`
}

// Run resumes a tenant.
func (t *tenantsResumeCmd) Run(ctx context.Context, out *output) error {
	return t.ask(ctx, out, writing, (*admin.Client).ResumeTenant)
}

// tenant writes one tenant.
func (o *output) tenant(t admin.Tenant) error {
	return o.data(t, func(w io.Writer) {
		row(w, "id", t.ID)
		row(w, "name", text(t.Name))
		row(w, "kind", t.Kind)
		row(w, "state", t.State)
		row(w, "tier", text(t.Tier))
		row(w, "default permissions", strings.Join(t.DefaultPermissions, ", "))
		row(w, "created", when(&t.CreatedAt))
		row(w, "updated", when(&t.UpdatedAt))
	})
}
