package api

import (
	"net/http"
	"time"
)

// mka1Identity is what mka1 says of a caller.
type mka1Identity struct {
	Credential     string   `json:"credential" jsonschema:"enum=api_key,enum=jwt"`
	AccountID      string   `json:"accountId"`
	OrganizationID *string  `json:"organizationId" jsonschema:"nullable"`
	KeyID          string   `json:"keyId"`
	KeyName        *string  `json:"keyName" jsonschema:"nullable"`
	Start          *string  `json:"start" jsonschema:"nullable"`
	OnBehalfOf     *string  `json:"onBehalfOf" jsonschema:"nullable"`
	Permissions    []string `json:"permissions"`
	Environment    *string  `json:"environment" jsonschema:"nullable"`
	ExpiresAt      *string  `json:"expiresAt" jsonschema:"nullable"`
}

// mlmIdentity is what mlm says of a caller.
type mlmIdentity struct {
	Credential  string     `json:"credential" jsonschema:"enum=api_key,enum=access_token"`
	TenantID    string     `json:"tenantId"`
	Environment string     `json:"environment"`
	KeyID       string     `json:"keyId"`
	UserID      *string    `json:"mlmUserId" jsonschema:"nullable"`
	ExternalID  *string    `json:"externalId" jsonschema:"nullable"`
	Provider    *string    `json:"provider" jsonschema:"nullable"`
	Permissions []string   `json:"permissions"`
	ExpiresAt   *time.Time `json:"expiresAt" jsonschema:"nullable"`
}

// identity is what the default profile says of a caller.
type identity struct {
	Credential  string     `json:"credential" jsonschema:"enum=api_key,enum=jwt"`
	Tenant      string     `json:"tenant"`
	Environment string     `json:"environment"`
	KeyID       *string    `json:"key_id" jsonschema:"nullable"` // null: a token of another issuer
	EndUser     *string    `json:"end_user" jsonschema:"nullable"`
	Permissions []string   `json:"permissions"`
	ExpiresAt   *time.Time `json:"expires_at" jsonschema:"nullable"`
}

// whoami says what the caller's credential proves.
func (c *call) whoami() (Reply, error) {
	who := c.caller
	switch c.site.Form {
	case FormMKA1:
		i := mka1Identity{
			Credential: kind(who, "jwt"), AccountID: who.Tenant, KeyID: who.KeyID, KeyName: orNull(who.KeyName), Start: orNull(who.KeyStart),
			OnBehalfOf: orNull(who.EndUser), Permissions: orEmpty(who.Permissions), ExpiresAt: milliseconds(who.ExpiresAt),
		}
		if who.Organization {
			i.OrganizationID = &who.Tenant
		}
		if !c.site.HideEnvironment {
			i.Environment = &who.Environment
		}
		return asJSON(http.StatusOK, i), nil
	case FormMLM:
		i := mlmIdentity{
			Credential: kind(who, "access_token"), TenantID: who.Tenant, Environment: who.Environment, KeyID: who.KeyID,
			UserID: orNull(who.EndUser), ExternalID: orNull(who.ExternalID), Provider: orNull(who.Provider), Permissions: orEmpty(who.Permissions), ExpiresAt: timeOrNull(who.ExpiresAt),
		}
		return asJSON(http.StatusOK, i), nil
	case FormDefault:
	}
	return asJSON(http.StatusOK, identity{
		Credential: kind(who, "jwt"), Tenant: who.Tenant, Environment: who.Environment, KeyID: orNull(who.KeyID),
		EndUser: orNull(who.EndUser), Permissions: orEmpty(who.Permissions), ExpiresAt: timeOrNull(who.ExpiresAt),
	}), nil
}

// kind is what the credential is called.
func kind(who *Caller, token string) string {
	if who.Token {
		return token
	}
	return "api_key"
}

// asJSON is a reply with one value.
func asJSON(status int, v any) Reply {
	return Reply{Status: status, Header: []Field{{"Content-Type", typeJSON}}, Body: marshal(v)}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	utc := t.UTC()
	return &utc
}

// milliseconds is a time as mka1 writes it.
func milliseconds(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	return &text
}
