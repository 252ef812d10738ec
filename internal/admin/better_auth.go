package admin

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/strictjson"
	"github.com/postern-auth/postern/keystore"
)

// betterAuthRow is a row of better-auth's table apikey, under the names of its columns in every version of its schema. Columns
// have the types that exports of the databases below it give them.
//
// Not kept: requestCount and rateLimitWindowStart, which are the state of a window that ends soon.
type betterAuthRow struct {
	ID                   word            `json:"id"`
	ConfigID             string          `json:"configId"`
	Name                 string          `json:"name"`
	Start                string          `json:"start"`
	Prefix               string          `json:"prefix"`
	Key                  string          `json:"key"`         // the hash, unless the plugin ran with disableKeyHashing
	UserID               word            `json:"userId"`      // the owner, in older versions
	ReferenceID          word            `json:"referenceId"` // the owner, in newer ones
	RefillInterval       number          `json:"refillInterval"`
	RefillAmount         number          `json:"refillAmount"`
	LastRefillAt         moment          `json:"lastRefillAt"`
	Enabled              *flag           `json:"enabled"`
	RateLimitEnabled     *flag           `json:"rateLimitEnabled"`
	RateLimitTimeWindow  *number         `json:"rateLimitTimeWindow"`
	RateLimitMax         *number         `json:"rateLimitMax"`
	RateLimitWindowStart moment          `json:"rateLimitWindowStart"`
	RequestCount         number          `json:"requestCount"`
	Remaining            *number         `json:"remaining"`
	LastRequest          moment          `json:"lastRequest"`
	ExpiresAt            moment          `json:"expiresAt"`
	CreatedAt            moment          `json:"createdAt"`
	UpdatedAt            moment          `json:"updatedAt"`
	Permissions          json.RawMessage `json:"permissions"` // resource → actions
	Metadata             json.RawMessage `json:"metadata"`

	// Environment is no column of better-auth: whoever exports may add it where prefixes do not say enough.
	Environment string `json:"environment"`
}

// newRowReader reads betterAuthRows.
func newRowReader() lineReader {
	fields := fieldsOf(reflect.TypeFor[betterAuthRow]())
	return func(line []byte) (keystore.ImportedKey, string, error) {
		var row betterAuthRow
		if err := fields.decode(line, &row); err != nil {
			return keystore.ImportedKey{}, "", err
		}
		key, err := row.key()
		return key, row.limited(), err
	}
}

// key is a row as the key store takes it.
func (row *betterAuthRow) key() (key keystore.ImportedKey, err error) {
	switch {
	case row.ID == "":
		return key, invalid("id", "is missing", "")
	case row.UserID == "" && row.ReferenceID == "":
		return key, invalid("referenceId", "is missing", "it, or userId, names the owner")
	case row.UserID != "" && row.ReferenceID != "" && row.UserID != row.ReferenceID:
		return key, invalid("userId", "and referenceId name two owners", "leave out the column that is not the owner")
	case row.ConfigID != "" && row.ConfigID != "default":
		return key, invalid("configId", strconv.Quote(row.ConfigID)+" is a kind of its own, and here all keys are of one kind",
			"leave configId out of the rows that shall be accepted like all others")
	}
	if key.Hash, err = row.hash(); err != nil {
		return keystore.ImportedKey{}, err
	}
	key.KeySpec = keystore.KeySpec{
		Tenant: string(cmp.Or(row.ReferenceID, row.UserID)), Environment: row.Environment, Name: row.Name,
		ExpiresAt: time.Time(row.ExpiresAt), Remaining: (*int64)(row.Remaining),
	}
	if key.Permissions, err = flatten(row.Permissions); err != nil {
		return keystore.ImportedKey{}, err
	}
	if key.Metadata, _, err = objectIn("metadata", row.Metadata); err != nil {
		return keystore.ImportedKey{}, err
	}
	if err = row.windows(&key.KeySpec); err != nil {
		return keystore.ImportedKey{}, err
	}
	if row.Enabled != nil && !*row.Enabled {
		key.State = keystore.StateDisabled
	}
	key.ID, key.Start, key.KeyPrefix = string(row.ID), row.Start, row.Prefix
	key.CreatedAt, key.UpdatedAt, key.LastUsedAt = time.Time(row.CreatedAt), time.Time(row.UpdatedAt), time.Time(row.LastRequest)
	return key, nil
}

// hash reads the column key. A whole key may stand there, so nothing of it is in the error.
func (row *betterAuthRow) hash() ([32]byte, error) {
	const characters = 43 // of unpadded base64url
	hash, err := keystore.ParseHash(row.Key)
	if err != nil || len(row.Key) != characters {
		return [32]byte{}, invalid("key", "is not the unpadded base64url of a SHA-256",
			"keys that were stored as they are (disableKeyHashing) or hashed in another way are imported with --format sha256")
	}
	return hash, nil
}

