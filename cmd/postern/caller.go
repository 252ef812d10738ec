package main

// How a command that calls a server, as a customer's does, finds out where and as whom. What is given nearer to the call
// wins: flags, then variables of the environment, then the keychain, then the file that login and configure write.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/postern-auth/postern/config"
)

// caller is embedded by the commands that call a server.
type caller struct {
	ServerURL    given    `name:"server-url" placeholder:"URL" help:"Server to call: https, or http on this machine. Default: $$POSTERN_SERVER_URL, $$MKA1_SERVER_URL or $$MLM_SERVER_URL by the profile, else what configure stored."`
	Profile      given    `placeholder:"PROFILE" help:"Profile of the server: default, mka1 or mlm. Default: $$POSTERN_PROFILE, else what configure stored, else mlm where an API key is given and mka1 elsewhere."`
	BearerAuth   given    `name:"bearer-auth" placeholder:"KEY" help:"Key or token, in profiles default and mka1; others on this machine can see it. Default: $$POSTERN_BEARER_AUTH, $$MKA1_BEARER_AUTH (mka1), the keychain, the stored file."`
	APIKey       given    `name:"api-key" placeholder:"KEY" help:"Key, in profile mlm; others on this machine can see it. Default: $$POSTERN_API_KEY, $$MLM_API_KEY, the keychain, the stored file."`
	Sandbox      bool     `help:"Use the key for SANDBOX: $$MLM_SANDBOX_API_KEY, or the one that login --sandbox stored. A LIVE key is refused, before anything is sent. Profile mlm."`
	Header       []string `short:"H" sep:"none" placeholder:"NAME: VALUE" help:"Header line to send, as 'NAME: VALUE'. Repeatable. One that holds a credential wins over every other source."`
	InsecureHTTP bool     `name:"insecure-http" help:"Send the credential over plain http to another machine, for all on the way to read."`
}

// origin is where a setting comes from.
type origin string

const (
	fromFlag     origin = "flag"
	fromEnv      origin = "env"
	fromKeychain origin = "keyring"
	fromFile     origin = "config"
	fromNowhere  origin = "unset"
)

// setting is a value and where it comes from.
type setting struct {
	value string
	from  origin
}

// sources are where settings come from that no flag gives.
type sources struct {
	variable func(name string) string
	keychain *keychain
	stored   stored
	note     func(text string, args ...any)
	hung     bool // it has been said that the keychain does not answer
}

// sources are those of whoever runs this.
func (o *output) sources() (*sources, error) {
	file, err := readStored(o.note)
	if err != nil {
		return nil, err
	}
	return &sources{variable: os.Getenv, keychain: osKeychain(o.onTerminal), stored: file, note: o.note}, nil
}

// customer is who calls, and where: what flags and sources come to.
type customer struct {
	profile    setting
	server     setting
	carrier    carrier
	credential setting     // without the word Bearer
	headers    http.Header // of -H
	host       string      // likewise
	plain      bool        // http may leave this machine
	sandbox    bool        // no LIVE key may be sent
	secrets    []string    // that nothing shown may hold
}

// customer resolves all settings. It sends nothing.
func (c *caller) customer(ctx context.Context, from *sources) (*customer, error) {
	who := &customer{plain: c.InsecureHTTP, sandbox: c.Sandbox}
	if err := who.readHeaders(c.Header); err != nil {
		return nil, misuse(err, "postern --help")
	}
	profile, err := c.profile(ctx, from, who.headers)
	if err != nil {
		return nil, err
	}
	who.profile = profile
	if who.carrier = carrierOf(config.Profile(profile.value)); c.Sandbox {
		who.carrier = sandboxCarrier()
	}
	who.server = c.server(config.Profile(profile.value), from)
	if who.credential, err = c.credential(ctx, who, from); err != nil {
		return nil, err
	}
	return who, who.check()
}

// check refuses a credential that must not, or cannot, be sent.
func (w *customer) check() error {
	sent := []string{w.credential.value}
	for _, name := range credentialHeaders() {
		sent = append(sent, w.headers.Values(name)...)
	}
	for _, value := range sent {
		value = bare(value)
		if w.sandbox && isLive(value) {
			return hint(errors.New("this is a key for LIVE, and --sandbox is given: nothing was sent"),
				"a key for SANDBOX is read from MLM_SANDBOX_API_KEY, or stored by: postern login --sandbox")
		}
		if value != "" {
			w.secrets = append(w.secrets, value)
		}
	}
	if err := checkCredential(w.credential.value); err != nil {
		return fmt.Errorf("%s [%s]: %w", w.carrier.name, w.credential.from, err)
	}
	return nil
}

// credentialHeaders are those that carry a credential in one profile or another.
func credentialHeaders() []string { return []string{"Authorization", "X-Tenant-Api-Key", "X-Api-Key"} }

// server finds the server's URL.
func (c *caller) server(profile config.Profile, from *sources) setting {
	if c.ServerURL != "" {
		return setting{string(c.ServerURL), fromFlag}
	}
	names := []string{"POSTERN_SERVER_URL"}
	if profile != config.ProfileDefault {
		names = append(names, strings.ToUpper(string(profile))+"_SERVER_URL")
	}
	if value := from.first(names); value != "" {
		return setting{value, fromEnv}
	}
	if from.stored.ServerURL != "" {
		return setting{from.stored.ServerURL, fromFile}
	}
	return setting{from: fromNowhere}
}

// first is the first of some variables that is set.
func (s *sources) first(names []string) string {
	for _, name := range names {
		if value := strings.TrimSpace(s.variable(name)); value != "" {
			return value
		}
	}
	return ""
}

