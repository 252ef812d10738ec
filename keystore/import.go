package keystore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// ImportOptions are the choices of an import.
type ImportOptions struct {
	// CreateTenants: a tenant that does not exist is made. False: its lines are refused.
	CreateTenants bool
}

// ImportedKey is one line of an import.
type ImportedKey struct {
	Line int // in the file, from 1; for messages

	KeySpec // Tenant must be set. An expiry in the past is kept. Permissions nil are none

	// KeyPrefix is what the printed key begins with: where no Environment is named, it is the one whose keys begin so.
	// Empty: not known.
	KeyPrefix string

	ID         string    // ^[A-Za-z0-9_-]{1,64}$; empty: made
	State      State     // empty: active. StateExpired needs ExpiresAt in the past
	CreatedAt  time.Time // zero: now
	UpdatedAt  time.Time // zero: CreatedAt
	LastUsedAt time.Time // zero: never

	// Hash is the SHA-256 of the whole printed key, see [ParseHash]; Start, of up to 38 printable ASCII characters, what may be
	// shown of it, and may be empty.
	Hash  [32]byte
	Start string

	// Secrets, newest first, stand in the place of Hash and Start. Nil: those do.
	Secrets []StoredSecret
}

// ImportResult says what became of the lines of an import.
type ImportResult struct {
	Added    int
	Skipped  int       // id or hash was there already
	Refused  []Refusal // any: nothing was imported. The first 100 of them
	Unlisted int       // how many more were refused
}

const maxRefusals = 100

// Refusal is a line that cannot be imported.
type Refusal struct {
	Line    int
	Problem string // for operators, with what to do
}

// lotLength is how many lines are staged in one transaction.
const lotLength = 5000

// Import adds keys by the hashes of their printed form: all of them, or none when a line is refused, an error comes
// from lines, or ctx ends. What is there already is skipped, never overwritten.
//
// Lines are staged in the file as they come, many in the order of their ids, and become valid together when the last has come. One import runs at a time;
// another waits. A result with Refused comes without an error: all bad lines are counted in it, and Added is 0. An
// [*InvalidError] from lines, beside a key that holds only its Line, refuses that line like one that is found bad here.
func (s *Store) Import(ctx context.Context, o ImportOptions, lines iter.Seq2[ImportedKey, error], now time.Time) (ImportResult, error) {
	if s.readOnly {
		return ImportResult{}, store.ErrReadOnly
	}
	select {
	case s.importing <- struct{}{}:
		defer func() { <-s.importing }()
	case <-ctx.Done():
		return ImportResult{}, ctx.Err()
	}
	im := importer{s: s, o: o, now: now.UTC().Truncate(time.Millisecond), owners: make(map[string]*owner), starts: make(map[string][][sha256.Size]byte)}
	err := im.run(ctx, lines)
	if err == nil && len(im.result.Refused) == 0 {
		return im.result, nil
	}
	// What was staged goes also when ctx has ended. What is left of it after a crash goes when the file is opened.
	if sweepErr := errors.Join(s.sweepImports(), s.follow()); sweepErr != nil {
		err = errors.Join(err, fmt.Errorf("removing what was staged: %w", sweepErr))
	}
	if err != nil {
		return ImportResult{}, fmt.Errorf("importing keys: %w", err)
	}
	return ImportResult{Refused: im.result.Refused, Unlisted: im.result.Unlisted}, nil
}

// importer is one import under way.
type importer struct {
	s      *Store
	o      ImportOptions
	now    time.Time
	batch  uint32
	owners map[string]*owner              // by what lines call them
	starts map[string][][sha256.Size]byte // the slow secrets that share a start, those that are there already too
	made   []string                       // ids of tenants
	result ImportResult
}

// maxNamedTenants is how many of the tenants that an import makes its record names.
const maxNamedTenants = 50

// owner is a tenant that is in the file, or will be when the first of its keys is staged.
type owner struct {
	tenantRecord
	stored bool
}

// candidate is a line on its way into the file.
type candidate struct {
	record
	owner    *owner
	lastUsed time.Time
	drawn    bool // the id is one that nobody has asked for
}

// run stages all lines and publishes them, unless one is refused.
func (im *importer) run(ctx context.Context, lines iter.Seq2[ImportedKey, error]) error {
	if err := im.begin(ctx); err != nil {
		return err
	}
	if err := im.read(ctx, lines); err != nil || len(im.result.Refused) > 0 {
		return err
	}
	return im.publish(ctx)
}