// windows adds refill and rate limit to spec, where better-auth would apply them: an interval or a maximum that is not there turns
// them off, whatever else the row says.
func (row *betterAuthRow) windows(spec *keystore.KeySpec) (err error) {
	if (row.RefillAmount == 0) != (row.RefillInterval == 0) {
		return invalid("refillAmount", "and refillInterval come together or not at all", "")
	}
	if row.RefillAmount != 0 {
		spec.Refill = &keystore.Refill{Amount: int64(row.RefillAmount), LastAt: time.Time(row.LastRefillAt)}
		if spec.Refill.Interval, err = milliseconds("refillInterval", int64(row.RefillInterval)); err != nil {
			return err
		}
	}
	if row.RateLimitTimeWindow != nil && row.RateLimitMax != nil {
		spec.RateLimit = &keystore.RateLimit{Enabled: row.rateLimited(), Max: int64(*row.RateLimitMax)}
		if spec.RateLimit.Window, err = milliseconds("rateLimitTimeWindow", int64(*row.RateLimitTimeWindow)); err != nil {
			return err
		}
	}
	return nil
}

// rateLimited: without a word about it, better-auth limits.
func (row *betterAuthRow) rateLimited() bool {
	return row.RateLimitTimeWindow != nil && row.RateLimitMax != nil && (row.RateLimitEnabled == nil || bool(*row.RateLimitEnabled))
}

// limited names the first column that would limit the key, or none.
func (row *betterAuthRow) limited() string {
	switch {
	case row.Remaining != nil:
		return "remaining"
	case row.RefillAmount != 0:
		return "refillAmount"
	case row.rateLimited():
		return "rateLimitEnabled"
	}
	return ""
}

// flatten turns a map resource → actions into a list of resource:action.
func flatten(value json.RawMessage) ([]string, error) {
	const field = "permissions"
	_, members, err := objectIn(field, value)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, m := range members {
		var actions []*string // an action that is null is none
		if err := json.Unmarshal([]byte(m.Raw), &actions); err != nil || slices.Contains(actions, nil) {
			return nil, invalid(field, "of "+strconv.Quote(m.Name)+" are not a list of actions", `write them like {"note":["read","create"]}`)
		}
		for _, action := range actions {
			list = append(list, m.Name+":"+*action)
		}
	}
	return list, nil
}

// objectIn is the JSON object that a column holds, as it is or as text: better-auth stores text, and versions of it stored the text
// of a text. Nil: there is none.
func objectIn(field string, value json.RawMessage) (json.RawMessage, strictjson.Object, error) {
	for range 2 {
		var text string
		if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &text) != nil {
			break
		}
		value = json.RawMessage(strings.TrimSpace(text))
	}
	if len(value) == 0 || string(value) == "null" {
		return nil, nil, nil
	}
	if value[0] != '{' {
		return nil, nil, invalid(field, "is neither a JSON object nor the text of one", "")
	}
	members, err := parseObject(value)
	if err != nil {
		return nil, nil, mistyped(field, reflect.TypeFor[json.RawMessage](), err)
	}
	return value, members, nil
}

// scalar is a value as an export writes it: a number, or a text that may be one.
func scalar(data []byte) (text string, ok bool) {
	if data[0] == '"' {
		return text, json.Unmarshal(data, &text) == nil
	}
	return string(data), data[0] == '-' || '0' <= data[0] && data[0] <= '9'
}

// word is a text, or a number that stands for one: ids that a database counts.
type word string

// UnmarshalJSON reads a text or a whole number.
func (w *word) UnmarshalJSON(data []byte) error {
	text, ok := scalar(data)
	if _, err := strconv.ParseInt(text, 10, 64); !ok || data[0] != '"' && err != nil {
		return invalid("", "is neither a text nor a whole number", "")
	}
	*w = word(text)
	return nil
}

// number is a whole number, or the text of one.
type number int64

// UnmarshalJSON reads a whole number.
func (n *number) UnmarshalJSON(data []byte) error {
	text, ok := scalar(data)
	value, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return invalid("", "is not a whole number", "")
	}
	*n = number(value)
	return nil
}

// flag is true or false, or what a database has in their place.
type flag bool

// UnmarshalJSON reads true and false, 1 and 0, t and f.
func (f *flag) UnmarshalJSON(data []byte) error {
	switch strings.ToLower(strings.Trim(string(data), `"`)) {
	case "true", "t", "1":
		*f = true
	case "false", "f", "0":
		*f = false
	default:
		return invalid("", "is neither true nor false", "")
	}
	return nil
}

// moment is a time, in one of the forms in which databases write it. Without a zone it is UTC.
type moment time.Time

// secondsBelow is where numbers begin to be milliseconds: in seconds it is the year 5138, in milliseconds 1973.
const secondsBelow = 100_000_000_000

// UnmarshalJSON reads RFC 3339, SQL, and seconds or milliseconds of Unix time.
func (m *moment) UnmarshalJSON(data []byte) error {
	text, ok := scalar(data)
	if !ok {
		return errMoment()
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if -secondsBelow < n && n < secondsBelow {
			n *= 1000
		}
		return m.set(time.UnixMilli(n))
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07", "2006-01-02T15:04:05Z07", "2006-01-02 15:04:05 -0700",
		"2006-01-02 15:04:05", "2006-01-02T15:04:05", // a fraction of a second passes in each
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return m.set(t)
		}
	}
	return errMoment()
}

// set makes m t, which must not be what stands for no time.
func (m *moment) set(t time.Time) error {
	*m = moment(t.UTC())
	return isTime("", &t)
}

func errMoment() error {
	return invalid("", "is not a time", "write it like 2026-11-02T09:00:00Z, 2026-11-02 09:00:00+00, or in seconds or milliseconds of Unix time")
}
