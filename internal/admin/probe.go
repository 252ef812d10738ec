package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/federation"
)

// probePatience is how long a test may take.
const probePatience = 10 * time.Second

// ProbeRequest says what to test a provider with.
type ProbeRequest struct {
	Environment string `json:"environment,omitempty"`
	ExternalJWT string `json:"external_jwt,omitempty"` // signed by the provider; empty: only its keys are looked at
}

// ProviderProbe is what a test of a provider found.
type ProviderProbe struct {
	OK          bool         `json:"ok"` // keys are there and, if a JWT was given, it would be exchanged
	Tenant      string       `json:"tenant"`
	Environment string       `json:"environment"`
	ProviderID  string       `json:"provider_id"`
	JWKSURI     string       `json:"jwks_uri"`
	IsActive    bool         `json:"is_active"`
	KeyIDs      []string     `json:"key_ids"` // of the keys that can verify
	Refused     []RefusedKey `json:"refused"`
	Steps       []ProbeStep  `json:"steps"` // up to the first that fails
}

// RefusedKey is a key in a provider's set that cannot verify.
type RefusedKey struct {
	Place  int    `json:"place"` // in the list, from 0
	KeyID  string `json:"key_id"`
	Reason string `json:"reason"`
}

// ProbeStep is a step of an exchange.
type ProbeStep struct {
	Step    string `json:"step"`
	Outcome string `json:"outcome"` // ok, or what is wrong
	Hint    string `json:"hint,omitempty"`
}

func (h *handler) testProvider(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request ProbeRequest
	if err := body(w, r, &request); err != nil {
		return err
	}
	o, err := h.owner(r, request.Environment)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), probePatience)
	defer cancel()
	id := r.PathValue("provider")
	found, err := h.Users.TestProvider(ctx, o, id, request.ExternalJWT, now)
	if err != nil {
		return aboutUser(err, "provider", id)
	}
	writeJSON(w, http.StatusOK, probeJSON(o, &found))
	return nil
}

func probeJSON(o federation.Owner, found *federation.Probe) ProviderProbe {
	p := ProviderProbe{
		Tenant: o.Tenant, Environment: o.Environment, ProviderID: found.Provider.ID, JWKSURI: found.Provider.JWKSURI, IsActive: found.Provider.IsActive,
		KeyIDs: orEmpty(found.KeyIDs), Refused: []RefusedKey{}, Steps: []ProbeStep{},
	}
	for _, r := range found.Refused {
		p.Refused = append(p.Refused, RefusedKey{Place: r.Place, KeyID: r.KeyID, Reason: r.Reason})
	}
	steps := found.Steps
	if steps == nil {
		steps = []federation.ProbeStep{{Name: "keys", Err: found.KeysErr}}
	}
	if !found.Provider.IsActive {
		p.Steps = append(p.Steps, ProbeStep{"provider", "is switched off", "set is_active to true when it is to be used"})
	}
	for _, s := range steps {
		if s.Name == "keys" && s.Err != nil && found.KeysErr != nil {
			s.Err = found.KeysErr
		}
		p.Steps = append(p.Steps, stepJSON(found, s))
	}
	p.OK = found.Provider.IsActive && found.KeysErr == nil && steps[len(steps)-1].Err == nil
	return p
}

func stepJSON(found *federation.Probe, s federation.ProbeStep) ProbeStep {
	if s.Err == nil {
		return ProbeStep{Step: s.Name, Outcome: "ok"}
	}
	return ProbeStep{Step: s.Name, Outcome: s.Err.Error(), Hint: adviceOn(&found.Provider, s)}
}

// adviceOn says what to do where a step fails.
func adviceOn(p *federation.Provider, s federation.ProbeStep) string {
	missing, isMissing := errors.AsType[*federation.MissingClaimError](s.Err)
	switch {
	case isMissing && s.Name == "e-mail":
		return fmt.Sprintf("have the provider put the user's address into the claim %q (the scope email), name another claim in email_claim, or link the user first", missing.Claim)
	case isMissing:
		return fmt.Sprintf("have the provider put the user's id into the claim %q, a text, or name another claim in user_id_claim; names are exact and top-level", missing.Claim)
	}
	switch s.Name {
	case "keys":
		return "jwks_uri must serve the key set over https to anybody, as application/json, without redirects and within 5 s; a private address must be listed in jwks.allow_hosts"
	case "form":
		return "send the token itself, a signed JWT in three parts: not one that is encrypted, opaque, or signed with a shared secret (HS256)"
	case "signature":
		return "the token is signed by a key that is not in the set of jwks_uri: compare its kid, and whether jwks_uri is that of the same provider"
	case "issuer":
		return fmt.Sprintf("set issuer to the token's iss, byte for byte, with or without the slash at its end; it is %q", p.Issuer)
	case "audience":
		return fmt.Sprintf("list the token's aud in allowed_audiences, which holds %s; access tokens of Cognito have no aud: exchange its ID tokens", strings.Join(p.AllowedAudiences, ", "))
	case "times":
		return "sign in anew for a token that lives; if that does not help, compare the clocks: 60 s apart is the most"
	case "user":
		return "the user is not linked and auto_create_users is off, or was deactivated: postern users list shows them"
	case "e-mail":
		return "another user has that address, and an address is no proof: link the user by POST …/auth/link"
	}
	return ""
}

// TestProvider fetches a provider's keys, and says what an exchange of a JWT would come to.
func (c *Client) TestProvider(ctx context.Context, tenant, id string, r ProbeRequest) (ProviderProbe, error) {
	return ask[ProviderProbe](ctx, c, http.MethodPost, ownerOf(tenant, "providers")+"/"+segment(id)+"/test", r)
}
