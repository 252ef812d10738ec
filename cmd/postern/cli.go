package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"github.com/postern-auth/postern/internal/admin"
)

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1 // refused or failed
	exitMisuse = 2 // the command line cannot be understood
)

// cli is the command tree: a field for each word, a file for each noun.
type cli struct {
	Output format `short:"o" placeholder:"FORMAT" help:"Write table, json or yaml. Default: table on a terminal, json elsewhere."`

	Serve     serveCmd     `cmd:"" help:"Answer Envoy's checks until SIGTERM."`
	Check     checkCmd     `cmd:"" help:"Examine before it runs."`
	Tenants   tenantsCmd   `cmd:"" help:"The customers that own keys."`
	Providers providersCmd `cmd:"" help:"Tenants' identity providers (profile mlm)."`
	Users     usersCmd     `cmd:"" help:"Tenants' users (profile mlm)."`
	Keys      keysCmd      `cmd:"" help:"API keys: make, show, end, import."`
	JWKS      jwksCmd      `cmd:"" name:"jwks" help:"Signing keys of an identity provider of your own."`
	Render    renderCmd    `cmd:"" help:"Write the configuration of others."`
	Store     storeCmd     `cmd:"" help:"The database: examine it, back it up, restore it, compact it."`
	Token     tokenCmd     `cmd:"" help:"Short-lived tokens."`

	SigningKeys signingKeysCmd `cmd:"" name:"signing-keys" help:"The keys that sign Postern's own tokens."`

	Login     loginCmd     `cmd:"" help:"Store the credential of a customer."`
	Logout    logoutCmd    `cmd:"" help:"Remove stored credentials."`
	Configure configureCmd `cmd:"" help:"Store server, profile and credential of a customer."`
	Whoami    whoamiCmd    `cmd:"" help:"Say which settings and credential calls use, and whose it is."`
	Auth      authCmd      `cmd:"" hidden:"" help:"Other words for some commands."`

	Health  healthCmd  `cmd:"" help:"Say whether Postern serves."`
	Version versionCmd `cmd:"" help:"Say which Postern this is."`
	Schema  schemaCmd  `cmd:"" help:"Print the JSON Schema of the configuration file."`
	OpenAPI openapiCmd `cmd:"" name:"openapi" help:"Print the OpenAPI document of Postern's own endpoints."`

	Completion completionCmd `cmd:"" help:"Print what a shell needs to complete commands."`
	Complete   completeCmd   `cmd:"" hidden:"" help:"What may stand here? For shells."`
}

const description = `Postern is the sidecar that Envoy asks "may this request pass, and who is it?".

A start: write "version: 1" into postern.yaml, run "postern serve", make a key with "postern keys create", and put Envoy in front with "postern render envoy".`

// run parses args and runs the command that they name. It returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	helped := false
	parser, err := kong.New(&c,
		kong.Name("postern"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }), // only --help asks to exit
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100, NoAppDescFormat: false}),
	)
	if err != nil {
		panic("the command tree: " + err.Error())
	}
	out := &output{stdin: stdin, stdout: stdout, stderr: stderr}
	if i := slices.IndexFunc(args, func(arg string) bool { return !utf8.ValidString(arg) }); i >= 0 { // the parser would replace bytes of it
		return out.fail(misuse(fmt.Errorf("argument %d is not UTF-8", i+1), "postern --help"))
	}
	command, err := parser.Parse(args)
	if helped {
		return exitDone
	}
	if err != nil {
		return out.fail(misuse(err, "postern --help"))
	}
	if flag := twice(command); flag != "" {
		return out.fail(misuse(fmt.Errorf("--%s is given twice, and has one value", flag), command.Selected().FullPath()+" --help"))
	}
	out.given = c.Output
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(out); err != nil {
		return out.fail(err)
	}
	return exitDone
}

// twice names a flag that is given two values where it has one: what is meant cannot be known, and the last one may be the wider.
// Of --output and --config the last counts, so that a script can have its own before "$@".
func twice(command *kong.Context) string {
	seen := make(map[*kong.Flag]bool)
	for _, p := range command.Path {
		f := p.Flag
		if f == nil || f.IsBool() || f.IsCumulative() || f.Name == "output" || f.Name == "config" {
			continue
		}
		if seen[f] {
			return f.Name
		}
		seen[f] = true
	}
	return ""
}

// misuse is an error of the command line, with the help that tells the right one.
func misuse(err error, help string) error {
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil && parse.Context.Selected() != nil {
		help = parse.Context.Selected().FullPath() + " --help"
	}
	return &usageError{hintError{err, "see " + help}}
}

// given is the value of a flag that stands for something. An empty one is a variable that a script forgot to set, not a flag
// that was left out: what would be done then is not what was meant.
type given string

// UnmarshalText refuses nothing but nothing.
func (g *given) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("is empty: name something, or leave it out")
	}
	*g = given(text)
	return nil
}

// notEmpty refuses an argument without a character.
func notEmpty(argument, value string) error {
	if value == "" {
		return errors.New(argument + " is missing")
	}
	return nil
}

// missing makes a request that was refused for a value that the command line left out, and need not leave out always, a
// misuse. given is what it has: JSON name → value.
func missing(err error, given map[string]string) error {
	refused, ok := errors.AsType[*admin.Error](err)
	if !ok {
		return err
	}
	if value, ok := given[refused.Field]; !ok || value != "" {
		return err
	}
	return &usageError{hintError{errors.New(flagOf(refused.Field) + " is missing"), refused.Hint}}
}
