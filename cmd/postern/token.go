package main

type tokenCmd struct {
	Exchange tokenExchangeCmd `cmd:"" help:"Get a token for one end user: for a key, or for a token of their identity provider."`
	Refresh  tokenRefreshCmd  `cmd:"" help:"Get the next token of a session."`
	Revoke   tokenRevokeCmd   `cmd:"" help:"Refuse a token, a session, or all tokens of a user or a key so far."`
	Inspect  tokenInspectCmd  `cmd:"" help:"Say what a token of Postern's own says, and whether it is good."`
}

// Help is the detail of the noun's help.
func (*tokenCmd) Help() string {
	return `Example:

    postern token exchange --audience https://api.example.com --external-user-id user_123`
}
