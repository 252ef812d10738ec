package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/keystore"
)

// Entries of the keychain.
const (
	entryBearer  = "bearer-auth"
	entryKey     = "api-key"
	entrySandbox = "sandbox-api-key"
)

// carrier is where customers of a profile have their credential, and how they send it.
type carrier struct {
	name      string   // of the setting, and of the flag
	entry     string   // in the keychain
	header    string   // that carries it
	variables []string // of the environment; the first that is set counts
}

// carrierOf returns that of a profile.
func carrierOf(p config.Profile) carrier {
	switch p {
	case config.ProfileMLM:
		return carrier{entryKey, entryKey, "X-Tenant-Api-Key", []string{"POSTERN_API_KEY", "MLM_API_KEY"}}
	case config.ProfileMKA1:
		return carrier{entryBearer, entryBearer, "Authorization", []string{"POSTERN_BEARER_AUTH", "MKA1_BEARER_AUTH"}}
	case config.ProfileDefault:
	}
	return carrier{entryBearer, entryBearer, "Authorization", []string{"POSTERN_BEARER_AUTH"}}
}

// sandboxCarrier is that of mlm with --sandbox.
func sandboxCarrier() carrier {
	p := carrierOf(config.ProfileMLM)
	p.entry, p.variables = entrySandbox, []string{"POSTERN_API_KEY", "MLM_SANDBOX_API_KEY"}
	return p
}

func known(p config.Profile) bool {
	return p == config.ProfileDefault || p == config.ProfileMKA1 || p == config.ProfileMLM
}

// bare is a credential without the word Bearer, which may stand before it in any case, and without the space around it.
func bare(value string) string {
	for {
		value = strings.TrimSpace(value)
		first, rest, ok := strings.Cut(value, " ")
		if !strings.EqualFold(first, "Bearer") {
			return value
		}
		if !ok {
			return ""
		}
		value = rest
	}
}

// maxCredential is more than any key or token may have.
const maxCredential = 8 << 10

// checkCredential refuses what no header can carry as a credential. The error does not repeat it.
func checkCredential(value string) error {
	switch {
	case len(value) > maxCredential:
		return errors.New("the credential is longer than any key or token")
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the credential holds white space or characters that no key or token has")
	}
	return nil
}

// isToken tells a token from a key, as a gate does.
func isToken(value string) bool { return strings.Count(value, ".") == 2 }

// masked shows enough of a secret to know which one it is: the start of a key, and of anything else its first six
// characters, if it has so many that they do not matter.
func masked(secret string) string {
	const stars, head, enough = "****", 6, 12
	if key, err := keystore.Parse(secret); err == nil {
		return key.Prefix + key.ID[:3] + stars
	}
	if len(secret) < enough {
		return stars
	}
	return secret[:head] + stars
}

// isLive reports whether a credential says of itself that it is for LIVE data: a key by a word of its prefix, a token by
// its claim. Only the server knows for sure.
func isLive(credential string) bool {
	if isToken(credential) {
		return claimOf(credential, "environment") == "LIVE"
	}
	return regexp.MustCompile(`(?i)^([0-9a-z]+[-_])*live[-_]`).MatchString(credential)
}

// claimOf is a claim of a token that is a text, or nothing. It proves nothing.
func claimOf(token, name string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims map[string]any
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	text, _ := claims[name].(string)
	return text
}
