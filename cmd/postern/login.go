package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/postern-auth/postern/config"
)

type loginCmd struct {
	Profile given    `placeholder:"PROFILE" help:"Profile that the credential is for: default, mka1 or mlm. Default: $$POSTERN_PROFILE, else what configure stored, else mlm for keys that begin with mlm_ and mka1 for others."`
	Sandbox bool     `help:"It is the key for SANDBOX, beside that for LIVE. Profile mlm."`
	Secret  []string `arg:"" optional:"" hidden:""`
}

// Help is the detail of the command's help.
func (*loginCmd) Help() string {
	return `Asks for a key or token, without showing it as it is typed, or reads it from standard input where that is no terminal. Keeps it in the keychain of the operating system or, where there is none, in ~/.config/postern/config.yaml, for its owner only ($XDG_CONFIG_HOME counts). Nothing is sent. Also: postern auth login.

Example:

    postern login < key`
}

// Run stores a credential.
func (l *loginCmd) Run(ctx context.Context, out *output) error {
	if len(l.Secret) > 0 {
		return misuse(errors.New("a credential is read from standard input, and never given on the command line"), "postern login --help")
	}
	from, err := out.sources()
	if err != nil {
		return err
	}
	secret, err := out.readSecret("key", maxCredential)
	if err != nil {
		return hint(err, "postern login < FILE")
	}
	c := caller{Profile: l.Profile, Sandbox: l.Sandbox}
	return out.login(ctx, &c, from, secret)
}

// login stores a credential with the settings of from.
func (o *output) login(ctx context.Context, c *caller, from *sources, secret string) error {
	secret = bare(secret)
	if secret == "" {
		return errors.New("there is no credential behind the word Bearer")
	}
	if err := checkCredential(secret); err != nil {
		return err
	}
	if c.Sandbox && isLive(secret) {
		return hint(errors.New("this is a key for LIVE, and --sandbox is given: it is not stored"), "leave out --sandbox")
	}
	profile, err := c.loginProfile(from, secret)
	if err != nil {
		return err
	}
	entry := carrierOf(profile).entry
	if c.Sandbox {
		entry = entrySandbox
	}
	return o.keep(ctx, from, entry, secret)
}

// loginProfile is the profile that a credential is for: the one that is named, or what its own prefix says.
func (c *caller) loginProfile(from *sources, secret string) (config.Profile, error) {
	name := cmp.Or(string(c.Profile), from.variable("POSTERN_PROFILE"), string(from.stored.Profile))
	profile := config.Profile(name)
	switch {
	case name != "" && !known(profile):
		return "", misuse(errors.New("the profile is none of default, mka1, mlm"), "postern login --help")
	case c.Sandbox && c.Profile != "" && profile != config.ProfileMLM:
		return "", misuse(errors.New("--sandbox is of profile mlm"), "postern login --help")
	case c.Sandbox || name == "" && strings.HasPrefix(secret, "mlm_"):
		return config.ProfileMLM, nil
	case name == "":
		return config.ProfileMKA1, nil
	}
	return profile, nil
}

// keep puts a credential into the keychain, or else into the file. The other place then has none: it would be in the way.
func (o *output) keep(ctx context.Context, from *sources, entry, secret string) error {
	inFile := from.stored.credential(entry)
	if err := from.keychain.Write(ctx, entry, secret); err == nil {
		if *inFile != "" {
			*inFile = ""
			if _, err := from.stored.write(); err != nil {
				return err
			}
		}
		o.note("%s is stored in the keychain", masked(secret))
		return nil
	} else if errors.Is(err, errKeychainHangs) {
		o.note("the keychain does not answer, so it is left out")
	}
	*inFile = secret
	path, err := from.stored.write()
	if err != nil {
		return err
	}
	o.note("%s is stored in %q", masked(secret), path)
	return nil
}

type configureCmd struct {
	ServerURL    given `name:"server-url" placeholder:"URL" help:"Server to call. Default: asked for."`
	Profile      given `placeholder:"PROFILE" help:"Its profile: default, mka1 or mlm. Default: asked for."`
	Sandbox      bool  `help:"The credential is the key for SANDBOX. Profile mlm."`
	InsecureHTTP bool  `name:"insecure-http" help:"Accept a server with plain http on another machine. Calls need the flag too."`
}

// Help is the detail of the command's help.
func (*configureCmd) Help() string {
	return `Asks for what no flag gives: the server's URL, its profile, and the credential as "postern login" does; an empty answer leaves that as it is. Where standard input is no terminal its lines are the answers, in any order: what begins with https:// or http:// is the URL, the name of a profile the profile, and anything else the credential. URL and profile are kept in ~/.config/postern/config.yaml. Nothing is sent.

Example:

    postern configure --server-url https://api.example.com --profile mka1 < key`
}

