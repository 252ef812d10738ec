package main

import (
	"context"
	"errors"
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
	DefaultPermission []string `sep:"none" placeholder:"R:A" help:"Permission of new keys that name none, as resource:action. Repeatable."`
}

// Help is the detail of the command's help.
func (*tenantsCreateCmd) Help() string {
	return `Example: a tenant whose keys may read notes unless they are given other permissions.

    postern tenants create --id acme --name "Acme Ltd" --default-permission note:read`
}

// Run makes a tenant.
func (t *tenantsCreateCmd) Run(ctx context.Context, out *output) error {
	if t.Tier != "" {
		return errUnbuiltLimits("--tier")
	}
	return t.withData(ctx, out, writing, func(c *admin.Client) error {
		tenant, err := c.CreateTenant(ctx, admin.TenantRequest{ID: string(t.ID), Name: t.Name, Kind: t.Kind, DefaultPermissions: t.DefaultPermission})
		if err != nil {
			return missing(err, map[string]string{"name": t.Name})
		}
		return out.tenant(tenant)
	})
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
