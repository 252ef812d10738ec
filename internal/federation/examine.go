package federation

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/postern-auth/postern/internal/store"
)

// Examine looks at all providers, users, links and requests that made users in a database.
func Examine(ctx context.Context, e *store.Examination) error {
	x := examiner{newTables()}
	for _, table := range []func() error{
		func() error { return x.providers.Examine(ctx, e, x.provider) },
		func() error { return x.users.Examine(ctx, e, x.user) },
		func() error { return x.links.Examine(ctx, e, x.link) },
		func() error { return x.requests.Examine(ctx, e, x.request) },
	} {
		if err := table(); err != nil {
			return err
		}
	}
	return nil
}

type examiner struct{ tables }

// provider says what no decoder finds wrong with a provider.
func (*examiner) provider(_ *store.Tx, row store.Row[providerRecord]) (problems []string) {
	p := &row.Record
	if !bytes.Equal(row.Key, p.key()) {
		problems = append(problems, fmt.Sprintf("is provider %q, which stands elsewhere", p.ID))
	}
	if checkProviderID(p.ID) != "" {
		problems = append(problems, "has no id")
	}
	if !p.deleted && (checkURL(p.Issuer) != "" || checkURL(p.JWKSURI) != "" || checkAudiences(p.AllowedAudiences) != "") {
		problems = append(problems, "does not say whom to believe: its issuer, jwks_uri or allowed_audiences could not have been stored")
	}
	return problems
}

// user says what no decoder finds wrong with a user.
func (*examiner) user(_ *store.Tx, row store.Row[userRecord]) (problems []string) {
	u := &row.Record
	if !bytes.Equal(row.Key, u.key()) {
		problems = append(problems, fmt.Sprintf("is user %q, who stands elsewhere", u.ID))
	}
	if id, ok := canonicalUUID(u.ID); !ok || id != u.ID {
		problems = append(problems, "has no id")
	}
	return problems
}

// link says what no decoder finds wrong with a link. There may be no such provider any more.
func (x *examiner) link(tx *store.Tx, row store.Row[linkRecord]) (problems []string) {
	l := &row.Record
	if !bytes.Equal(row.Key, l.key()) {
		problems = append(problems, fmt.Sprintf("is a link of provider %q, which stands elsewhere", l.Provider))
	}
	return append(problems, x.missing(tx, l.owner, l.user)...)
}

// request says what no decoder finds wrong with a request.
func (x *examiner) request(tx *store.Tx, row store.Row[requestRecord]) []string {
	return x.missing(tx, row.Record.owner, row.Record.user)
}

// missing says that a user is not there.
func (x *examiner) missing(tx *store.Tx, o Owner, id string) []string {
	if _, err := x.users.Lookup(tx, indexID, o.key(id)); errors.Is(err, store.ErrNotFound) {
		return []string{fmt.Sprintf("names user %q, who is not there", id)}
	}
	return nil // one that cannot be read is a fault of its own
}
