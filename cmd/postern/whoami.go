package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/postern-auth/postern/config"
)

type whoamiCmd struct {
	caller
	Local bool `help:"Call no server: show the settings only."`
}

// Help is the detail of the command's help.
func (*whoamiCmd) Help() string {
	return `Shows where each setting comes from, [flag] [env] [keyring] [config] or [unset], and of a credential no more than tells which one it is. Then asks the server whose it is; that counts as a request. A table also where no terminal reads it, unless -o says otherwise. Also: postern auth whoami.

Example:

    postern whoami --server-url https://api.example.com

Example: whom would a key act for?

    postern whoami -H 'X-On-Behalf-Of: user_123'`
}

// settingShown is a setting as JSON has it.
type settingShown struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Source origin  `json:"source"`
}

// Run shows the settings, and who they are.
func (c *whoamiCmd) Run(ctx context.Context, out *output) error {
	from, err := out.sources()
	if err != nil {
		return err
	}
	who, err := c.customer(ctx, from)
	if err != nil {
		return err
	}
	table := out.given == "" || out.given == formatTable
	if table {
		if err := who.writeSettings(out.stdout); err != nil {
			return unwritten(err)
		}
	}
	var identity json.RawMessage
	if !c.Local && who.server.value != "" {
		identity, err = who.call(ctx, request{method: http.MethodGet, path: who.path("/api/v1/authentication/whoami", "/auth/whoami", "/oauth/whoami")})
	}
	if !table {
		shown := struct {
			Settings []settingShown  `json:"settings"`
			Identity json.RawMessage `json:"identity"`
		}{who.settings(), identity}
		if err2 := out.data(shown, nil); err2 != nil {
			return err2
		}
		return err
	}
	if err != nil || identity == nil {
		return err
	}
	line, err := identityLine(config.Profile(who.profile.value), identity)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out.stdout, line)
	return unwritten(err)
}

// settings are what the customer's flags and sources come to, secrets masked.
func (w *customer) settings() []settingShown {
	show := func(name string, s setting) settingShown {
		shown := settingShown{Name: name, Source: s.from}
		if s.value != "" {
			shown.Value = &s.value
		}
		return shown
	}
	credential := w.credential
	if credential.value != "" {
		credential.value = masked(credential.value)
	}
	server := w.server
	if _, err := w.base(); err != nil && server.value != "" {
		server.value = "(not a URL to call)" // it may hold a password
	}
	return []settingShown{show("profile", w.profile), show("server-url", server), show(w.carrier.name, credential)}
}

// writeSettings writes a line for each setting. That of the profile is left out in mka1, whose contract has the others.
func (w *customer) writeSettings(to io.Writer) error {
	columns := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, s := range w.settings() {
		if s.Name != "profile" || w.profile.value != string(config.ProfileMKA1) {
			row(columns, s.Name, text(s.Value), "["+string(s.Source)+"]")
		}
	}
	return columns.Flush()
}

// identity has the members that any profile's whoami has.
type identity struct {
	AccountID      string   `json:"accountId"`
	OrganizationID string   `json:"organizationId"`
	KeyID          string   `json:"keyId"`
	KeyName        string   `json:"keyName"`
	OnBehalfOf     string   `json:"onBehalfOf"`
	Permissions    []string `json:"permissions"`
	Environment    string   `json:"environment"`
	ExpiresAt      string   `json:"expiresAt"`

	TenantID   string `json:"tenantId"`
	MLMUserID  string `json:"mlmUserId"`
	ExternalID string `json:"externalId"`
	Provider   string `json:"provider"`

	Tenant    string `json:"tenant"`
	KeyID2    string `json:"key_id"`
	EndUser   string `json:"end_user"`
	ExpiresA2 string `json:"expires_at"`
}

// identityLine is a reply of whoami on a line.
func identityLine(p config.Profile, reply []byte) (string, error) {
	var i identity
	if err := json.Unmarshal(reply, &i); err != nil {
		return "", fmt.Errorf("the server's identity is not that of profile %s", p)
	}
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+cell(value))
		}
	}
	key := i.KeyID + i.KeyID2
	if i.KeyName != "" {
		key += " (" + i.KeyName + ")"
	}
	add("account", i.AccountID)
	if i.OrganizationID != i.AccountID {
		add("organization", i.OrganizationID)
	}
	add("tenant", i.TenantID+i.Tenant)
	add("environment", i.Environment)
	add("key", key)
	add("user", i.MLMUserID)
	if i.ExternalID != "" {
		add("external id", i.ExternalID+" at "+i.Provider)
	}
	add("on behalf of", i.OnBehalfOf+i.EndUser)
	add("permissions", strings.Join(i.Permissions, ","))
	add("expires", i.ExpiresAt+i.ExpiresA2)
	return strings.Join(parts, "  "), nil
}
