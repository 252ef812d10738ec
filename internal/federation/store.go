package federation

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// Options are what [Open] needs. DB must be set, and Change unless nothing is changed.
type Options struct {
	DB *store.DB // opened by the caller, who closes it after the Store

	// Change is the gate of all changes: it runs fn in a write transaction, perhaps more than once, records the event that fn returns with it, and
	// returns when both are durable. Nil: the Store is read-only.
	Change func(ctx context.Context, now time.Time, fn func(*store.Tx) (*Event, error)) error

	// EndTokens ends for good what a user was given so far, and returns when that is durable. It is called before a user is active again that was not: what
	// was refused while it was inactive must not come back. Nil: users are given nothing.
	EndTokens func(ctx context.Context, o Owner, user string, now time.Time) error

	// Keys returns the key set at a URL, usually a [jwks.Remote]; issuer is for logs, and o is whose it is. It fetches nothing yet. Nil: no JWT can be
	// exchanged.
	Keys func(o Owner, jwksURI, issuer string) (KeySet, error)

	// OwnIssuer is the issuer of tokens of our own, which are never exchanged; empty: there is none. It is asked each time. Nil: there is none.
	OwnIssuer func() string

	// KeySets bounds how many key sets are held at once. Zero: 1,024.
	KeySets int
}

func (o *Options) keySets() int {
	if o.KeySets <= 0 {
		return defaultKeySets
	}
	return o.KeySets
}

// Event is what a change did, for the audit log.
type Event struct {
	Action      string // provider.create, .update or .delete; user.create, .update, .deactivate, .activate or .link
	Tenant      string
	Environment string
	Details     []Detail
}

// Detail is one more thing that an event says: "user" (its id), "provider" (likewise), "external_id", "fields" (JSON names of what changed).
type Detail struct {
	Name  string
	Texts []string
}

func event(action string, o Owner, details ...Detail) *Event {
	return &Event{Action: action, Tenant: o.Tenant, Environment: o.Environment, Details: details}
}

func detail(name string, texts ...string) Detail { return Detail{Name: name, Texts: texts} }

// Store keeps providers and users. All methods may be called at once.
type Store struct {
	tables
	db   *store.DB
	gate func(ctx context.Context, now time.Time, fn func(*store.Tx) (*Event, error)) error

	endTokens func(ctx context.Context, o Owner, user string, now time.Time) error

	readOnly  bool
	ownIssuer func() string
	memory    memory
	sources   sources
	crowd     crowd
}

// The names of indexes.
const (
	indexID    = "id"    // of users: owner and id
	indexEmail = "email" // of users: owner and folded address
	indexUser  = "user"  // of links: owner and user
	indexKey   = "key"   // of requests: owner and idempotency key
)

// codecVersion is the version of all that the decoders here read. A later one is added beside it, never in its place.
const codecVersion = 1

