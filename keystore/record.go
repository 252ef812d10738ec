package keystore

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/fields"
)

// State is what a key is good for.
type State string

// The states of a key. Expired is never stored: the clock decides it when the key is used.
const (
	StateActive   State = "active"
	StateDisabled State = "disabled" // until it is enabled again
	StateExpired  State = "expired"
	StateRevoked  State = "revoked" // for ever
)

// Delegation says for whom a key may act by X-On-Behalf-Of.
type Delegation string

// The delegations. Any is the default.
const (
	DelegationAny  Delegation = "any"
	DelegationNone Delegation = "none"
)

// Key is an API key without its secret. A Key from [Store.Lookup] is shared: nobody changes it or what it points to.
type Key struct {
	ID          string // ^[A-Za-z0-9_-]{1,64}$, for ever
	Tenant      string // id of the owner, for ever
	TenantKind  Kind
	Environment string // the name; it may be gone from the configuration
	Start       string // what may be shown of the newest secret; empty when nothing is known
	Name        string
	Description string

	State       State    // at the moment of the call that returned it; see [Key.StateAt]
	Permissions []string // resource:action, sorted, no two the same
	OnBehalfOf  Delegation
	ExpiresAt   time.Time // zero: never
	CIDRs       []netip.Prefix
	Metadata    json.RawMessage // one JSON object in its shortest form, or nil

	Remaining *int64 // requests left when it was last set; nil: without end
	Limits    []Limit
	Refill    *Refill
	RateLimit *RateLimit

	CreatedAt  time.Time
	UpdatedAt  time.Time
	LastUsedAt time.Time // zero: never. Only from [Store.Key] and [Store.Keys]; up to a second late
	Secrets    []Secret  // newest first. Only from [Store.Key] and [Store.Keys]
	Version    uint32    // raised by every change of the key
}

// StateAt is the state of k at a moment: a key that is neither disabled nor revoked expires by the clock.
func (k *Key) StateAt(now time.Time) State {
	if k.State == StateActive && !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) {
		return StateExpired
	}
	return k.State
}

// Secret is what may be known of one secret of a key.
type Secret struct {
	LookupID   string // 12 base62 characters; empty for an imported one
	Start      string // empty when nothing is known
	CreatedAt  time.Time
	EndsAt     time.Time // zero: with the key; in the past: it has ended
	Requests   uint64    // allowed with it; up to a second late
	LastUsedAt time.Time // zero: never
}

// Window is the width of a limit.
type Window string

// The windows, in the order in which a key's limits stand.
const (
	WindowSecond Window = "second"
	WindowMinute Window = "minute"
	WindowHour   Window = "hour"
	WindowDay    Window = "day"
)

// Limit admits so many requests in each window.
type Limit struct {
	Limit  int64 // ≥ 1
	Window Window
}

// Refill resets what remains of a key to Amount whenever Interval has passed.
type Refill struct {
	Amount   int64         // ≥ 1
	Interval time.Duration // whole milliseconds, ≥ 1
	LastAt   time.Time     // zero: counted from the key's creation
}

// RateLimit is the single window that a key's owner sets.
type RateLimit struct {
	Enabled bool
	Window  time.Duration // whole milliseconds, 1 s to 31 days
	Max     int64         // 1 to 10⁹
}

// record is a key as the file holds it: the head for the index, then the rest. Of its Key, the fields that the head has
// too are zero, and so are those that others keep: Tenant, TenantKind, LastUsedAt, Secrets and Start.
type record struct {
	head
	Key
}

// head is what the index needs of a record. It stands first and in one piece, so that a million are read without the rest.
type head struct {
	number  uint32 // the key's place in the file, for ever
	tenant  uint32 // the tenant's number
	version uint32
	batch   uint32 // the import that brought the key; 0: none
	state   stateCode
	expires int64    // milliseconds of Unix time; 0: never
	secrets []secret // oldest first, at least one

	environment string // of the key; only from decodeHead, as it does not stand in the head
}

