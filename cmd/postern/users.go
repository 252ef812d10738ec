package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/postern-auth/postern/internal/admin"
)

type usersCmd struct {
	List       usersListCmd       `cmd:"" help:"List the users of a tenant."`
	Get        usersGetCmd        `cmd:"" help:"Show a user and its links."`
	Deactivate usersDeactivateCmd `cmd:"" help:"Refuse a user, and for good the tokens that it has."`
	Activate   usersActivateCmd   `cmd:"" help:"End a deactivation."`
}

// Help is the detail of the noun's help.
func (*usersCmd) Help() string {
	return `Profile mlm only: the users that tenants' identity providers have let in, and those that tenants have made.

Example:

    postern users list --tenant acme --env LIVE`
}

type usersListCmd struct {
	inTenant
	Email given `placeholder:"ADDRESS" help:"Only those with this e-mail address, whatever the case of its letters."`
}

// Help is the detail of the command's help.
func (*usersListCmd) Help() string {
	return `In the order in which they were made; without --env those of all environments.

Example: who was deactivated.

    postern users list --tenant acme -o json | jq -r '.users[] | select(.is_active | not).id'`
}

// Run lists users.
func (u *usersListCmd) Run(ctx context.Context, out *output) error {
	return u.withData(ctx, out, reading, func(c *admin.Client) error {
		columns := []string{"ID", "ENVIRONMENT", "EMAIL", "NAME", "TIER", "ACTIVE", "LINKS", "CREATED"}
		return list(out, "users", c.Users(ctx, string(u.Tenant), string(u.Env), string(u.Email)), columns, func(u admin.User) []string {
			return []string{
				u.ID, u.Environment, text(u.Email), text(u.DisplayName), u.MembershipTier, strconv.FormatBool(u.IsActive), linksOf(&u), when(&u.CreatedAt),
			}
		})
	})
}

// linksOf is how providers call a user, for people.
func linksOf(u *admin.User) string {
	var all []string
	for _, l := range u.Links {
		all = append(all, l.Provider+": "+l.ExternalID)
	}
	if len(all) == 0 {
		return text(nil)
	}
	return strings.Join(all, ", ")
}

// userRef is embedded by the commands that name a user.
type userRef struct {
	inTenant
	User string `arg:"" help:"Id of the user."`
}

// Validate refuses an empty id, which would name the list.
func (u *userRef) Validate() error { return notEmpty("<user>", u.User) }

type usersGetCmd struct{ userRef }

// Help is the detail of the command's help.
func (*usersGetCmd) Help() string {
	return `Example:

    postern users get 0b7e7c1e-5f0c-4b57-9a43-0e0c8a1f3d55 --tenant acme`
}

// Run shows a user.
func (u *usersGetCmd) Run(ctx context.Context, out *output) error {
	return u.withData(ctx, out, reading, func(c *admin.Client) error {
		user, err := c.User(ctx, string(u.Tenant), string(u.Env), u.User)
		if err != nil {
			return err
		}
		return out.user(user)
	})
}

type usersDeactivateCmd struct{ userRef }

// Help is the detail of the command's help.
func (*usersDeactivateCmd) Help() string {
	return `When it returns, no token of the user is accepted any more, none is exchanged or refreshed. Links stay, so the user does not come back as another one. To end only what it has so far: postern token revoke --user.

Example:

    postern users deactivate 0b7e7c1e-5f0c-4b57-9a43-0e0c8a1f3d55 --tenant acme`
}

// Run deactivates a user.
func (u *usersDeactivateCmd) Run(ctx context.Context, out *output) error {
	return u.change(ctx, out, (*admin.Client).DeactivateUser)
}

type usersActivateCmd struct{ userRef }

// Help is the detail of the command's help.
func (*usersActivateCmd) Help() string {
	return `The user can sign in again. What it had before, tokens and sessions, stays refused.

Example:

    postern users activate 0b7e7c1e-5f0c-4b57-9a43-0e0c8a1f3d55 --tenant acme`
}

// Run activates a user.
func (u *usersActivateCmd) Run(ctx context.Context, out *output) error {
	return u.change(ctx, out, (*admin.Client).ActivateUser)
}

// change does something to the user and shows it.
func (u *userRef) change(ctx context.Context, out *output, do func(*admin.Client, context.Context, string, string, admin.EnvironmentRequest) (admin.User, error)) error {
	return u.withData(ctx, out, writing, func(c *admin.Client) error {
		user, err := do(c, ctx, string(u.Tenant), u.User, admin.EnvironmentRequest{Environment: string(u.Env)})
		if err != nil {
			return err
		}
		return out.user(user)
	})
}

// user writes one user.
func (o *output) user(u admin.User) error {
	return o.data(u, func(w io.Writer) {
		row(w, "id", u.ID)
		row(w, "tenant", u.Tenant)
		row(w, "environment", u.Environment)
		row(w, "email", text(u.Email))
		row(w, "name", text(u.DisplayName))
		row(w, "tier", u.MembershipTier)
		row(w, "active", strconv.FormatBool(u.IsActive))
		row(w, "test user", strconv.FormatBool(u.IsTestUser))
		for _, l := range u.Links {
			row(w, "link", l.Provider+": "+l.ExternalID)
		}
		row(w, "created", when(&u.CreatedAt))
		row(w, "updated", when(&u.UpdatedAt))
	})
}
