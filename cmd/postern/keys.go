package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/admin"
)

type keysCmd struct {
	Create  keysCreateCmd  `cmd:"" help:"Make a key and print it, once."`
	List    keysListCmd    `cmd:"" help:"List keys."`
	Get     keysGetCmd     `cmd:"" help:"Show a key and how it is used."`
	Disable keysDisableCmd `cmd:"" help:"Refuse a key until it is enabled."`
	Enable  keysEnableCmd  `cmd:"" help:"Accept a disabled key again."`
	Revoke  keysRevokeCmd  `cmd:"" help:"Refuse a key for ever."`
	Update  keysUpdateCmd  `cmd:"" help:"Change what a key may do, and for how long."`
	Rotate  keysRotateCmd  `cmd:"" help:"Give a key a new secret, and end old ones."`
	Verify  keysVerifyCmd  `cmd:"" help:"Say whether a key is valid, and if not why."`
	Pattern keysPatternCmd `cmd:"" help:"Print what keys look like, for secret scanners."`
	Import  keysImportCmd  `cmd:"" help:"Take over keys of another system by their hashes."`
	Export  keysExportCmd  `cmd:"" help:"Write keys for another Postern with the same pepper."`
}

// Help is the detail of the noun's help.
func (*keysCmd) Help() string {
	return `Example:

    postern keys create --tenant acme --name first`
}

type keysCreateCmd struct {
	located
	Tenant      given     `placeholder:"T" help:"Owner: id, or name where names are unique. May be left out in profile default, which has the tenant default."`
	Env         given     `placeholder:"E" help:"Environment of the key, for ever. May be left out where there is one."`
	Name        string    `placeholder:"NAME" help:"Name, for lists."`
	Description string    `placeholder:"TEXT" help:"What the key is for."`
	Permission  []string  `sep:"none" placeholder:"R:A" help:"Permission, as resource:action. Repeatable; --permission= gives none. Default: those of the tenant."`
	ExpiresIn   *lifetime `placeholder:"720h" help:"Time until the key expires, or never. Default: never."`
	CIDR        []string  `name:"cidr" sep:"none" placeholder:"RANGE" help:"Address range that the key may be used from, like 10.0.0.0/8. Repeatable. Default: from anywhere."`
	Metadata    []pair    `sep:"none" placeholder:"K=V" help:"Text to keep with the key. Repeatable."`
	OnBehalfOf  string    `enum:"any,none" default:"any" placeholder:"WHO" help:"End users that the key may act for by X-On-Behalf-Of: any or none. Default: any."`
	Limit       []string  `hidden:"" sep:"none"`
	Remaining   *int64    `hidden:""`
}

// Help is the detail of the command's help.
func (*keysCreateCmd) Help() string {
	return `The key is on standard output and nowhere else; only its hash is stored. With -o table it is the only thing there.

Example: put a key for 30 days into a file.

    postern keys create --tenant acme --permission note:create --expires-in 720h -o table > key`
}

// Run makes a key.
func (k *keysCreateCmd) Run(ctx context.Context, out *output) error {
	r, err := k.request(time.Now())
	if err != nil {
		return err
	}
	s, err := k.loadData(out)
	if err != nil {
		return err
	}
	return s.withData(ctx, out, writing, func(c *admin.Client) error {
		created, err := c.CreateKey(ctx, r)
		if err != nil {
			return missing(err, map[string]string{"tenant": string(k.Tenant), "environment": string(k.Env)})
		}
		if out.format() == formatTable {
			out.note("key %s of tenant %s in %s; it is shown only now:", created.ID, created.Tenant, created.Environment)
		}
		if err := out.data(created, func(w io.Writer) { row(w, created.Printed) }); err != nil {
			return hint(err, "the key is made and its text is lost; end it with: postern keys revoke %s", created.ID)
		}
		if s.Profile == config.ProfileMLM {
			out.note("%s", keyAdvice)
		}
		return nil
	})
}

