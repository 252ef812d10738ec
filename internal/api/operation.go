package api

import (
	"net/http"
	"reflect"
)

// operation is what the OpenAPI document says of an endpoint beyond what the endpoint shows: what it is called, the shapes of
// what goes in and comes out, and the codes of its own refusals.
type operation struct {
	id, summary string
	takes       shape            // of the body; zero: there is none
	pages       bool             // takes limit and offset
	delegates   bool             // reads X-On-Behalf-Of
	status      int              // of success; 0: 200
	gives       shape            // of its body; zero: there is none
	otherwise   shape            // what its body may be too
	refuses     map[int][]string // status → codes of the listener's own
}

// shape is that of a body, by the name that clients may give it.
type shape struct {
	name string
	of   reflect.Type
}

// as is the shape of a T, under a name.
func as[T any](name string) shape { return shape{name, reflect.TypeFor[T]()} }

// operations is what is said of the endpoints of a form. symbol → method → operation, as [resources] has the endpoints.
func operations(f Form) map[symbol]map[string]operation {
	all := map[symbol]map[string]operation{
		jwks:          {http.MethodGet: {id: "getKeySet", summary: "The public keys that verify Postern's tokens (RFC 7517).", gives: as[keySetShape]("KeySet")}},
		issuerFacts:   {http.MethodGet: {id: "getIssuerMetadata", summary: "What there is to know of the issuer of Postern's tokens (RFC 8414).", gives: as[issuerDocument]("IssuerMetadata")}},
		resourceFacts: {http.MethodGet: {id: "getResourceMetadata", summary: "What there is to know of the resource that Postern guards (RFC 9728).", gives: as[resourceDocument]("ResourceMetadata")}},
	}
	who := operation{id: "whoami", summary: "What the caller's credential proves."}
	switch f {
	case FormMKA1:
		who.gives, who.delegates = as[mka1Identity]("Identity"), true
		all[exchangeToken] = map[string]operation{http.MethodPost: {
			id: "getJwtFromKey", summary: "Exchange an API key for a token for one end user and one audience.", delegates: true,
			takes: as[mka1Exchange]("ExchangeRequest"), gives: as[mka1Token]("ExchangeReply"),
		}}
	case FormMLM:
		who.gives = as[mlmIdentity]("Identity")
		exchangesOfMLM(all)
		managementOfMLM(all)
	case FormDefault:
		who.gives, who.delegates = as[identity]("Identity"), true
		oauthOperations(all)
	}
	all[whoami] = map[string]operation{http.MethodGet: who}
	return all
}

func oauthOperations(all map[symbol]map[string]operation) {
	all[grants] = map[string]operation{http.MethodPost: {
		id: "exchangeToken", summary: "Exchange an API key, or a token of another issuer, for a token (RFC 8693).", delegates: true,
		takes: as[grantForm]("ExchangeRequest"), gives: as[granted]("ExchangeReply"),
		refuses: map[int][]string{400: {oauthInvalidRequest, oauthInvalidTarget, oauthInvalidScope, oauthOtherGrant}},
	}}
	all[introspect] = map[string]operation{http.MethodPost: {
		id: "introspectToken", summary: "What a token of Postern's, or a key, proves now (RFC 7662).",
		takes: as[tokenForm]("IntrospectionRequest"), gives: as[introspection]("Introspection"), otherwise: as[inactive]("InactiveToken"), refuses: map[int][]string{400: {oauthInvalidRequest}},
	}}
	all[revoke] = map[string]operation{http.MethodPost: {
		id: "revokeToken", summary: "Refuse a token from now on (RFC 7009). What is none, or not the caller's to revoke, is 200 too.",
		takes: as[revokeForm]("RevocationRequest"), refuses: map[int][]string{400: {oauthInvalidRequest}},
	}}
}

func exchangesOfMLM(all map[symbol]map[string]operation) {
	all[exchange] = map[string]operation{http.MethodPost: {
		id: "exchangeExternalJwt", summary: "Exchange a user's token of a registered provider for tokens of the platform.",
		takes: as[mlmExchange]("ExchangeRequest"), gives: as[exchanged]("ExchangeReply"),
		refuses: map[int][]string{
			400: {codeValidation, codeMissingClaim}, 401: {codeIssuer, codeAudience}, 403: {codeProviderInactive, codeUserNotFound, codeUserInactive},
			404: {codeProviderNotFound}, 409: {codeEmailExists}, 503: {codeKeysUnavailable},
		},
	}}
	all[refresh] = map[string]operation{http.MethodPost: {
		id: "refreshAccessToken", summary: "Continue a session: new tokens for a refresh token, which is then spent.",
		takes: as[mlmRefresh]("RefreshRequest"), gives: as[tokens]("RefreshReply"),
		refuses: map[int][]string{400: {codeValidation}, 401: {codeRefreshUnknown, codeRefreshReused}, 403: {codeUserInactive, codeProviderInactive}},
	}}
	all[link] = map[string]operation{http.MethodPost: {
		id: "linkExternalUser", summary: "Have an id at a provider be one of the tenant's users.",
		takes: as[mlmLink]("LinkRequest"), gives: as[linkMade]("LinkReply"),
		refuses: map[int][]string{400: {codeValidation}, 404: {codeUserNotFound, codeProviderNotFound}, 409: {codeLinked}},
	}}
}

func managementOfMLM(all map[symbol]map[string]operation) {
	none := map[int][]string{404: {codeProviderNotFound}}
	all[providers] = map[string]operation{
		http.MethodGet: {id: "listProviders", summary: "The tenant's external auth providers.", pages: true, gives: as[providerPage]("ProviderList"), refuses: map[int][]string{400: {codeValidation}}},
		http.MethodPost: {
			id: "putProvider", summary: "Create an external auth provider, or update the one of that id. What an update leaves out stays.",
			takes: as[providerSpec]("ProviderRequest"), gives: as[brief]("ProviderSummary"), refuses: map[int][]string{400: {codeValidation}},
		},
	}
	all[provider] = map[string]operation{
		http.MethodGet:    {id: "getProvider", summary: "One external auth provider.", gives: as[full]("Provider"), refuses: none},
		http.MethodDelete: {id: "deleteProvider", summary: "Delete an external auth provider. Its sessions cannot be refreshed any more; links stay.", status: 204, refuses: none},
	}
	none = map[int][]string{404: {codeUserNotFound}}
	all[users] = map[string]operation{
		http.MethodGet: {id: "listUsers", summary: "The tenant's users.", pages: true, gives: as[peoplePage]("UserList"), refuses: map[int][]string{400: {codeValidation}}},
		http.MethodPost: {
			id: "createUser", summary: "Create a user.", takes: as[userSpec]("UserRequest"), status: 201, gives: as[person]("User"),
			refuses: map[int][]string{400: {codeValidation}, 409: {codeExists, codeEmailExists}},
		},
	}
	all[user] = map[string]operation{
		http.MethodGet: {id: "getUser", summary: "One user.", gives: as[person]("User"), refuses: none},
		http.MethodPatch: {
			id: "updateUser", summary: "Change a user. The tokens of an inactive one are refused at once.", takes: as[userChange]("UserChange"), gives: as[person]("User"),
			refuses: map[int][]string{400: {codeValidation}, 404: {codeUserNotFound}, 409: {codeEmailExists}},
		},
	}
}
