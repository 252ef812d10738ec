package jwks

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
)

var errDiscovery = errors.New("discovery document not accepted")

// discover asks the issuer where its keys stand (OpenID Connect Discovery 1.0, section 4). The issuer that the document names
// must be that one, byte for byte; the keys must stand at the same host, at one of hosts, or at one that is allowed anyway.
// Everything else is as for key sets: the client of f reads the document.
func (f *Fetcher) discover(ctx context.Context, issuer string, hosts []string) (string, error) {
	u, err := f.guard.checkURL(issuer)
	if err != nil {
		return "", fmt.Errorf("discovering issuer %q: %w", issuer, err)
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, f.client), issuer)
	var mismatch *oidc.IssuerMismatchError
	switch {
	case errors.As(err, &mismatch):
		return "", fmt.Errorf("discovering issuer %q: %w: it names the issuer %q", issuer, errDiscovery, cut(mismatch.Discovered))
	case err != nil:
		return "", fmt.Errorf("discovering issuer %q: %w", issuer, plainCause(err))
	}
	var document struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil || document.KeysURL == "" || len(document.KeysURL) > maxURL {
		return "", fmt.Errorf("discovering issuer %q: %w: no usable jwks_uri", issuer, errDiscovery)
	}
	keys, err := f.guard.checkURL(document.KeysURL)
	if err != nil {
		return "", fmt.Errorf("discovering issuer %q: jwks_uri: %w", issuer, err)
	}
	here := plainHost(keys.Hostname())
	if here != plainHost(u.Hostname()) && !slices.Contains(hosts, here) && !f.guard.listed(keys.Hostname(), portOf(keys)) {
		return "", fmt.Errorf("discovering issuer %q: %w: its keys stand at the host %q, which is neither the issuer's nor listed", issuer, errDiscovery, cut(here))
	}
	return document.KeysURL, nil
}