// keyAdvice is the short form of what the documentation tells customers of profile mlm about keys.
const keyAdvice = `Use this key on servers only: never in a browser, an app or a repository. Keep it in an environment variable or a secret store.
Rotation: create another key, switch to it, verify, revoke this one. Monitoring: look at its last use with "postern keys get".`

// request is what the flags ask for.
func (k *keysCreateCmd) request(now time.Time) (admin.KeyRequest, error) {
	switch {
	case len(k.Limit) > 0:
		return admin.KeyRequest{}, errUnbuiltLimits("--limit")
	case k.Remaining != nil:
		return admin.KeyRequest{}, errUnbuiltLimits("--remaining")
	}
	r := admin.KeyRequest{
		Tenant: string(k.Tenant), Environment: string(k.Env), Name: k.Name, Description: k.Description,
		Permissions: k.Permission, OnBehalfOf: k.OnBehalfOf, CIDRs: k.CIDR,
	}
	if len(k.Permission) == 1 && k.Permission[0] == "" {
		r.Permissions = []string{}
	}
	if k.ExpiresIn != nil && *k.ExpiresIn != 0 {
		r.ExpiresAt = new(k.ExpiresIn.from(now))
	}
	var err error
	if r.Metadata, err = object(k.Metadata); err != nil {
		return r, misuse(fmt.Errorf("--metadata: %w", err), "postern keys create --help")
	}
	return r, nil
}

// pair is k=v.
type pair struct{ name, value string }

// UnmarshalText takes a name that is not empty, and any value.
func (p *pair) UnmarshalText(text []byte) error {
	var found bool
	if p.name, p.value, found = strings.Cut(string(text), "="); !found || p.name == "" {
		return fmt.Errorf("%q is not k=v", text)
	}
	return nil
}

// object is the JSON of pairs; nil without any.
func object(pairs []pair) (json.RawMessage, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	members := make(map[string]string, len(pairs))
	for _, p := range pairs {
		if _, twice := members[p.name]; twice {
			return nil, fmt.Errorf("%q is given twice", p.name)
		}
		members[p.name] = p.value
	}
	return json.Marshal(members)
}

type keysListCmd struct {
	located
	Tenant given   `placeholder:"T" help:"Only those of this tenant."`
	Env    given   `placeholder:"E" help:"Only those of this environment."`
	State  *string `enum:"active,disabled,expired,revoked" placeholder:"S" help:"Only those that are now active, disabled, expired or revoked."`

	Expiring *span `placeholder:"720h" help:"Only those that end within this time: active ones, unless --state says otherwise."`
}

// Help is the detail of the command's help.
func (*keysListCmd) Help() string {
	return `Never shows a secret: START is all that is known of one.

Example:

    postern keys list --tenant acme --state active

Example: who needs another key within 30 days?

    postern keys list --expiring 720h`
}

// Run lists keys.
func (k *keysListCmd) Run(ctx context.Context, out *output) error {
	return k.withData(ctx, out, reading, func(c *admin.Client) error {
		filter := admin.KeyFilter{Tenant: string(k.Tenant), Environment: string(k.Env), State: text(k.State)}
		if k.Expiring != nil {
			filter.Expiring = time.Duration(*k.Expiring).String()
		}
		keys := c.Keys(ctx, filter)
		columns := []string{"ID", "START", "TENANT", "ENVIRONMENT", "STATE", "NAME", "PERMISSIONS", "EXPIRES", "LAST USED"}
		return list(out, "keys", keys, columns, func(k admin.Key) []string {
			return []string{
				k.ID, text(k.Start), k.Tenant, k.Environment, k.State, text(k.Name), strings.Join(k.Permissions, ","), when(k.ExpiresAt), when(k.LastUsedAt),
			}
		})
	})
}

// keyRef is embedded by the commands that name a key.
type keyRef struct {
	located
	ID string `arg:"" name:"id" help:"Id of the key, as keys list shows it."`
}

