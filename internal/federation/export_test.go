package federation

import (
	"errors"

	"github.com/postern-auth/postern/internal/store"
)

// Harm changes what is stored of o so that each record can be read, but not all of it be true.
func Harm(tx *store.Tx, o Owner, what string) error {
	t := newTables()
	user := userRecord{number: 9, User: User{Owner: o, ID: newUUID()}}
	link := linkRecord{Link: Link{Provider: "p", ExternalID: "x"}, owner: o, user: newUUID()}
	p := providerRecord{Provider: Provider{ID: "p", Issuer: "https://i", JWKSURI: "https://j", AllowedAudiences: []string{"a"}}, owner: o}
	switch what {
	case "user":
		return t.users.Put(tx, userKey(o, 8), user)
	case "user id":
		user.ID = "ann"
		return t.users.Put(tx, user.key(), user)
	case "provider":
		return t.providers.Put(tx, o.key("q"), p)
	case "provider id":
		p.ID = ".."
		return t.providers.Put(tx, p.key(), p)
	case "provider issuer":
		p.Issuer = "i"
		return t.providers.Put(tx, p.key(), p)
	case "link":
		return t.links.Put(tx, link.key(), link)
	case "link elsewhere":
		link.user = user.ID
		return errors.Join(t.users.Put(tx, user.key(), user), t.links.Put(tx, o.key("q", "x"), link))
	case "request":
		return t.requests.Put(tx, number(9), requestRecord{owner: o, key: "k", user: newUUID()})
	}
	panic(what)
}