// secret is one secret of a key. Its last two fields are not in the head.
type secret struct {
	number  uint16 // rises within the key from 1, and is never used again
	kind    secretKind
	id      [idLength]byte // the lookup id; zero: none
	hash    [32]byte       // zero for slow kinds
	created int64          // milliseconds of Unix time
	ends    int64          // the same; 0: with the key; negative: it was ended at -ends, for good, whatever a clock says
	start   string
	slow    string // the hash of a slow kind, as it was imported
}

// stateCode is a stored state; its values are in files.
type stateCode uint8

const (
	codeActive   stateCode = 1
	codeDisabled stateCode = 2
	codeRevoked  stateCode = 3
)

func (c stateCode) state() State {
	switch c {
	case codeActive:
		return StateActive
	case codeDisabled:
		return StateDisabled
	case codeRevoked:
	}
	return StateRevoked
}

// secretKind says of what a secret's hash was made; its values are in files.
type secretKind uint8

const (
	kindMinted   secretKind = 1 // HMAC-SHA-256(pepper, printed key), found by lookup id
	kindSHA256   secretKind = 2 // HMAC-SHA-256(pepper, SHA-256(printed key)), found by hash
	kindBcrypt   secretKind = 3 // the original text, found by start until its first use: see slow.go
	kindArgon2id secretKind = 4 // the same
)

func (k secretKind) slow() bool { return k == kindBcrypt || k == kindArgon2id }

// view is the Key that r is at now, owned by t. It shares what r points to.
func (r *record) view(t *tenantRow, now time.Time) Key {
	k := r.Key
	k.Tenant, k.TenantKind = t.id, t.kind
	k.State, k.Version, k.ExpiresAt = r.state.state(), r.version, fields.TimeOf(r.expires)
	k.State = k.StateAt(now)
	k.Start = r.secrets[len(r.secrets)-1].start
	return k
}

// withUse adds to k, a view of r, its secrets and what is known of their use.
func (r *record) withUse(k Key, u useRecord) Key {
	k.LastUsedAt = fields.TimeOf(u.last)
	k.Secrets = u.show(r.secrets)
	slices.Reverse(k.Secrets)
	return k
}

// show is what may be known of secrets.
func (u *useRecord) show(secrets []secret) []Secret {
	var all []Secret
	for i := range secrets {
		s := &secrets[i]
		c := u.of(s.number)
		all = append(all, Secret{
			LookupID: s.lookupID(), Start: s.start, CreatedAt: fields.TimeOf(s.created), EndsAt: s.endsAt(),
			Requests: c.requests, LastUsedAt: fields.TimeOf(c.last),
		})
	}
	return all
}

func (s *secret) lookupID() string {
	if s.id == [idLength]byte{} {
		return ""
	}
	return string(s.id[:])
}

// windows, delegations: the closed lists of words that records hold, in the order of their symbols.
func windows() []Window         { return []Window{WindowSecond, WindowMinute, WindowHour, WindowDay} }
func delegations() []Delegation { return []Delegation{DelegationAny, DelegationNone} }

func (h *head) appendTo(b []byte) []byte {
	b = fields.AppendUint32(b, h.number, h.tenant, h.version, h.batch)
	b = fields.AppendInt64(append(b, byte(h.state)), h.expires)
	b = fields.AppendCount(b, len(h.secrets))
	for i := range h.secrets {
		s := &h.secrets[i]
		b = append(binary.BigEndian.AppendUint16(b, s.number), byte(s.kind))
		b = append(append(b, s.id[:]...), s.hash[:]...)
		b = fields.AppendInt64(b, s.created, s.ends)
	}
	return b
}

// read fills h, whose room for secrets it uses again.
func (h *head) read(r *fields.Reader) {
	h.number, h.tenant, h.version, h.batch = r.Uint32(), r.Uint32(), r.Uint32(), r.Uint32()
	h.state, h.expires = stateCode(r.Byte()), r.Int64()
	h.secrets = h.secrets[:0]
	n := int(r.Byte())
	r.Check(n > 0 && codeActive <= h.state && h.state <= codeRevoked)
	for i := 0; i < n && !r.Bad(); i++ {
		s := secret{number: r.Uint16(), kind: secretKind(r.Byte())}
		copy(s.id[:], r.Take(idLength))
		copy(s.hash[:], r.Take(len(s.hash)))
		s.created, s.ends = r.Int64(), r.Int64()
		r.Check(kindMinted <= s.kind && s.kind <= kindArgon2id)
		h.secrets = append(h.secrets, s)
	}
}