// Run stores settings.
func (c *configureCmd) Run(ctx context.Context, out *output) error {
	from, err := out.sources()
	if err != nil {
		return err
	}
	server, profile, secret := string(c.ServerURL), string(c.Profile), ""
	if c.Sandbox && profile == "" {
		profile = string(config.ProfileMLM)
	}
	if out.onTerminal() {
		err = out.askSettings(from.stored, &server, &profile, &secret)
	} else {
		err = readAnswers(out.stdin, &server, &profile, &secret)
	}
	if err != nil {
		return err
	}
	if server+profile+secret == "" {
		return hint(errors.New("there is nothing to store"), "postern configure --server-url URL --profile PROFILE < FILE")
	}
	if profile != "" {
		if !known(config.Profile(profile)) {
			return misuse(errors.New("the profile is none of default, mka1, mlm"), "postern configure --help")
		}
		from.stored.Profile = config.Profile(profile)
	}
	if server != "" {
		at := customer{server: setting{server, fromFlag}, plain: c.InsecureHTTP}
		if _, err := at.base(); err != nil {
			return err
		}
		from.stored.ServerURL = strings.TrimRight(server, "/")
	}
	if server+profile != "" {
		path, err := from.stored.write()
		if err != nil {
			return err
		}
		out.note("server-url %s and profile %s are stored in %q", cell(from.stored.ServerURL), cell(string(from.stored.Profile)), path)
	}
	if secret == "" {
		return nil
	}
	return out.login(ctx, &caller{Profile: given(from.stored.Profile), Sandbox: c.Sandbox}, from, secret)
}

// readAnswers reads a line for each of what no flag gave.
func readAnswers(stdin io.Reader, server, profile, secret *string) error {
	text, err := io.ReadAll(io.LimitReader(stdin, maxCredential*2))
	if err != nil {
		return fmt.Errorf("reading settings from standard input: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		answer, place := strings.TrimSpace(line), secret
		switch {
		case answer == "":
			continue
		case strings.HasPrefix(answer, "https://"), strings.HasPrefix(answer, "http://"):
			place = server
		case known(config.Profile(answer)):
			place = profile
		}
		if *place != "" {
			return misuse(errors.New("standard input has a line too many: there is one for each of server, profile and credential that no flag gives"), "postern configure --help")
		}
		*place = answer
	}
	return nil
}

// askSettings asks a person for what no flag gave.
func (o *output) askSettings(now stored, server, profile, secret *string) error {
	lines := bufio.NewReader(o.stdin)
	for _, question := range []struct {
		what, now string
		answer    *string
	}{
		{"server URL", now.ServerURL, server},
		{"profile (default, mka1, mlm)", string(now.Profile), profile},
	} {
		if *question.answer != "" {
			continue
		}
		_, _ = fmt.Fprintf(o.stderr, "%s [%s]: ", question.what, cell(question.now))
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading settings: %w", err)
		}
		*question.answer = strings.TrimSpace(line)
	}
	var err error
	*secret, err = o.readSecret("key (empty: as it is)", maxCredential)
	if errors.Is(err, errNothingRead) {
		return nil
	}
	return err
}

type logoutCmd struct{}

// Help is the detail of the command's help.
func (*logoutCmd) Help() string {
	return `Removes every credential from the keychain and from the file; server and profile stay. What stands in an environment variable goes on counting: that is said. The key itself is not ended; "postern keys revoke" does that. Also: postern auth logout.

Example:

    postern logout`
}

// Run removes what is stored.
func (*logoutCmd) Run(ctx context.Context, out *output) error {
	from, err := out.sources()
	if err != nil {
		return err
	}
	removed, before := 0, from.stored
	var problem error
	for _, entry := range []string{entryBearer, entryKey, entrySandbox} {
		switch err := from.keychain.Remove(ctx, entry); {
		case err == nil:
			removed++
		case !errors.Is(err, errNotInKeychain) && !errors.Is(err, errNoKeychain):
			problem = err
		}
		if held := from.stored.credential(entry); *held != "" {
			*held = ""
			removed++
		}
	}
	if from.stored != before {
		if _, err := from.stored.write(); err != nil {
			return err
		}
	}
	for _, name := range []string{"POSTERN_BEARER_AUTH", "MKA1_BEARER_AUTH", "POSTERN_API_KEY", "MLM_API_KEY", "MLM_SANDBOX_API_KEY"} {
		if from.variable(name) != "" {
			out.note("the variable %s remains in the environment, and goes on counting", name)
		}
	}
	if errors.Is(problem, errKeychainHangs) {
		return hint(problem, "a credential that is in it remains there")
	}
	if problem != nil {
		out.note("%s; a credential that is in it remains there", cell(problem.Error()))
	}
	if removed == 0 {
		out.note("nothing was stored")
	}
	return nil
}

// onTerminal reports whether standard input is one, with a person before it.
func (o *output) onTerminal() bool {
	f, ok := o.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

var errNothingRead = errors.New("there is nothing on standard input")

// readSecret reads one line of at most limit bytes, without showing what is typed.
func (o *output) readSecret(what string, limit int64) (string, error) {
	var content []byte
	var err error
	if f, ok := o.stdin.(*os.File); ok && o.onTerminal() {
		o.note("%s, which is not shown as you type it:", what)
		content, err = term.ReadPassword(int(f.Fd()))
	} else {
		content, err = io.ReadAll(io.LimitReader(o.stdin, limit+2))
	}
	if err != nil {
		return "", fmt.Errorf("reading %s from standard input: %w", what, err)
	}
	switch line := bytes.TrimSpace(content); {
	case len(line) == 0:
		return "", errNothingRead
	case int64(len(line)) > limit:
		return "", fmt.Errorf("the %s on standard input is longer than %d bytes", what, limit)
	case bytes.ContainsAny(line, "\r\n"):
		return "", errors.New("there is more than one line on standard input")
	default:
		return string(line), nil
	}
}
