package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/postern-auth/postern/internal/admin"
)

type providersCmd struct {
	Apply  providersApplyCmd  `cmd:"" help:"Make or change identity providers of a tenant, from a file."`
	List   providersListCmd   `cmd:"" help:"List the identity providers of a tenant."`
	Delete providersDeleteCmd `cmd:"" help:"Delete an identity provider of a tenant."`
	Test   providersTestCmd   `cmd:"" help:"Fetch a provider's keys, and say what would become of a token."`
}

// Help is the detail of the noun's help.
func (*providersCmd) Help() string {
	return `Profile mlm only. Elsewhere an identity provider is listed under issuers in the file.

Example:

    postern providers test my-app --tenant acme --env LIVE`
}

// inTenant is embedded by the commands about something that a tenant owns in an environment.
type inTenant struct {
	located
	Tenant given `required:"" placeholder:"T" help:"Tenant: id or name."`
	Env    given `placeholder:"E" help:"Environment."`
}

type providersApplyCmd struct {
	inTenant
	File given `required:"" placeholder:"FILE" help:"YAML or JSON: a provider, a list of them, or an object with the list providers; - is standard input."`
}

// Help is the detail of the command's help.
func (*providersApplyCmd) Help() string {
	return `A provider of a provider_id that is there is changed, and keeps what the file leaves out of what is optional; any other is made. Nothing is done before the whole file is understood. --env is the environment of providers that name none by environment, or by the list environments.

Needed are provider_id, display_name, issuer, jwks_uri, allowed_audiences. Optional are auto_create_users (true), default_membership_tier (ORDINARY, SENIOR, MANAGER, DIRECTOR), user_id_claim (sub), email_claim (email), name_claim (name), is_active (true).

Another issuer or jwks_uri takes effect at once; users stay linked by the ids that the provider calls them by, whoever the issuer is then.

Example:

    cat > provider.yaml <<END
    provider_id: my-app
    display_name: My app
    issuer: https://auth.example.com/
    jwks_uri: https://auth.example.com/.well-known/jwks.json
    allowed_audiences: [api://my-app]
    END
    postern providers apply --tenant acme --env LIVE --file provider.yaml`
}

// Run makes or changes providers.
func (p *providersApplyCmd) Run(ctx context.Context, out *output) error {
	sheet, err := readSheet(string(p.File), out.stdin)
	if err != nil {
		return err
	}
	requests, err := sheet.providers(string(p.Env))
	if err != nil {
		return err
	}
	return p.withData(ctx, out, writing, func(c *admin.Client) error {
		applied := []admin.Provider{}
		for _, r := range requests {
			done, err := c.PutProvider(ctx, string(p.Tenant), r.body)
			if err != nil {
				return r.failed(err, len(applied))
			}
			applied = append(applied, done)
		}
		return list(out, "providers", each(applied), providerColumns(), providerCells)
	})
}

// failed names the provider that was refused, and what was done before.
func (r *providerRequest) failed(err error, before int) error {
	refused, ok := errors.AsType[*admin.Error](err)
	if !ok {
		return err
	}
	err = fmt.Errorf("%s: %s", r.place, refused.Message)
	switch {
	case refused.Field == "environment":
		err = hint(err, "give --env, or environment in the file: %s", refused.Hint)
	case refused.Hint != "":
		err = hint(err, "%s", refused.Hint)
	}
	if before > 0 {
		err = hint(err, "%d providers before it are applied; repeat the command when the file is right", before)
	}
	return err
}

type providersListCmd struct{ inTenant }

// Help is the detail of the command's help.
func (*providersListCmd) Help() string {
	return `Without --env those of all environments.

Example: the issuers that a tenant's users come from.

    postern providers list --tenant acme -o json | jq -r '.providers[].issuer'`
}

// Run lists providers.
func (p *providersListCmd) Run(ctx context.Context, out *output) error {
	return p.withData(ctx, out, reading, func(c *admin.Client) error {
		return list(out, "providers", c.Providers(ctx, string(p.Tenant), string(p.Env)), providerColumns(), providerCells)
	})
}

func providerColumns() []string {
	return []string{"PROVIDER", "ENVIRONMENT", "NAME", "ISSUER", "AUDIENCES", "MAKES USERS", "ACTIVE", "UPDATED"}
}