// readEnvironment reads on to where the environment stands. It makes no text of one that h has already.
func (h *head) readEnvironment(r *fields.Reader) {
	for range h.secrets {
		r.Take(int(r.Byte())) // what is shown of it
		r.LongBytes()
	}
	r.Take(int(r.Byte())) // the key's id
	if name := r.Take(int(r.Byte())); string(name) != h.environment {
		h.environment = string(name)
	}
}

// decodeHead returns what reads the head of a record into h.
func decodeHead(h *head) func(version uint8, b []byte) (*head, error) {
	return func(version uint8, b []byte) (*head, error) {
		r := fields.NewReader(b)
		h.read(&r)
		h.readEnvironment(&r)
		r.Rest() // is for those who need the whole record
		if err := r.Done(version, codecVersion); err != nil {
			return nil, err
		}
		return h, nil
	}
}

func appendRecord(b []byte, r record) []byte {
	b = r.appendTo(b)
	for _, s := range r.secrets {
		b = fields.AppendLongText(fields.AppendText(b, s.start), s.slow)
	}
	b = fields.AppendText(b, r.ID, r.Environment, r.Name)
	b = fields.AppendLongText(b, r.Description)
	b = appendTexts(b, r.Permissions)
	b = fields.AppendCount(append(b, symbol(delegations(), r.OnBehalfOf)), len(r.CIDRs))
	for _, p := range r.CIDRs {
		b = appendPrefix(b, p)
	}
	b = fields.AppendLongText(b, r.Metadata)
	b = appendQuota(b, &r.Key)
	return fields.AppendTime(b, r.CreatedAt, r.UpdatedAt)
}

func decodeRecord(version uint8, b []byte) (record, error) {
	var rec record
	r := fields.NewReader(b)
	rec.read(&r)
	for i := range rec.secrets {
		s := &rec.secrets[i]
		s.start, s.slow = r.Text(), r.LongText()
	}
	rec.ID, rec.Environment, rec.Name = r.Text(), r.Text(), r.Text()
	rec.Description = r.LongText()
	rec.Permissions = texts(&r)
	rec.OnBehalfOf = word(&r, delegations())
	for range r.Byte() {
		rec.CIDRs = append(rec.CIDRs, prefix(&r))
	}
	if m := r.LongBytes(); len(m) > 0 {
		rec.Metadata = slices.Clone(m)
	}
	readQuota(&r, &rec.Key)
	rec.CreatedAt, rec.UpdatedAt = r.Time(), r.Time()
	if err := r.Done(version, codecVersion); err != nil {
		return record{}, err
	}
	return rec, nil
}

// appendQuota adds what limits the number of requests.
func appendQuota(b []byte, k *Key) []byte {
	b = appendOptional(b, k.Remaining, func(b []byte, n int64) []byte { return fields.AppendInt64(b, n) })
	b = fields.AppendCount(b, len(k.Limits))
	for _, l := range k.Limits {
		b = fields.AppendInt64(append(b, symbol(windows(), l.Window)), l.Limit)
	}
	b = appendOptional(b, k.Refill, func(b []byte, f Refill) []byte {
		return fields.AppendTime(appendDuration(fields.AppendInt64(b, f.Amount), f.Interval), f.LastAt)
	})
	return appendOptional(b, k.RateLimit, func(b []byte, l RateLimit) []byte {
		return fields.AppendInt64(appendDuration(fields.AppendBool(b, l.Enabled), l.Window), l.Max)
	})
}

func readQuota(r *fields.Reader, k *Key) {
	k.Remaining = optional(r, (*fields.Reader).Int64)
	for range r.Byte() {
		k.Limits = append(k.Limits, Limit{Window: word(r, windows()), Limit: r.Int64()})
	}
	k.Refill = optional(r, func(r *fields.Reader) Refill {
		return Refill{Amount: r.Int64(), Interval: duration(r), LastAt: r.Time()}
	})
	k.RateLimit = optional(r, func(r *fields.Reader) RateLimit {
		return RateLimit{Enabled: r.Bool(), Window: duration(r), Max: r.Int64()}
	})
}
