package federation

import (
	"errors"
	"time"

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

// Reencode decodes b as each kind of record that it can be, and encodes that again.
func Reencode(version uint8, b []byte) map[string][]byte {
	all := make(map[string][]byte)
	reencode(all, "provider", version, b, decodeProvider, appendProvider)
	reencode(all, "user", version, b, decodeUser, appendUser)
	reencode(all, "link", version, b, decodeLink, appendLink)
	reencode(all, "request", version, b, decodeRequest, appendRequest)
	return all
}

func reencode[R any](all map[string][]byte, kind string, version uint8, b []byte, decode func(uint8, []byte) (R, error), encode func([]byte, R) []byte) {
	if r, err := decode(version, b); err == nil {
		all[kind] = encode(nil, r)
	}
}

// Encodings are samples of each kind of record.
func Encodings() [][]byte {
	o, at := Owner{Tenant: "acme", Environment: "LIVE"}, time.UnixMilli(1).UTC()
	p := providerRecord{owner: o, version: 2, deleted: true, Provider: Provider{ID: "p", Issuer: "https://i", AllowedAudiences: []string{"a", "b"}, CreatedAt: at}}
	u := userRecord{number: 1, User: User{ID: "u", Owner: o, Email: "ann@example.com", DisplayName: "Ann", IsActive: true, CreatedAt: at}}
	l := linkRecord{Link: Link{Provider: "p", ExternalID: "x"}, owner: o, user: "u", made: at}
	q := requestRecord{owner: o, key: "k", user: "u", made: at}
	return [][]byte{appendProvider(nil, p), appendUser(nil, u), appendLink(nil, l), appendRequest(nil, q)}
}