func providerCells(p admin.Provider) []string {
	return []string{
		p.ProviderID, p.Environment, p.DisplayName, p.Issuer, strings.Join(p.AllowedAudiences, ", "),
		strconv.FormatBool(p.AutoCreateUsers), strconv.FormatBool(p.IsActive), when(&p.UpdatedAt),
	}
}

type providersDeleteCmd struct {
	inTenant
	Provider string `arg:"" help:"Id of the provider."`
}

// Validate refuses an empty id.
func (p *providersDeleteCmd) Validate() error { return notEmpty("<provider>", p.Provider) }

// Help is the detail of the command's help.
func (*providersDeleteCmd) Help() string {
	return `Its tokens are not exchanged any more when this returns, and sessions that it opened cannot be refreshed. Users stay, and so do their links, for a provider of the same id that is made later. To refuse a user at once: postern users deactivate.

Example:

    postern providers delete my-app --tenant acme --env SANDBOX`
}

// Run deletes a provider.
func (p *providersDeleteCmd) Run(ctx context.Context, out *output) error {
	return p.withData(ctx, out, writing, func(c *admin.Client) error {
		deleted, err := c.DeleteProvider(ctx, string(p.Tenant), p.Provider, admin.EnvironmentRequest{Environment: string(p.Env)})
		if err != nil {
			return err
		}
		return list(out, "providers", each([]admin.Provider{deleted}), providerColumns(), providerCells)
	})
}

type providersTestCmd struct {
	inTenant
	Provider    string     `arg:"" help:"Id of the provider."`
	ExternalJWT secretFile `name:"external-jwt" placeholder:"FILE" help:"File with a token of the provider; - is standard input."`
}

// Validate refuses an empty id.
func (p *providersTestCmd) Validate() error { return notEmpty("<provider>", p.Provider) }

// Help is the detail of the command's help.
func (*providersTestCmd) Help() string {
	return `Fetches the key set anew and shows its key ids, the keys that cannot be used and why, or what kept it from being fetched. With --external-jwt also each step that an exchange of that token would take, up to the one that refuses, and what to do there: keys, signature, issuer, audience, times, claims. Nothing is changed, no user is made, and the token is not kept. Exit status 1 if an exchange would be refused.

Amazon Cognito's access tokens have no aud, and are refused at the audience: exchange its ID tokens.

Examples: the keys of a provider, and a token of it.

    postern providers test my-app --tenant acme --env LIVE
    pbpaste | postern providers test my-app --tenant acme --env LIVE --external-jwt -`
}

// Run tests a provider.
func (p *providersTestCmd) Run(ctx context.Context, out *output) error {
	request := admin.ProbeRequest{Environment: string(p.Env)}
	if p.ExternalJWT != "" {
		text, err := readText(string(p.ExternalJWT), out.stdin)
		if err != nil {
			return err
		}
		if request.ExternalJWT = strings.TrimSpace(string(text)); request.ExternalJWT == "" {
			return errors.New("--external-jwt: there is no token")
		}
	}
	return p.withData(ctx, out, reading, func(c *admin.Client) error {
		found, err := c.TestProvider(ctx, string(p.Tenant), p.Provider, request)
		if err != nil {
			return err
		}
		if err := out.data(found, func(w io.Writer) { writeProbe(w, &found) }); err != nil {
			return err
		}
		if last := found.Steps[len(found.Steps)-1]; !found.OK {
			return hint(fmt.Errorf("provider %q would refuse at the step %s", p.Provider, last.Step), "%s", last.Hint)
		}
		return nil
	})
}

// writeProbe writes what a test found for people.
func writeProbe(w io.Writer, found *admin.ProviderProbe) {
	row(w, "provider", found.ProviderID+" of "+found.Tenant+" in "+found.Environment)
	row(w, "jwks_uri", found.JWKSURI)
	for _, id := range found.KeyIDs {
		row(w, "key", text(&id))
	}
	for _, r := range found.Refused {
		row(w, "key not used", fmt.Sprintf("%s (%d. in the list): %s", r.KeyID, r.Place+1, r.Reason))
	}
	for _, s := range found.Steps {
		row(w, s.Step, s.Outcome)
	}
}
