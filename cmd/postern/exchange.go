package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-auth/postern/config"
)

type tokenExchangeCmd struct {
	caller
	Audience       given      `placeholder:"URL" help:"Who is to accept the token. Needed in mka1; in default it is the server by default. Profiles mka1 and default."`
	ExternalUserID given      `name:"external-user-id" placeholder:"ID" help:"Your own id of the end user that the token is for. Needed in mka1. Profiles mka1 and default."`
	ExpiresIn      *seconds   `placeholder:"S" help:"Seconds until the token expires, or a length of time like 1h. Default: an hour. Profiles mka1 and default."`
	Permission     []string   `sep:"none" placeholder:"R:A" help:"Permission of the token, one that the key has. Repeatable; --permission= gives none. Default: all of the key's. Profiles mka1 and default."`
	Provider       given      `placeholder:"P" help:"Identity provider that the end user's token is from. Needed in mlm."`
	ExternalJWT    secretFile `name:"external-jwt" placeholder:"FILE" help:"File with the end user's token; - is standard input. Needed in mlm; in default it takes the place of the key."`
	Raw            bool       `help:"Print the token alone."`
}

// Help is the detail of the command's help.
func (*tokenExchangeCmd) Help() string {
	return `Prints the server's reply as JSON, unless -o or --raw says otherwise. Also: postern auth api-key get-jwt-from-key.

Example: an end user's device gets a token for an hour, and never sees the key (mka1).

    postern token exchange --audience https://api.example.com --external-user-id user_123 --expires-in 3600 --raw

Example: a token of the end user's own identity provider becomes tokens of the platform (mlm).

    postern token exchange --provider my-app --external-jwt user.jwt`
}

// Run exchanges a credential.
func (t *tokenExchangeCmd) Run(ctx context.Context, out *output) error {
	who, err := t.resolve(ctx, out)
	if err != nil {
		return err
	}
	profile := config.Profile(who.profile.value)
	if err := t.suits(who.profile); err != nil {
		return err
	}
	var r request
	switch profile {
	case config.ProfileMKA1:
		r, err = t.keyRequest()
	case config.ProfileMLM:
		r, err = t.userRequest(out.stdin, who)
	case config.ProfileDefault:
		r, err = t.oauthRequest(out.stdin, who)
	}
	if err != nil {
		return err
	}
	r.path = who.path("/api/v1/authentication/api-key/exchange-token", "/auth/exchange", "/oauth/token")
	reply, err := who.call(ctx, r)
	if err != nil {
		return err
	}
	if !t.Raw {
		return out.tokens(reply)
	}
	token, err := tokenIn(reply)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out.stdout, token)
	return unwritten(err)
}

// resolve is customer with the sources of whoever runs this.
func (c *caller) resolve(ctx context.Context, out *output) (*customer, error) {
	from, err := out.sources()
	if err != nil {
		return nil, err
	}
	return c.customer(ctx, from)
}

// suits refuses flags of another profile, and demands those of this one.
func (t *tokenExchangeCmd) suits(p setting) error {
	given := map[string]bool{
		"--audience": t.Audience != "", "--external-user-id": t.ExternalUserID != "", "--expires-in": t.ExpiresIn != nil, "--permission": len(t.Permission) > 0,
		"--provider": t.Provider != "", "--external-jwt": t.ExternalJWT != "",
	}
	needed, passed := []string{"--audience", "--external-user-id"}, []string{"--expires-in", "--permission"}
	switch config.Profile(p.value) {
	case config.ProfileMLM:
		needed, passed = []string{"--provider", "--external-jwt"}, nil
	case config.ProfileDefault:
		needed, passed = nil, []string{"--audience", "--external-user-id", "--expires-in", "--permission", "--external-jwt"}
	case config.ProfileMKA1:
	}
	const help = "postern token exchange --help"
	for _, flag := range slices.Sorted(maps.Keys(given)) {
		if given[flag] && !slices.Contains(needed, flag) && !slices.Contains(passed, flag) {
			return misuse(fmt.Errorf("%s is not of profile %s [%s]", flag, p.value, p.from), help)
		}
	}
	for _, flag := range needed {
		if !given[flag] {
			return misuse(fmt.Errorf("%s is missing in profile %s [%s]", flag, p.value, p.from), help)
		}
	}
	return nil
}

// keyRequest is that of mka1: a token for a key.
func (t *tokenExchangeCmd) keyRequest() (request, error) {
	body := struct {
		Audience       given     `json:"audience"`
		ExternalUserID given     `json:"externalUserId"`
		ExpiresIn      *seconds  `json:"expiresIn,omitempty"`
		Permissions    *[]string `json:"permissions,omitempty"`
	}{t.Audience, t.ExternalUserID, t.ExpiresIn, t.permissions()}
	return jsonRequest(body)
}

// permissions are those of the flags; nil where none is given, and an empty list for an empty one.
func (t *tokenExchangeCmd) permissions() *[]string {
	switch {
	case len(t.Permission) == 0:
		return nil
	case len(t.Permission) == 1 && t.Permission[0] == "":
		return &[]string{}
	}
	return &t.Permission
}

// userRequest is that of mlm: tokens for a token of the user's identity provider.
func (t *tokenExchangeCmd) userRequest(stdin io.Reader, who *customer) (request, error) {
	external, err := t.ExternalJWT.read(stdin, who)
	if err != nil {
		return request{}, fmt.Errorf("reading --external-jwt: %w", err)
	}
	return jsonRequest(map[string]string{"externalJwt": external, "provider": string(t.Provider)})
}

