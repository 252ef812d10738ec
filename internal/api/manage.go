package api

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/postern-auth/postern/internal/federation"
)

// Pages of a list.
const (
	pageDefault = 20
	pageMost    = 100
	offsetMost  = 1<<31 - 1
)

// brief is a provider as the reply to its change has it: eight members.
type brief struct {
	ID                    string   `json:"provider_id"`
	DisplayName           string   `json:"display_name"`
	Issuer                string   `json:"issuer"`
	JWKSURI               string   `json:"jwks_uri"`
	AllowedAudiences      []string `json:"allowed_audiences"`
	AutoCreateUsers       bool     `json:"auto_create_users"`
	DefaultMembershipTier string   `json:"default_membership_tier"`
	IsActive              bool     `json:"is_active"`
}

// full is all of a provider.
type full struct {
	brief
	UserIDClaim string    `json:"user_id_claim"`
	EmailClaim  string    `json:"email_claim"`
	NameClaim   string    `json:"name_claim"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// providerPage is a part of the list of providers.
type providerPage struct {
	Providers []full `json:"providers"`
	Total     int    `json:"total"`
	Limit     int    `json:"limit"`
	Offset    int    `json:"offset"`
}

func briefOf(p *federation.Provider) brief {
	return brief{
		ID: p.ID, DisplayName: p.DisplayName, Issuer: p.Issuer, JWKSURI: p.JWKSURI, AllowedAudiences: orEmpty(p.AllowedAudiences),
		AutoCreateUsers: p.AutoCreateUsers, DefaultMembershipTier: string(p.DefaultMembershipTier), IsActive: p.IsActive,
	}
}

func fullOf(p *federation.Provider) full {
	return full{
		brief: briefOf(p), UserIDClaim: p.UserIDClaim, EmailClaim: p.EmailClaim, NameClaim: p.NameClaim,
		CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
}

// putProvider makes a provider, or changes the one of that id.
func (c *call) putProvider() (Reply, error) {
	o, err := parseObject(c.body)
	if err != nil {
		return Reply{}, err
	}
	spec, err := federation.ReadProvider(o)
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	p, err := c.Federation.PutProvider(c.recorded(), c.owner(), spec, c.now)
	if errors.Is(err, federation.ErrTooManyProviders) {
		return Reply{}, invalid("provider_id", "is one more than a tenant may have")
	}
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	return asJSON(http.StatusOK, briefOf(&p)), nil
}

func (c *call) getProvider() (Reply, error) {
	p, err := c.Federation.Provider(c.r.Context(), c.owner(), c.id)
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	return asJSON(http.StatusOK, fullOf(&p)), nil
}

func (c *call) deleteProvider() (Reply, error) {
	if err := c.Federation.DeleteProvider(c.recorded(), c.owner(), c.id, c.now); err != nil {
		return Reply{}, c.federationError(err)
	}
	return Reply{Status: http.StatusNoContent}, nil
}

func (c *call) listProviders() (Reply, error) {
	page, err := c.page()
	if err != nil {
		return Reply{}, err
	}
	all, err := c.Federation.Providers(c.r.Context(), c.owner())
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	list := []full{}
	for i := min(page.offset, len(all)); i < min(page.offset+page.limit, len(all)); i++ {
		list = append(list, fullOf(&all[i]))
	}
	return asJSON(http.StatusOK, providerPage{list, len(all), page.limit, page.offset}), nil
}

// person is a user.
type person struct {
	ID             string    `json:"id"`
	Tenant         string    `json:"tenant_id"`
	Environment    string    `json:"environment"`
	Email          *string   `json:"email" jsonschema:"nullable"`
	DisplayName    *string   `json:"display_name" jsonschema:"nullable"`
	MembershipTier string    `json:"membership_tier"`
	IsActive       bool      `json:"is_active"`
	IsTestUser     bool      `json:"is_test_user"`
	Links          []linked  `json:"links"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// linked is what a provider calls a user.
type linked struct {
	Provider   string `json:"provider"`
	ExternalID string `json:"external_id"`
}

// peoplePage is a part of the list of users.
type peoplePage struct {
	Users  []person `json:"users"`
	Total  int      `json:"total"`
	Limit  int      `json:"limit"`
	Offset int      `json:"offset"`
}

func personOf(u *federation.User) person {
	p := person{
		ID: u.ID, Tenant: u.Owner.Tenant, Environment: u.Owner.Environment, Email: orNull(u.Email), DisplayName: orNull(u.DisplayName),
		MembershipTier: string(u.MembershipTier), IsActive: u.IsActive, IsTestUser: u.IsTestUser, Links: []linked{},
		CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(),
	}
	for _, l := range u.Links {
		p.Links = append(p.Links, linked(l))
	}
	return p
}

func (c *call) createUser() (Reply, error) {
	o, err := parseObject(c.body)
	if err != nil {
		return Reply{}, err
	}
	spec, err := federation.ReadUser(o)
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	u, err := c.Federation.CreateUser(c.recorded(), c.owner(), spec, c.now)
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	return asJSON(http.StatusCreated, personOf(&u)), nil
}

func (c *call) getUser() (Reply, error) {
	u, err := c.Federation.User(c.r.Context(), c.owner(), c.id)
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	return asJSON(http.StatusOK, personOf(&u)), nil
}

func (c *call) updateUser() (Reply, error) {
	o, err := parseObject(c.body)
	if err != nil {
		return Reply{}, err
	}
	change, err := federation.ReadUserChange(o)
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	u, err := c.Federation.UpdateUser(c.recorded(), c.owner(), c.id, change, c.now)
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	return asJSON(http.StatusOK, personOf(&u)), nil
}

func (c *call) listUsers() (Reply, error) {
	page, err := c.page()
	if err != nil {
		return Reply{}, err
	}
	all, total, err := c.Federation.Users(c.r.Context(), c.owner(), federation.UserQuery{Offset: page.offset, Limit: page.limit})
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	list := []person{}
	for i := range all {
		list = append(list, personOf(&all[i]))
	}
	return asJSON(http.StatusOK, peoplePage{list, total, page.limit, page.offset}), nil
}

// page is which part of a list is asked for.
type page struct{ limit, offset int }

// page reads the query: two numbers, each once. Others are ignored.
func (c *call) page() (page, error) {
	p := page{limit: pageDefault}
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return p, invalid("query", "cannot be read")
	}
	var problems []detail
	read := func(name string, least, most int, into *int) {
		lines, given := query[name]
		if !given {
			return
		}
		n, err := strconv.Atoi(lines[0])
		if len(lines) > 1 || err != nil || n < least || n > most {
			problems = append(problems, detail{name, "must be a whole number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)})
		}
		*into = n
	}
	read("limit", 1, pageMost, &p.limit)
	read("offset", 0, offsetMost, &p.offset)
	if len(problems) > 0 {
		return p, refuse(http.StatusBadRequest, codeValidation, problems...)
	}
	return p, nil
}