// read stages all lines, unless one is refused.
func (im *importer) read(ctx context.Context, lines iter.Seq2[ImportedKey, error]) (err error) {
	stager := im.newStager(ctx)
	defer func() { err = cmp.Or(stager.end(), err) }() // an error of staging ends the reading, with another one
	for line, err := range lines {
		if err := stager.ctx.Err(); err != nil {
			return err
		}
		var c candidate
		if err == nil {
			c, err = im.candidate(&line)
		}
		if invalid := (*InvalidError)(nil); errors.As(err, &invalid) {
			im.refuse(line.Line, invalid)
			continue
		}
		if err == nil && len(im.result.Refused) == 0 { // otherwise only to find what else is bad
			err = stager.add(&c)
		}
		if err != nil {
			return err
		}
	}
	if len(im.result.Refused) > 0 {
		return nil
	}
	return stager.hand()
}

// publish makes all that was staged valid, in one small change, and records that.
func (im *importer) publish(ctx context.Context) error {
	return im.s.change(ctx, im.now, func(tx *store.Tx) (*Record, error) {
		details := []Detail{{Name: "added", Count: int64(im.result.Added)}, {Name: "skipped", Count: int64(im.result.Skipped)}}
		if len(im.made) > 0 {
			details = append(details,
				Detail{Name: "tenants", Count: int64(len(im.made))},
				Detail{Name: "made", Texts: im.made[:min(len(im.made), maxNamedTenants)]})
		}
		return &Record{Action: "keys.import", Details: details}, im.s.imports.Delete(tx, number(im.batch))
	})
}

// refuse notes a bad line.
func (im *importer) refuse(line int, why *InvalidError) {
	if len(im.result.Refused) == maxRefusals {
		im.result.Unlisted++
		return
	}
	problem := why.Error()
	if why.Hint != "" {
		problem += "; " + why.Hint
	}
	im.result.Refused = append(im.result.Refused, Refusal{line, problem})
}

// begin gives the import its number, which is below those of its keys, and hides what will have that number.
func (im *importer) begin(ctx context.Context) error {
	if err := im.s.sweepImports(); err != nil {
		return err
	}
	return im.s.stage(ctx, func(tx *store.Tx) (err error) {
		if im.batch, err = next(tx, im.s.keys); err != nil {
			return err
		}
		return im.s.imports.Put(tx, number(im.batch), staging{started: im.now})
	})
}

// candidate turns a line into what is staged, without its number. Error: *InvalidError.
func (im *importer) candidate(line *ImportedKey) (candidate, error) {
	if line.Environment == "" {
		line.Environment = im.s.environmentOf(line.KeyPrefix)
	}
	k, err := im.s.key(&line.KeySpec, im.now)
	if err != nil {
		return candidate{}, err
	}
	if !line.CreatedAt.IsZero() {
		k.CreatedAt, k.UpdatedAt = line.CreatedAt, line.CreatedAt
	}
	if !line.UpdatedAt.IsZero() {
		k.UpdatedAt = line.UpdatedAt
	}
	k.ID = line.ID
	state, err := im.state(line)
	if err != nil {
		return candidate{}, err
	}
	if err := im.check(line); err != nil {
		return candidate{}, err
	}
	o, err := im.owner(line.Tenant)
	if err != nil {
		return candidate{}, err
	}
	secrets, err := im.secretsOf(line, k.CreatedAt)
	if err != nil {
		return candidate{}, err
	}
	return candidate{owner: o, lastUsed: line.LastUsedAt, record: record{Key: k, head: head{
		version: 1, batch: im.batch, state: state, expires: fields.Millis(line.ExpiresAt), secrets: secrets,
	}}}, im.share(secrets)
}

func (im *importer) check(line *ImportedKey) error {
	if line.ID != "" && !isID(line.ID) {
		return &InvalidError{"id", fmt.Sprintf("%q is not an id", line.ID), "use 1 to 64 letters, digits, '_' and '-'"}
	}
	return errors.Join(
		checkTime("created_at", line.CreatedAt), checkTime("updated_at", line.UpdatedAt), checkTime("last_used_at", line.LastUsedAt),
	)
}

// state is the stored state of a line.
func (im *importer) state(line *ImportedKey) (stateCode, error) {
	switch line.State {
	case "", StateActive:
		return codeActive, nil
	case StateDisabled:
		return codeDisabled, nil
	case StateRevoked:
		return codeRevoked, nil
	case StateExpired:
		if !line.ExpiresAt.IsZero() && !line.ExpiresAt.After(im.now) {
			return codeActive, nil
		}
		return 0, &InvalidError{"state", "is expired, but expires_at is not in the past", ""}
	}
	return 0, &InvalidError{"state", fmt.Sprintf("%q is not known", line.State), "choose active, disabled, expired or revoked"}
}