// oauthRequest is that of default (RFC 8693): the credential is in the body, and in no header.
func (t *tokenExchangeCmd) oauthRequest(stdin io.Reader, who *customer) (request, error) {
	subject := who.credential.value
	if t.ExternalJWT != "" {
		var err error
		if subject, err = t.ExternalJWT.read(stdin, who); err != nil {
			return request{}, fmt.Errorf("reading --external-jwt: %w", err)
		}
	}
	if subject == "" {
		return request{}, who.noCredential()
	}
	kind := "urn:postern:params:oauth:token-type:api-key"
	if isToken(subject) {
		kind = "urn:ietf:params:oauth:token-type:jwt"
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {subject}, "subject_token_type": {kind}}
	if t.Audience != "" {
		form.Set("audience", string(t.Audience))
	}
	if t.ExpiresIn != nil {
		form.Set("expires_in", strconv.FormatInt(int64(*t.ExpiresIn), 10))
	}
	if p := t.permissions(); p != nil {
		form.Set("scope", strings.Join(*p, " "))
	}
	if t.ExternalUserID != "" {
		who.headers.Set("X-On-Behalf-Of", string(t.ExternalUserID))
	}
	return request{method: http.MethodPost, contentType: "application/x-www-form-urlencoded", body: []byte(form.Encode()), anonymous: true}, nil
}

func jsonRequest(body any) (request, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(body)
	return request{method: http.MethodPost, contentType: "application/json", body: text.Bytes()}, err
}

type tokenRefreshCmd struct {
	caller
	RefreshToken secretFile `name:"refresh-token" default:"-" placeholder:"FILE" help:"File with the refresh token; - is standard input, and the default."`
}

// Help is the detail of the command's help.
func (*tokenRefreshCmd) Help() string {
	return `Prints the server's reply as JSON, unless -o says otherwise. A refresh token is good for one use: keep the new one. Profile mlm.

Example:

    postern token refresh --refresh-token refresh > tokens.json`
}

// Run refreshes a session.
func (t *tokenRefreshCmd) Run(ctx context.Context, out *output) error {
	who, err := t.resolve(ctx, out)
	if err != nil {
		return err
	}
	if who.profile.value != string(config.ProfileMLM) {
		return misuse(fmt.Errorf("only profile mlm has refresh tokens, and this is %s [%s]", who.profile.value, who.profile.from), "postern token refresh --help")
	}
	var refresh string
	if t.RefreshToken == "-" {
		refresh, err = out.readSecret("refresh token", maxCredential)
	} else {
		refresh, err = t.RefreshToken.read(out.stdin, who)
	}
	if err != nil {
		return fmt.Errorf("reading --refresh-token: %w", err)
	}
	who.secrets = append(who.secrets, refresh)
	r, err := jsonRequest(map[string]string{"refreshToken": refresh})
	if err != nil {
		return err
	}
	r.path = who.path("", "/auth/refresh", "")
	reply, err := who.call(ctx, r)
	if err != nil {
		return err
	}
	return out.tokens(reply)
}

// tokens prints a server's reply.
func (o *output) tokens(reply []byte) error {
	if o.given == "" || o.given == formatJSON {
		_, err := o.stdout.Write(append(escaped(reply), '\n'))
		return unwritten(err)
	}
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(reply))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		return err
	}
	return o.data(json.RawMessage(reply), func(to io.Writer) {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			row(to, name, fmt.Sprint(members[name]))
		}
	})
}

// tokenIn is the token of a reply of any profile.
func tokenIn(reply []byte) (string, error) {
	var r struct {
		Token       string `json:"token"`
		AccessToken string `json:"accessToken"`
		OAuthToken  string `json:"access_token"`
	}
	if err := json.Unmarshal(reply, &r); err != nil {
		return "", errors.New("the server's reply is not that of an exchange")
	}
	token := r.Token + r.AccessToken + r.OAuthToken
	if token == "" || checkCredential(token) != nil {
		return "", errors.New("the server's reply holds no token")
	}
	return token, nil
}

// secretFile names a file with a secret, or - for standard input. A secret itself in its place would be for all to see.
type secretFile string

// UnmarshalText takes a name. What looks like a secret is not repeated.
func (f *secretFile) UnmarshalText(text []byte) error {
	name := string(text)
	switch {
	case name == "":
		return errors.New("is empty: name a file, or - for standard input")
	case isToken(name) && len(name) > 60, strings.Contains(name, "_refresh_") && len(name) > 40:
		return errors.New("this is a token: put it into a file and name that, or write it to standard input and name -")
	}
	*f = secretFile(name)
	return nil
}

// read returns the secret, without the white space around it, which errors of who then do not show.
func (f secretFile) read(stdin io.Reader, who *customer) (string, error) {
	content, err := readInput(string(f), stdin)
	if err != nil {
		return "", err
	}
	secret := bare(string(content))
	switch {
	case secret == "":
		return "", errors.New("there is nothing in it")
	case len(secret) > 64<<10 || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", errors.New("it does not hold one token, and nothing else")
	}
	who.secrets = append(who.secrets, secret)
	return secret, nil
}

// seconds is a whole number of them, or a length of time.
type seconds int64

// UnmarshalText takes either. Which lengths are right is for the server to say.
func (s *seconds) UnmarshalText(text []byte) error {
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		*s = seconds(n)
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d%time.Second != 0 {
		return fmt.Errorf("%q is neither a whole number of seconds nor a length of time like 1h", text)
	}
	*s = seconds(d / time.Second)
	return nil
}
