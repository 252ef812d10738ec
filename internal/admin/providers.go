package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/federation"
)

// Provider is an identity provider of a tenant, in one environment.
type Provider struct {
	Tenant                string    `json:"tenant"`
	Environment           string    `json:"environment"`
	ProviderID            string    `json:"provider_id"`
	DisplayName           string    `json:"display_name"`
	Issuer                string    `json:"issuer"`
	JWKSURI               string    `json:"jwks_uri"`
	AllowedAudiences      []string  `json:"allowed_audiences"`
	AutoCreateUsers       bool      `json:"auto_create_users"`
	DefaultMembershipTier string    `json:"default_membership_tier"`
	UserIDClaim           string    `json:"user_id_claim"`
	EmailClaim            string    `json:"email_claim"`
	NameClaim             string    `json:"name_claim"`
	IsActive              bool      `json:"is_active"`
	CreatedAt             time.Time `json:"created_at"`
	UpdatedAt             time.Time `json:"updated_at"`
}

func providerJSON(o federation.Owner, p *federation.Provider) Provider {
	return Provider{
		Tenant: o.Tenant, Environment: o.Environment, ProviderID: p.ID, DisplayName: p.DisplayName, Issuer: p.Issuer, JWKSURI: p.JWKSURI,
		AllowedAudiences: p.AllowedAudiences, AutoCreateUsers: p.AutoCreateUsers, DefaultMembershipTier: string(p.DefaultMembershipTier),
		UserIDClaim: p.UserIDClaim, EmailClaim: p.EmailClaim, NameClaim: p.NameClaim, IsActive: p.IsActive, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}

// EnvironmentRequest says in which environment something is to be done. Empty: in the only one, or where what is named is found.
type EnvironmentRequest struct {
	Environment string `json:"environment,omitempty"`
}

func (h *handler) providers(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	query, err := parameters(r, "environment")
	if err != nil {
		return err
	}
	owners, err := h.owners(r, query.Get("environment"))
	if err != nil {
		return err
	}
	return writeList(w, "providers", h.providersOf(r.Context(), owners), func(p *Provider) *Provider { return p })
}

func (h *handler) providersOf(ctx context.Context, owners []federation.Owner) iter.Seq2[Provider, error] {
	return func(yield func(Provider, error) bool) {
		for _, o := range owners {
			list, err := h.Users.Providers(ctx, o)
			if err != nil {
				yield(Provider{}, err)
				return
			}
			for i := range list {
				if !yield(providerJSON(o, &list[i]), nil) {
					return
				}
			}
		}
	}
}

func (h *handler) putProvider(w http.ResponseWriter, r *http.Request, now time.Time) error {
	environment, o, err := objectOfBody(w, r, federation.ProviderMembers()...)
	if err != nil {
		return err
	}
	owner, err := h.owner(r, environment)
	if err != nil {
		return err
	}
	spec, err := federation.ReadProvider(o)
	if err != nil {
		return aboutUser(err, "provider", spec.ID)
	}
	p, err := h.Users.PutProvider(r.Context(), owner, spec, now)
	if err != nil {
		return aboutUser(err, "provider", spec.ID)
	}
	writeJSON(w, http.StatusOK, providerJSON(owner, &p))
	return nil
}

func (h *handler) provider(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	query, err := parameters(r, "environment")
	if err != nil {
		return err
	}
	o, err := h.owner(r, query.Get("environment"))
	if err != nil {
		return err
	}
	id := r.PathValue("provider")
	p, err := h.Users.Provider(r.Context(), o, id)
	if err != nil {
		return aboutUser(err, "provider", id)
	}
	writeJSON(w, http.StatusOK, providerJSON(o, &p))
	return nil
}

func (h *handler) deleteProvider(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request EnvironmentRequest
	if err := body(w, r, &request); err != nil {
		return err
	}
	o, err := h.owner(r, request.Environment)
	if err != nil {
		return err
	}
	id := r.PathValue("provider")
	p, err := h.Users.Provider(r.Context(), o, id)
	if err == nil {
		err = h.Users.DeleteProvider(r.Context(), o, id, now)
	}
	if err != nil {
		return aboutUser(err, "provider", id)
	}
	writeJSON(w, http.StatusOK, providerJSON(o, &p))
	return nil
}

// newProvider is one that is to be made with its tenant.
type newProvider struct {
	environment string
	spec        federation.ProviderSpec
}

// maxNewProviders is how many providers a tenant may have in an environment.
const maxNewProviders = 100

// newProviders reads the providers of a new tenant, all before anything is made.
func (h *handler) newProviders(list []json.RawMessage) (all []newProvider, err error) {
	if len(list) > 0 && h.Users == nil {
		return nil, invalid("providers", "are not known in this profile", "they belong to profile mlm")
	}
	if len(list) > maxNewProviders {
		return nil, invalid("providers", fmt.Sprintf("are %d, and %d are possible", len(list), maxNewProviders), "")
	}
	for i, raw := range list {
		spec, environments, err := h.newProvider(raw)
		if err != nil {
			if refused, _ := translate(aboutUser(err, "provider", spec.ID)); refused.Status == http.StatusBadRequest {
				return nil, invalid("providers", fmt.Sprintf("%d: %s", i, refused.Message), refused.Hint)
			}
			return nil, err
		}
		for _, e := range environments {
			all = append(all, newProvider{e, spec})
		}
	}
	return all, nil
}

// newProvider reads one provider, and where it is to be.
func (h *handler) newProvider(raw json.RawMessage) (spec federation.ProviderSpec, environments []string, err error) {
	o, err := parseObject(raw)
	if err != nil {
		return spec, nil, err
	}
	one, err := textOf(o, "environment")
	if err != nil {
		return spec, nil, err
	}
	if m, given := o.Given("environments"); given {
		var ok bool
		if environments, ok = m.Texts(); !ok {
			return spec, nil, invalid("environments", "is not a list of texts", "")
		}
	}
	if one != "" {
		environments = append(environments, one)
	}
	var configured []string
	for _, e := range h.Keys.Environments() {
		configured = append(configured, e.Name)
	}
	for _, e := range environments {
		if !slices.Contains(configured, e) {
			return spec, nil, invalid("environment", fmt.Sprintf("%q is not configured", e), "choose of "+strings.Join(configured, ", "))
		}
	}
	if len(environments) == 0 {
		environments = configured
	}
	if err := onlyKnown(o, append(federation.ProviderMembers(), "environment", "environments")...); err != nil {
		return spec, nil, err
	}
	spec, err = federation.ReadProvider(o)
	return spec, environments, err
}

// putProviders makes the providers of a tenant that was just made.
func (h *handler) putProviders(ctx context.Context, tenant string, all []newProvider, now time.Time) error {
	for _, p := range all {
		if _, err := h.Users.PutProvider(ctx, federation.Owner{Tenant: tenant, Environment: p.environment}, p.spec, now); err != nil {
			return fmt.Errorf("the tenant %q is made, its provider %q is not: %w", tenant, p.spec.ID, err)
		}
	}
	return nil
}

// Providers lists the providers of a tenant, in one environment or, if none is named, in all. An error ends the list.
func (c *Client) Providers(ctx context.Context, tenant, environment string) iter.Seq2[Provider, error] {
	query := url.Values{}
	set(query, "environment", environment)
	return list[Provider](ctx, c, ownerOf(tenant, "providers")+"?"+query.Encode(), "providers")
}

// PutProvider makes or changes a provider: request is a JSON object with environment and the members of federation.ProviderMembers.
func (c *Client) PutProvider(ctx context.Context, tenant string, request json.RawMessage) (Provider, error) {
	return ask[Provider](ctx, c, http.MethodPost, ownerOf(tenant, "providers"), request)
}

// DeleteProvider deletes a provider, and returns what it was.
func (c *Client) DeleteProvider(ctx context.Context, tenant, id string, r EnvironmentRequest) (Provider, error) {
	return ask[Provider](ctx, c, http.MethodPost, ownerOf(tenant, "providers")+"/"+segment(id)+"/delete", r)
}
