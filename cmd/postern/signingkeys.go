package main

import (
	"context"
	"io"
	"time"

	"github.com/postern-auth/postern/internal/admin"
)

type signingKeysCmd struct {
	List   signingKeysListCmd   `cmd:"" help:"List the signing keys."`
	Rotate signingKeysRotateCmd `cmd:"" help:"Publish a new signing key, which signs in an hour."`
}

// Help is the detail of the noun's help.
func (*signingKeysCmd) Help() string {
	return `Example:

    postern signing-keys list`
}

type signingKeysListCmd struct{ located }

// Help is the detail of the command's help.
func (*signingKeysListCmd) Help() string {
	return `The key that signs comes first, then those that are published and will sign, then those that are retired: these stay in the published key set for 31 days, as tokens that they signed may be alive.

Example: since when the present key has signed.

    postern signing-keys list -o json | jq -r '.signing_keys[] | select(.state == "signing").began_at'`
}

// Run lists signing keys.
func (k *signingKeysListCmd) Run(ctx context.Context, out *output) error {
	return k.withData(ctx, out, reading, func(c *admin.Client) error {
		return list(out, "signing_keys", c.SigningKeys(ctx), []string{"KID", "ALGORITHM", "STATE", "PUBLISHED", "SIGNS FROM", "RETIRED"}, func(k admin.SigningKey) []string {
			return []string{k.KID, k.Algorithm, k.State, when(&k.PublishedAt), when(&k.SignsFrom), when(k.RetiredAt)}
		})
	})
}

type signingKeysRotateCmd struct{ located }

// Help is the detail of the command's help.
func (*signingKeysRotateCmd) Help() string {
	return `Makes a key and publishes it; the present one signs for another hour, so that nobody meets a key that is not in the key set that they hold. If a key is published already, this says which, and changes nothing. Tokens that were issued before stay good.

Keys are also replaced by themselves, every 90 days (rotate_every).

Example:

    postern signing-keys rotate`
}

// Run rotates the signing keys.
func (k *signingKeysRotateCmd) Run(ctx context.Context, out *output) error {
	return k.withData(ctx, out, writing, func(c *admin.Client) error {
		key, err := c.RotateSigningKeys(ctx)
		if err != nil {
			return err
		}
		if key.State == "published" {
			out.note("key %s signs from %s on", key.KID, key.SignsFrom.UTC().Format(time.RFC3339))
		}
		return out.data(key, func(w io.Writer) {
			row(w, "kid", key.KID)
			row(w, "algorithm", key.Algorithm)
			row(w, "state", key.State)
			row(w, "published", when(&key.PublishedAt))
			row(w, "signs from", when(&key.SignsFrom))
		})
	})
}