// Validate refuses an empty id, which would name the list.
func (k keyRef) Validate() error { return notEmpty("<id>", k.ID) }

// change does something to the key and shows it.
func (k keyRef) change(ctx context.Context, out *output, do func(*admin.Client, context.Context, string) (admin.Key, error)) error {
	return k.withData(ctx, out, writing, func(c *admin.Client) error {
		key, err := do(c, ctx, k.ID)
		if err != nil {
			return err
		}
		return out.data(key, func(w io.Writer) { keyRows(w, key) })
	})
}

type keysGetCmd struct{ keyRef }

// Help is the detail of the command's help.
func (*keysGetCmd) Help() string {
	return `Example:

    postern keys get 9sD3kQ0ZpT1x`
}

// Run shows a key.
func (k *keysGetCmd) Run(ctx context.Context, out *output) error {
	return k.withData(ctx, out, reading, func(c *admin.Client) error {
		key, err := c.Key(ctx, k.ID)
		if err != nil {
			return err
		}
		return out.data(key, func(w io.Writer) {
			keyRows(w, key.Key)
			for i, s := range key.Secrets {
				row(w, "secret "+strconv.Itoa(i+1), secretLine(&s, time.Now()))
			}
		})
	})
}

// secretLine is what a table shows of a secret.
func secretLine(s *admin.Secret, now time.Time) string {
	end := "ends with the key"
	if s.EndsAt != nil {
		end = "ends " + when(s.EndsAt)
		if !s.EndsAt.After(now) {
			end = "ended " + when(s.EndsAt)
		}
	}
	return use(s) + ", " + end
}

type keysDisableCmd struct{ keyRef }

// Help is the detail of the command's help.
func (*keysDisableCmd) Help() string {
	return `When it returns, the key is refused. "postern keys enable" undoes it.

Example:

    postern keys disable 9sD3kQ0ZpT1x`
}

// Run disables a key.
func (k *keysDisableCmd) Run(ctx context.Context, out *output) error {
	return k.change(ctx, out, (*admin.Client).DisableKey)
}

type keysEnableCmd struct{ keyRef }

// Help is the detail of the command's help.
func (*keysEnableCmd) Help() string {
	return `Example:

    postern keys enable 9sD3kQ0ZpT1x`
}

// Run enables a key.
func (k *keysEnableCmd) Run(ctx context.Context, out *output) error {
	return k.change(ctx, out, (*admin.Client).EnableKey)
}

type keysRevokeCmd struct {
	keyRef
	Wait bool `help:"Return when every replica refuses it. There is one Postern, which does before this command returns."`
}

// Help is the detail of the command's help.
func (*keysRevokeCmd) Help() string {
	return `When it returns, no check that begins accepts the key any more. It is final; "postern keys disable" can be undone.

Example:

    postern keys revoke 9sD3kQ0ZpT1x`
}

// Run revokes a key.
func (k *keysRevokeCmd) Run(ctx context.Context, out *output) error {
	return k.change(ctx, out, (*admin.Client).RevokeKey)
}

// keyRows writes a key to a table, a line for each property.
func keyRows(w io.Writer, k admin.Key) {
	row(w, "id", k.ID)
	row(w, "start", text(k.Start))
	row(w, "tenant", k.Tenant)
	row(w, "environment", k.Environment)
	row(w, "state", k.State)
	row(w, "name", text(k.Name))
	row(w, "description", text(k.Description))
	row(w, "permissions", strings.Join(k.Permissions, ", "))
	row(w, "on behalf of", k.OnBehalfOf)
	row(w, "addresses", strings.Join(k.CIDRs, ", "))
	row(w, "metadata", string(k.Metadata))
	row(w, "created", when(&k.CreatedAt))
	row(w, "updated", when(&k.UpdatedAt))
	row(w, "expires", when(k.ExpiresAt))
	row(w, "last used", when(k.LastUsedAt))
}
