package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/keystore"
)

type keysVerifyCmd struct {
	located
	Key []string `arg:"" optional:"" hidden:""`
}

// Help is the detail of the command's help.
func (*keysVerifyCmd) Help() string {
	return `Reads one key from standard input, never from the command line, where others would see it. Says whether a route that demands nothing else would let it pass, and if not why, in the words of the log. Nothing is counted. Exit status 0: it is valid; 1: it is not.

Example:

    postern keys verify < key`
}

// Run verifies a key.
func (k *keysVerifyCmd) Run(ctx context.Context, out *output) error {
	if len(k.Key) > 0 {
		return misuse(errors.New("a key is read from standard input, and never given on the command line"), "postern keys verify --help")
	}
	printed, err := out.readKey()
	if err != nil {
		return hint(err, "postern keys verify < FILE")
	}
	return k.withData(ctx, out, reading, func(c *admin.Client) error {
		v, err := c.VerifyKey(ctx, printed)
		if err != nil {
			return err
		}
		err = out.data(v, func(w io.Writer) {
			row(w, "reason", v.Reason)
			if v.Key != nil {
				keyRows(w, *v.Key)
			}
		})
		if err == nil && !v.Valid {
			err = fmt.Errorf("the key is refused: %s", v.Reason)
		}
		return err
	})
}

// readKey reads one line, without showing what is typed.
func (o *output) readKey() (string, error) {
	const limit = 4 << 10 // more than any key has: what is longer is refused without its rest
	var content []byte
	var err error
	if f, ok := o.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		o.note("key, which is not shown as you type it:")
		content, err = term.ReadPassword(int(f.Fd()))
	} else {
		content, err = io.ReadAll(io.LimitReader(o.stdin, limit+1))
	}
	if err != nil {
		return "", fmt.Errorf("reading key from standard input: %w", err)
	}
	switch line := strings.TrimRight(string(content), "\r\n"); {
	case line == "":
		return "", errors.New("there is no key on standard input")
	case strings.ContainsAny(line, "\r\n"):
		return "", errors.New("there is more than one key on standard input")
	default:
		return line, nil
	}
}

// verdict is what the admin API hears of an authorizer.
func verdict(ctx context.Context, a *extauthz.Authorizer, printed string, now time.Time) (admin.Verdict, error) {
	reason, err := a.Verify(ctx, printed, now)
	return admin.Verdict{Valid: reason == extauthz.ReasonAllowed, Reason: reason.String()}, err
}

// verify asks the gate in force.
func (p *postern) verify(ctx context.Context, printed string, now time.Time) (admin.Verdict, error) {
	return verdict(ctx, p.now.Load().checks.Authorizer, printed, now)
}

// verifyInProcess asks a gate of what the file says of a bare key, where no Postern runs.
func verifyInProcess(c *config.Config, keys *keystore.Store) func(context.Context, string, time.Time) (admin.Verdict, error) {
	return func(ctx context.Context, printed string, now time.Time) (admin.Verdict, error) {
		profile, _ := extauthz.ProfileByName(string(c.Profile)) // config knows the same three
		a, err := extauthz.New(extauthz.Options{Profile: profile, Environments: environments(c), Keys: keys})
		if err != nil {
			return admin.Verdict{}, err
		}
		return verdict(ctx, a, printed, now)
	}
}
