package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// maxAge is how long the public documents may be kept. A key is published for longer than that before it signs.
const maxAge = "public, max-age=300"

// metadata are the documents about this Postern, as they are sent.
type metadata struct {
	issuer, resource document
}

// document is one that everybody may read and keep.
type document struct {
	body []byte
	tag  string // of its content
}

func newDocument(body []byte) document {
	sum := sha256.Sum256(body)
	return document{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// issuerDocument is what RFC 8414 has an issuer say. The members from TokenEndpoint on are those of the default profile.
type issuerDocument struct {
	Issuer                string   `json:"issuer"`
	JWKSURI               string   `json:"jwks_uri"`
	TokenEndpoint         string   `json:"token_endpoint,omitempty"`
	IntrospectionEndpoint string   `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint    string   `json:"revocation_endpoint,omitempty"`
	ResponseTypes         []string `json:"response_types_supported"`
	GrantTypes            []string `json:"grant_types_supported,omitempty"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported,omitempty"`
}

// resourceDocument is what RFC 9728 has a resource say.
type resourceDocument struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	JWKSURI              string   `json:"jwks_uri"`
	BearerMethods        []string `json:"bearer_methods_supported"`
}

func newMetadata(s Settings) metadata {
	issuer := issuerDocument{Issuer: s.Issuer, JWKSURI: s.origin() + keysPath, ResponseTypes: []string{}}
	if s.Form == FormDefault {
		paths, _ := s.own()
		issuer.TokenEndpoint = s.origin() + paths[grants]
		issuer.IntrospectionEndpoint = s.origin() + paths[introspect]
		issuer.RevocationEndpoint = s.origin() + paths[revoke]
		issuer.GrantTypes = []string{grantExchange}
		issuer.TokenAuthMethods = []string{"none"} // the subject token is the credential
	}
	resource := resourceDocument{
		Resource: s.PublicURL, AuthorizationServers: append(append([]string{}, s.Issuers...), s.Issuer), JWKSURI: s.origin() + keysPath,
		BearerMethods: []string{"header"},
	}
	return metadata{newDocument(marshal(issuer)), newDocument(marshal(resource))}
}

// origin is the public URL without its path, below which the listener's paths begin.
func (s *Settings) origin() string { return strings.TrimSuffix(s.PublicURL, pathOf(s.PublicURL)) }

// grantExchange is the grant of RFC 8693.
const grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

func (c *call) keySet() (Reply, error)           { return c.document(newDocument(c.Tokens.JWKS())) }
func (c *call) issuerMetadata() (Reply, error)   { return c.document(c.site.metadata.issuer) }
func (c *call) resourceMetadata() (Reply, error) { return c.document(c.site.metadata.resource) }

// document replies with a document, unless the client has it.
func (c *call) document(d document) (Reply, error) {
	reply := Reply{Status: http.StatusOK, Header: []Field{{"ETag", d.tag}, {"Cache-Control", maxAge}}}
	for _, line := range c.r.Header.Values("If-None-Match") {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == d.tag {
				reply.Status = http.StatusNotModified
				return reply, nil
			}
		}
	}
	reply.Header = append(reply.Header, Field{"Content-Type", typeJSON})
	reply.Body = d.body
	return reply, nil
}

// marshal is v as JSON, without a line's end.
func marshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic("api: a reply that JSON cannot hold: " + err.Error())
	}
	return body
}
