package main

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/postern-auth/postern/internal/admin"
)

type tokenRevokeCmd struct {
	located
	JTI     given `name:"jti" xor:"what" placeholder:"ID" help:"One token, by its claim jti."`
	Session given `xor:"what" placeholder:"ID" help:"A session, by the claim sid of its tokens: no refresh token of it works any more, nor does a token."`
	KeyID   given `name:"key-id" xor:"what" placeholder:"ID" help:"All tokens that were made with an API key so far. The key goes on, and so do sessions."`
	User    given `xor:"what" placeholder:"ID" help:"All that was issued to a user so far, by the claim sub: tokens and sessions."`
	Tenant  given `placeholder:"TENANT" help:"Tenant of the user. Default in profile default: default."`
	Env     given `name:"env" placeholder:"ENV" help:"Environment of the user. Default: each."`
}

// Help is the detail of the command's help.
func (*tokenRevokeCmd) Help() string {
	return `When it returns, no gate of this Postern accepts what was revoked. Others that verify tokens by themselves see their expiry only. What is issued to a user later is good: a user who may not come back must be deactivated too.

Example: one token, by the id that "postern token inspect" shows.

    postern token revoke --jti 4QZB2V6OXW3Y5T7AKDJMEFGHLN

Example: everything that was issued to a user.

    postern token revoke --user user_123 --tenant acme

Example: every token that was made with a key, which itself goes on.

    postern token revoke --key-id 9sD3kQ0ZpT1x`
}

// Run revokes.
func (t *tokenRevokeCmd) Run(ctx context.Context, out *output) error {
	switch {
	case t.JTI == "" && t.Session == "" && t.KeyID == "" && t.User == "":
		return misuse(errors.New("one of --jti, --session, --key-id and --user is missing"), "postern token revoke --help")
	case t.User == "" && (t.Tenant != "" || t.Env != ""):
		return misuse(errors.New("--tenant and --env go with --user only"), "postern token revoke --help")
	}
	request := admin.TokenRevocation{JTI: string(t.JTI), Session: string(t.Session), KeyID: string(t.KeyID), User: string(t.User), Tenant: string(t.Tenant), Environment: string(t.Env)}
	for _, id := range []string{request.JTI, request.Session, request.KeyID, request.User} {
		if strings.Count(id, ".") == 2 && len(id) > 100 {
			return misuse(errors.New("that is a whole token, and an id is meant"), "postern token inspect --help")
		}
	}
	return t.withData(ctx, out, writing, func(c *admin.Client) error {
		revoked, err := c.RevokeTokens(ctx, request)
		if err != nil {
			return missing(err, map[string]string{"tenant": request.Tenant})
		}
		return out.data(revoked, func(w io.Writer) {
			row(w, "jti", text(revoked.JTI))
			row(w, "session", text(revoked.Session))
			row(w, "key id", text(revoked.KeyID))
			row(w, "user", text(revoked.User))
			row(w, "sessions ended", strconv.Itoa(revoked.SessionsEnded))
		})
	})
}
