package api

import "net/http"

// administer is the permission of keys that manage their tenant's providers and users (mlm).
const administer = "tenant:admin"

// resources is what there is, by its symbolic name. Which of it a form has, its [Site] says.
func resources() map[symbol]resource {
	public := func(serve func(*call) (Reply, error)) resource { return resource{http.MethodGet: {serve: serve}} }
	demands := func(at symbol, c Credentials, permissions ...string) *Demand {
		return &Demand{Endpoint: string(at), Credentials: c, Permissions: permissions}
	}
	exchanges := func(at symbol, c Credentials, serve func(*call) (Reply, error)) resource {
		return resource{http.MethodPost: {demand: demands(at, c), body: typeJSON, serve: serve}}
	}
	manages := func(at symbol, body string, serve func(*call) (Reply, error)) endpoint {
		return endpoint{demand: demands(at, Key, administer), body: body, serve: serve}
	}
	return map[symbol]resource{
		jwks:          public((*call).keySet),
		issuerFacts:   public((*call).issuerMetadata),
		resourceFacts: public((*call).resourceMetadata),
		whoami:        {http.MethodGet: {demand: demands(whoami, KeyOrToken), serve: (*call).whoami}},

		exchangeToken: exchanges(exchangeToken, KeyTokenRefused, (*call).exchangeToken),

		grants:     {http.MethodPost: {body: typeForm, oauth: true, serve: (*call).tokenExchange}},
		introspect: {http.MethodPost: {demand: demands(introspect, Key, permitIntrospect), body: typeForm, oauth: true, serve: (*call).introspect}},
		revoke:     {http.MethodPost: {demand: demands(revoke, Key), body: typeForm, oauth: true, serve: (*call).revoke}},

		exchange: exchanges(exchange, Key, (*call).exchange),
		refresh:  exchanges(refresh, Key, (*call).refresh),
		link:     exchanges(link, Key, (*call).link),
		providers: {
			http.MethodGet:  manages(providers, "", (*call).listProviders),
			http.MethodPost: manages(providers, typeJSON, (*call).putProvider),
		},
		provider: {
			http.MethodGet:    manages(provider, "", (*call).getProvider),
			http.MethodDelete: manages(provider, "", (*call).deleteProvider),
		},
		users: {
			http.MethodGet:  manages(users, "", (*call).listUsers),
			http.MethodPost: manages(users, typeJSON, (*call).createUser),
		},
		user: {
			http.MethodGet:   manages(user, "", (*call).getUser),
			http.MethodPatch: manages(user, typeJSON, (*call).updateUser),
		},
	}
}
