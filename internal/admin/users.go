package admin

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/postern-auth/postern/internal/federation"
)

// User is one of a tenant's users, in one environment.
type User struct {
	ID             string    `json:"id"`
	Tenant         string    `json:"tenant"`
	Environment    string    `json:"environment"`
	Email          *string   `json:"email"`
	DisplayName    *string   `json:"display_name"`
	MembershipTier string    `json:"membership_tier"`
	IsActive       bool      `json:"is_active"`
	IsTestUser     bool      `json:"is_test_user"`
	Links          []Link    `json:"links"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// Link is what a provider calls a user.
type Link struct {
	Provider   string `json:"provider"`
	ExternalID string `json:"external_id"`
}

func userJSON(u *federation.User) User {
	links := []Link{}
	for _, l := range u.Links {
		links = append(links, Link(l))
	}
	return User{
		ID: u.ID, Tenant: u.Owner.Tenant, Environment: u.Owner.Environment, Email: orNull(u.Email), DisplayName: orNull(u.DisplayName),
		MembershipTier: string(u.MembershipTier), IsActive: u.IsActive, IsTestUser: u.IsTestUser, Links: links, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}

func (h *handler) users(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	query, err := parameters(r, "environment", "email")
	if err != nil {
		return err
	}
	owners, err := h.owners(r, query.Get("environment"))
	if err != nil {
		return err
	}
	return writeList(w, "users", h.usersOf(r.Context(), owners, query.Get("email")), userJSON)
}

// usersOf are the users of all owners, or those with an address.
func (h *handler) usersOf(ctx context.Context, owners []federation.Owner, email string) iter.Seq2[federation.User, error] {
	return func(yield func(federation.User, error) bool) {
		for _, o := range owners {
			all := h.Users.EveryUser(ctx, o)
			if email != "" {
				all = h.usersByEmail(ctx, o, email)
			}
			for u, err := range all {
				if !yield(u, err) || err != nil {
					return
				}
			}
		}
	}
}

func (h *handler) usersByEmail(ctx context.Context, o federation.Owner, email string) iter.Seq2[federation.User, error] {
	return func(yield func(federation.User, error) bool) {
		list, _, err := h.Users.Users(ctx, o, federation.UserQuery{Limit: 1, Email: email})
		if err != nil {
			yield(federation.User{}, err)
		}
		for _, u := range list {
			if !yield(u, nil) {
				return
			}
		}
	}
}

func (h *handler) createUser(w http.ResponseWriter, r *http.Request, now time.Time) error {
	environment, o, err := objectOfBody(w, r, federation.UserMembers()...)
	if err != nil {
		return err
	}
	owner, err := h.owner(r, environment)
	if err != nil {
		return err
	}
	spec, err := federation.ReadUser(o)
	if err != nil {
		return aboutUser(err, "user", "")
	}
	u, err := h.Users.CreateUser(r.Context(), owner, spec, now)
	if err != nil {
		return aboutUser(err, "user", "")
	}
	writeJSON(w, http.StatusCreated, userJSON(&u))
	return nil
}

// findUser looks in the environment that is named or, if none is, in each: the id of a user is nobody else's.
func (h *handler) findUser(r *http.Request, environment string) (federation.User, error) {
	owners, err := h.owners(r, environment)
	if err != nil {
		return federation.User{}, err
	}
	id := r.PathValue("user")
	for _, o := range owners {
		var u federation.User
		if u, err = h.Users.User(r.Context(), o, id); !errors.Is(err, federation.ErrUserNotFound) {
			return u, err
		}
	}
	return federation.User{}, aboutUser(err, "user", id)
}

func (h *handler) user(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	query, err := parameters(r, "environment")
	if err != nil {
		return err
	}
	u, err := h.findUser(r, query.Get("environment"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, userJSON(&u))
	return nil
}

func (h *handler) updateUser(w http.ResponseWriter, r *http.Request, now time.Time) error {
	environment, o, err := objectOfBody(w, r, "email", "display_name", "membership_tier", "is_active")
	if err != nil {
		return err
	}
	change, err := federation.ReadUserChange(o)
	switch {
	case err != nil:
		return aboutUser(err, "user", "")
	case change == federation.UserChange{}:
		return errNothing()
	}
	return h.changeUser(w, r, environment, change, now)
}

// setUser returns the endpoint that sets whether a user is active.
func (h *handler) setUser(active *bool) endpoint {
	return func(w http.ResponseWriter, r *http.Request, now time.Time) error {
		var request EnvironmentRequest
		if err := body(w, r, &request); err != nil {
			return err
		}
		return h.changeUser(w, r, request.Environment, federation.UserChange{IsActive: active}, now)
	}
}

func (h *handler) changeUser(w http.ResponseWriter, r *http.Request, environment string, change federation.UserChange, now time.Time) error {
	u, err := h.findUser(r, environment)
	if err != nil {
		return err
	}
	if u, err = h.Users.UpdateUser(r.Context(), u.Owner, u.ID, change, now); err != nil {
		return aboutUser(err, "user", r.PathValue("user"))
	}
	writeJSON(w, http.StatusOK, userJSON(&u))
	return nil
}

// Users lists the users of a tenant in the order in which they were made, in one environment or, if none is named, in all; with an e-mail address
// only those that have it. An error ends the list.
func (c *Client) Users(ctx context.Context, tenant, environment, email string) iter.Seq2[User, error] {
	query := url.Values{}
	set(query, "environment", environment)
	set(query, "email", email)
	return list[User](ctx, c, ownerOf(tenant, "users")+"?"+query.Encode(), "users")
}

// User returns a user.
func (c *Client) User(ctx context.Context, tenant, environment, id string) (User, error) {
	query := url.Values{}
	set(query, "environment", environment)
	return ask[User](ctx, c, http.MethodGet, ownerOf(tenant, "users")+"/"+segment(id)+"?"+query.Encode(), nil)
}

// DeactivateUser refuses a user and its tokens, from its return on.
func (c *Client) DeactivateUser(ctx context.Context, tenant, id string, r EnvironmentRequest) (User, error) {
	return ask[User](ctx, c, http.MethodPost, ownerOf(tenant, "users")+"/"+segment(id)+"/deactivate", r)
}

// ActivateUser ends what DeactivateUser did.
func (c *Client) ActivateUser(ctx context.Context, tenant, id string, r EnvironmentRequest) (User, error) {
	return ask[User](ctx, c, http.MethodPost, ownerOf(tenant, "users")+"/"+segment(id)+"/activate", r)
}