// toStored is t as it is stored.
func toStored(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// tables are what the file holds for this package.
type tables struct {
	providers *store.Table[providerRecord] // by owner and id
	users     *store.Table[userRecord]     // by owner and number
	links     *store.Table[linkRecord]     // by owner, provider and external id
	requests  *store.Table[requestRecord]  // that made users, by number: outside revision and feed
}

func newTables() tables {
	return tables{
		providers: store.NewTable(store.Schema[providerRecord]{Name: "providers", Version: codecVersion, Encode: appendProvider, Decode: decodeProvider}),
		users: store.NewTable(store.Schema[userRecord]{
			Name: "users", Version: codecVersion, Encode: appendUser, Decode: decodeUser,
			Indexes: []store.Index[userRecord]{
				{Name: indexID, Unique: true, Keys: func(u userRecord) [][]byte { return [][]byte{u.Owner.key(u.ID)} }},
				{Name: indexEmail, Unique: true, Keys: func(u userRecord) [][]byte {
					if u.Email == "" {
						return nil
					}
					return [][]byte{u.Owner.key(foldEmail(u.Email))}
				}},
			},
		}),
		links: store.NewTable(store.Schema[linkRecord]{
			Name: "links", Version: codecVersion, Encode: appendLink, Decode: decodeLink,
			Indexes: []store.Index[linkRecord]{{Name: indexUser, Keys: func(l linkRecord) [][]byte { return [][]byte{l.owner.key(l.user)} }}},
		}),
		requests: store.NewTable(store.Schema[requestRecord]{
			Name: "user_requests", Version: codecVersion, Volatile: true, Encode: appendRequest, Decode: decodeRequest,
			Indexes: []store.Index[requestRecord]{{Name: indexKey, Unique: true, Keys: func(r requestRecord) [][]byte { return [][]byte{r.owner.key(r.key)} }}},
		}),
	}
}

// linkRecord is a link as the file holds it.
type linkRecord struct {
	Link
	owner Owner
	user  string // id
	made  time.Time
}

func (l *linkRecord) key() []byte { return l.owner.key(l.Provider, l.ExternalID) }

func appendLink(b []byte, l linkRecord) []byte {
	b = fields.AppendText(b, l.owner.Tenant, l.owner.Environment, l.Provider, l.ExternalID, l.user)
	return fields.AppendTime(b, l.made)
}

func decodeLink(version uint8, b []byte) (linkRecord, error) {
	r := fields.NewReader(b)
	l := linkRecord{owner: readOwner(&r)}
	l.Provider, l.ExternalID, l.user = r.Text(), r.Text(), r.Text()
	l.made = r.Time()
	if err := r.Done(version, codecVersion); err != nil {
		return linkRecord{}, err
	}
	return l, nil
}

// requestRecord is a request that made a user.
type requestRecord struct {
	owner Owner
	key   string // that it named itself by
	user  string // id
	made  time.Time
}

func appendRequest(b []byte, q requestRecord) []byte {
	b = fields.AppendText(b, q.owner.Tenant, q.owner.Environment)
	b = fields.AppendText(fields.AppendLongText(b, q.key), q.user)
	return fields.AppendTime(b, q.made)
}

func decodeRequest(version uint8, b []byte) (requestRecord, error) {
	r := fields.NewReader(b)
	q := requestRecord{owner: readOwner(&r), key: r.LongText()}
	q.user, q.made = r.Text(), r.Time()
	if err := r.Done(version, codecVersion); err != nil {
		return requestRecord{}, err
	}
	return q, nil
}

// Open prepares the providers and users in o.DB, and reads who is inactive.
//
// Errors are those of package internal/store.
func Open(o Options) (*Store, error) {
	s := &Store{tables: newTables(), db: o.DB, gate: o.Change, endTokens: o.EndTokens, sources: sources{open: o.Keys, max: o.keySets()}}
	if s.ownIssuer = o.OwnIssuer; s.ownIssuer == nil {
		s.ownIssuer = func() string { return "" }
	}
	if s.endTokens == nil {
		s.endTokens = func(context.Context, Owner, string, time.Time) error { return nil }
	}
	if s.gate == nil {
		s.readOnly = true
		s.gate = func(context.Context, time.Time, func(*store.Tx) (*Event, error)) error { return store.ErrReadOnly }
		return s, nil
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	return s, nil
}

// Close gives up all key sets. It does not close the database. No call may be under way.
func (s *Store) Close() error {
	s.sources.close()
	return nil
}

// load reads into memory what is answered from there.
func (s *Store) load() error {
	for row, err := range s.users.Walk(s.db, nil) {
		if err != nil {
			return err
		}
		u := &row.Record
		if string(row.Key) != string(u.key()) {
			return fmt.Errorf("%w: user %q: %w", store.ErrCorrupt, u.ID, errStands)
		}
		s.memory.add(u.Owner)
		s.memory.put(u)
	}
	for row, err := range s.providers.Walk(s.db, nil) {
		if err != nil {
			return err
		}
		if !row.Record.deleted {
			s.memory.addProviders(1)
		}
	}
	return nil
}

// next draws a number for a user or a request.
func next[R any](tx *store.Tx, t *store.Table[R]) (uint32, error) {
	n, err := t.NextSequence(tx)
	if err != nil {
		return 0, err
	}
	if n > 1<<32-1 {
		return 0, fmt.Errorf("table %q has had all its numbers", t.Name())
	}
	return uint32(n), nil
}

func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
