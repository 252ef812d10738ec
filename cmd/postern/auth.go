package main

// authCmd has commands under the words that mka1's customers know.
type authCmd struct {
	Login  loginCmd   `cmd:"" help:"Store a credential."`
	Logout logoutCmd  `cmd:"" help:"Remove stored credentials."`
	Whoami whoamiCmd  `cmd:"" help:"Say where settings come from, and who they are."`
	APIKey authKeyCmd `cmd:"" name:"api-key" help:"Exchange a key."`
}

// Help is the detail of the noun's help.
func (*authCmd) Help() string {
	return `Other words for "postern login", "postern logout", "postern whoami" and "postern token exchange".

Example:

    postern auth whoami`
}

type authKeyCmd struct {
	Exchange tokenExchangeCmd `cmd:"" name:"get-jwt-from-key" help:"Exchange a key for a token."`
}

// Help is the detail of the noun's help.
func (*authKeyCmd) Help() string {
	return `Example:

    postern auth api-key get-jwt-from-key --audience https://api.example.com --external-user-id user_123`
}