// owner finds the tenant that lines call ref, or plans to make it.
func (im *importer) owner(ref string) (*owner, error) {
	ref = im.s.ids.canonical(ref)
	if o := im.owners[ref]; o != nil {
		return o, nil
	}
	o := &owner{stored: true}
	err := im.s.db.View(func(tx *store.Tx) (err error) {
		o.tenantRecord, err = im.s.owner(tx, ref)
		return err
	})
	if im.o.CreateTenants && ref != "" && errors.As(err, new(*InvalidError)) {
		o.tenantRecord, err = im.s.newTenant(im.s.ids.specOf(ref), im.now)
		o.batch, o.stored = im.batch, false
		if refused, ok := errors.AsType[*InvalidError](err); ok {
			refused.Field = "tenant" // in a line, id is the key's
		}
	}
	if err != nil {
		return nil, err
	}
	im.owners[ref] = o
	return o, nil
}

// stage writes lines in one transaction, with the tenants that they need.
func (im *importer) stage(ctx context.Context, lot []candidate) error {
	im.s.hashing.Lock()
	defer im.s.hashing.Unlock()
	var added int
	var there map[[32]byte]bool // what secrets are known by
	var made map[*owner]bool
	err := im.s.stage(ctx, func(tx *store.Tx) error {
		added, there, made = 0, make(map[[32]byte]bool, len(lot)), make(map[*owner]bool) // the transaction may run again
		for i := range lot {
			c := &lot[i]
			if slices.ContainsFunc(c.secrets, func(c secret) bool { return there[c.known()] || im.s.holds(&c) }) {
				continue
			}
			if o := c.owner; !o.stored && !made[o] {
				if err := im.s.insertTenant(tx, &o.tenantRecord); err != nil {
					return err
				}
				made[o] = true
			}
			ok, err := im.insert(tx, c)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			added++
			for i := range c.secrets {
				there[c.secrets[i].known()] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for o := range made {
		o.stored = true
		im.made = append(im.made, o.ID)
	}
	im.result.Added += added
	im.result.Skipped += len(lot) - added
	return nil
}

// insert says false if the id of c is taken.
func (im *importer) insert(tx *store.Tx, c *candidate) (ok bool, err error) {
	r := c.record
	r.tenant = c.owner.number
	if r.number, err = next(tx, im.s.keys); err != nil {
		return false, err
	}
	for range mintAttempts {
		err = im.s.keys.Insert(tx, number(r.number), r)
		if !errors.Is(err, store.ErrExists) || !c.drawn {
			break
		}
		if r.ID, err = randomBase62(im.s.random, idLength); err != nil {
			return false, err
		}
	}
	if errors.Is(err, store.ErrExists) && !c.drawn {
		return false, nil
	}
	if err != nil || c.lastUsed.IsZero() {
		return err == nil, err
	}
	return true, im.s.uses.Put(tx, number(r.number), useRecord{use: use{last: fields.Millis(c.lastUsed)}})
}

// share refuses a secret whose start so many others have that to find it would take too long. Error: [*InvalidError].
func (im *importer) share(secrets []secret) error {
	for i := range secrets {
		c := &secrets[i]
		if !c.kind.slow() {
			continue
		}
		sums, seen := im.starts[c.start]
		if !seen {
			for _, r := range im.s.index.Load().slow.sharing(c.start) {
				sums = append(sums, r.sum)
			}
		}
		if sum := c.known(); !slices.Contains(sums, sum) { // otherwise it is there, and will be skipped
			sums = append(sums, sum)
		}
		if im.starts[c.start] = sums; len(sums) > maxSameStart {
			return &InvalidError{
				"start", fmt.Sprintf("%q is that of %d keys with slow hashes already", c.start, maxSameStart),
				"give more of the characters that they begin with",
			}
		}
	}
	return nil
}

// known is what tells one secret from all others, wherever it comes from.
func (s *secret) known() [sha256.Size]byte {
	if s.kind.slow() {
		return sha256.Sum256([]byte(s.slow))
	}
	return s.hash
}

// holds says whether some key has this secret. A lookup id is found in the file instead, when its key is inserted.
func (s *Store) holds(c *secret) bool {
	x := s.index.Load()
	switch {
	case c.kind == kindSHA256:
		return x.byHash(&c.hash, new(row)) != 0
	case c.kind.slow():
		return slices.ContainsFunc(x.slow.sharing(c.start), func(r slowRow) bool { return r.sum == c.known() })
	}
	return false
}
