package admin

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/strictjson"
)

// userResources are those of profiles that know users.
func (h *handler) userResources() map[string]map[string]endpoint {
	get := func(e endpoint) map[string]endpoint { return map[string]endpoint{http.MethodGet: h.withUsers(e)} }
	post := func(e endpoint) map[string]endpoint { return map[string]endpoint{http.MethodPost: h.withUsers(e)} }
	const providers, users = "/v1/tenants/{tenant}/providers", "/v1/tenants/{tenant}/users"
	return map[string]map[string]endpoint{
		providers:                        {http.MethodGet: h.withUsers(h.providers), http.MethodPost: h.withUsers(h.putProvider)},
		providers + "/{provider}":        get(h.provider),
		providers + "/{provider}/delete": post(h.deleteProvider),
		providers + "/{provider}/test":   post(h.testProvider),
		users:                            {http.MethodGet: h.withUsers(h.users), http.MethodPost: h.withUsers(h.createUser)},
		users + "/{user}":                get(h.user),
		users + "/{user}/update":         post(h.updateUser),
		users + "/{user}/deactivate":     post(h.setUser(new(false))),
		users + "/{user}/activate":       post(h.setUser(new(true))),
	}
}

// withUsers is e where there are users.
func (h *handler) withUsers(e endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request, now time.Time) error {
		if h.Users == nil {
			return &Error{
				Status: http.StatusNotFound, Message: "this profile knows no users and no providers of tenants",
				Hint: "they belong to profile mlm; elsewhere an identity provider is listed under issuers in the file",
			}
		}
		return e(w, r, now)
	}
}

// owners are the tenant in the path, in the environment that is named or, if none is, in each.
func (h *handler) owners(r *http.Request, environment string) ([]federation.Owner, error) {
	ref := r.PathValue("tenant")
	tenant, err := h.Keys.Tenant(r.Context(), ref)
	if err != nil {
		return nil, about(err, "tenant", ref)
	}
	var all []federation.Owner
	var names []string
	for _, e := range h.Keys.Environments() {
		names = append(names, e.Name)
		if environment == "" || environment == e.Name {
			all = append(all, federation.Owner{Tenant: tenant.ID, Environment: e.Name})
		}
	}
	if len(all) == 0 {
		return nil, invalid("environment", fmt.Sprintf("%q is not configured", environment), "choose one of "+strings.Join(names, ", "))
	}
	return all, nil
}

// owner is the tenant in the path, in one environment.
func (h *handler) owner(r *http.Request, environment string) (federation.Owner, error) {
	all, err := h.owners(r, environment)
	if err != nil {
		return federation.Owner{}, err
	}
	if len(all) > 1 {
		var names []string
		for _, o := range all {
			names = append(names, o.Environment)
		}
		return federation.Owner{}, invalid("environment", "is missing", "choose one of "+strings.Join(names, ", "))
	}
	return all[0], nil
}

// textOf reads a member that is a text, and may be left out.
func textOf(o strictjson.Object, name string) (string, error) {
	m, given := o.Given(name)
	if !given {
		return "", nil
	}
	text, ok := m.Text()
	if !ok {
		return "", invalid(name, "is not a text", "")
	}
	return text, nil
}

// onlyKnown refuses other names than these.
func onlyKnown(o strictjson.Object, known ...string) error {
	for _, m := range o {
		if !slices.Contains(known, m.Name) {
			return unknownField(m.Name)
		}
	}
	return nil
}

// objectOfBody reads the body of a request about an owner: its environment, and the whole, in which others than the known members and that one are refused.
func objectOfBody(w http.ResponseWriter, r *http.Request, known ...string) (environment string, o strictjson.Object, err error) {
	data, err := rawBody(w, r)
	if err != nil {
		return "", nil, err
	}
	if strings.TrimSpace(string(data)) == "" {
		return "", nil, nil
	}
	if o, err = parseObject(data); err != nil {
		return "", nil, err
	}
	if environment, err = textOf(o, "environment"); err != nil {
		return "", nil, err
	}
	return environment, o, onlyKnown(o, append(known, "environment")...)
}

// aboutUser says what err means for the provider or user that a request names.
func aboutUser(err error, kind, id string) error {
	if bad, ok := errors.AsType[*federation.InvalidError](err); ok {
		refused := &Error{Status: http.StatusBadRequest, Message: bad.Error()}
		if fields := slices.Collect(maps.Keys(bad.Fields)); len(fields) == 1 {
			refused.Field = fields[0]
		}
		return refused
	}
	if repeat, ok := errors.AsType[*federation.RepeatError](err); ok {
		return &Error{Status: http.StatusConflict, Message: fmt.Sprintf("this request made user %q already", repeat.ID), Hint: "nothing was done now"}
	}
	conflict := func(hint string) error {
		return &Error{Status: http.StatusConflict, Message: plainText(err), Hint: hint}
	}
	switch {
	case errors.Is(err, federation.ErrProviderNotFound), errors.Is(err, federation.ErrUserNotFound):
		return &Error{
			Status: http.StatusNotFound, Message: fmt.Sprintf("no %s %q there", kind, id),
			Hint: fmt.Sprintf("postern %ss list --tenant … shows them all; tenant and environment must be the right ones too", kind),
		}
	case errors.Is(err, federation.ErrEmailExists):
		return conflict("find it with: postern users list --tenant … --email …")
	case errors.Is(err, federation.ErrTooManyProviders):
		return conflict("delete one that nobody uses")
	}
	return err
}

// plainText is the sentinel in err.
func plainText(err error) string {
	for _, known := range []error{federation.ErrEmailExists, federation.ErrTooManyProviders} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

// ownerOf is the path of what a tenant owns.
func ownerOf(tenant, kind string) string { return "/v1/tenants/" + segment(tenant) + "/" + kind }