// credential finds the credential. One in a header line that -H gives is the one that counts, and no other source is asked.
func (c *caller) credential(ctx context.Context, who *customer, from *sources) (setting, error) {
	for _, name := range credentialHeaders() {
		if values := who.headers.Values(name); len(values) > 0 {
			if name == "Authorization" {
				who.carrier.name = entryBearer
			}
			return setting{bare(values[0]), fromFlag}, nil
		}
	}
	if flag := cmp.Or(c.BearerAuth, c.APIKey); flag != "" {
		return setting{bare(string(flag)), fromFlag}, nil
	}
	if value := bare(from.first(who.carrier.variables)); value != "" {
		return setting{value, fromEnv}, nil
	}
	return from.kept(ctx, who.carrier.entry)
}

// kept is what login stored: in the keychain, or else in the file. That there is no keychain is nothing to speak of.
func (s *sources) kept(ctx context.Context, entry string) (setting, error) {
	secret, err := s.keychain.Read(ctx, entry)
	switch {
	case err == nil && bare(secret) != "":
		return setting{bare(secret), fromKeychain}, nil
	case ctx.Err() != nil:
		return setting{}, ctx.Err()
	case errors.Is(err, errKeychainHangs) && !s.hung:
		s.hung = true
		s.note("the keychain does not answer, so it is left out")
	}
	if secret := bare(*s.stored.credential(entry)); secret != "" {
		return setting{secret, fromFile}, nil
	}
	return setting{from: fromNowhere}, nil
}

// profile finds the profile of the server: named, or else the one whose customers have such credentials.
func (c *caller) profile(ctx context.Context, from *sources, headers http.Header) (setting, error) {
	wanted, err := c.flagged(headers)
	if err != nil {
		return setting{}, err
	}
	named := setting{from.variable("POSTERN_PROFILE"), fromEnv}
	if c.Profile != "" {
		named = setting{string(c.Profile), fromFlag}
	}
	if named.value != "" && !known(config.Profile(named.value)) {
		return setting{}, misuse(fmt.Errorf("the profile [%s] is none of default, mka1, mlm", named.from), "postern --help")
	}
	stored := setting{string(from.stored.Profile), fromFile}
	switch {
	case named.from == fromFlag && wanted != "" && !alike(named.value, wanted):
		return setting{}, misuse(fmt.Errorf("--profile %s does not go with the other flags, which are of %s", named.value, wanted), "postern --help")
	case named.value != "" && (wanted == "" || alike(named.value, wanted)):
		return named, nil
	case wanted != "" && stored.value != "" && alike(stored.value, wanted):
		return stored, nil
	case wanted != "":
		return setting{wanted, fromFlag}, nil
	}
	return c.unnamed(ctx, stored, from)
}

// flagged is the profile that flags speak of, which may be any that is alike; "" if they do not say.
func (c *caller) flagged(headers http.Header) (string, error) {
	var found []config.Profile
	if c.APIKey != "" || c.Sandbox || headers.Get("X-Tenant-Api-Key") != "" {
		found = append(found, config.ProfileMLM)
	}
	if headers.Get("X-Api-Key") != "" {
		found = append(found, config.ProfileDefault)
	}
	if c.BearerAuth != "" {
		found = append(found, config.ProfileMKA1)
	}
	switch {
	case len(found) == 0:
		return "", nil
	case slices.Contains(found, config.ProfileMLM) && len(found) > 1:
		return "", misuse(errors.New("--api-key and --sandbox are of profile mlm, and --bearer-auth and X-API-Key are not"), "postern --help")
	}
	return string(found[0]), nil
}

// alike reports whether customers of two profiles have the same kind of credential.
func alike(a, b string) bool {
	return carrierOf(config.Profile(a)).entry == carrierOf(config.Profile(b)).entry
}

// unnamed is the profile where no flag says it: that of the file, unless only credentials of another are in the environment.
func (c *caller) unnamed(ctx context.Context, stored setting, from *sources) (setting, error) {
	var found []string
	for _, p := range []config.Profile{config.ProfileMKA1, config.ProfileMLM} {
		if from.first(carrierOf(p).variables) != "" {
			found = append(found, string(p))
		}
	}
	switch {
	case stored.value != "" && (len(found) == 0 || slices.ContainsFunc(found, func(p string) bool { return alike(p, stored.value) })):
		return stored, nil
	case len(found) > 1:
		return setting{}, hint(errors.New("the environment has credentials for two profiles"), "say which with --profile or POSTERN_PROFILE")
	case len(found) == 1:
		return setting{found[0], fromEnv}, nil
	}
	for _, p := range []config.Profile{config.ProfileMKA1, config.ProfileMLM} {
		kept, err := from.kept(ctx, carrierOf(p).entry)
		if err != nil {
			return setting{}, err
		}
		if kept.value != "" {
			return setting{string(p), kept.from}, nil
		}
	}
	return setting{string(config.ProfileMKA1), fromNowhere}, nil
}

// readHeaders takes the header lines of -H. Errors do not repeat values: those may be credentials.
func (w *customer) readHeaders(flags []string) error {
	w.headers = http.Header{}
	for i, flag := range flags {
		name, value, ok := strings.Cut(flag, ":")
		value = strings.Trim(value, " \t")
		switch lower := strings.ToLower(name); {
		case !ok || !isHeaderName(lower):
			return fmt.Errorf("-H: the header line %d is not of the form 'NAME: VALUE'", i+1)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return fmt.Errorf("-H: the value of the header line %d holds a control character, which no request can", i+1)
		case lower == "host":
			w.host = value
		case lower == "connection" || lower == "content-length" || lower == "transfer-encoding" || lower == "trailer" || lower == "te" || lower == "upgrade":
			return fmt.Errorf("-H: the header line %d frames the request, which the client does itself", i+1)
		default:
			w.headers.Add(name, value)
		}
	}
	return nil
}
