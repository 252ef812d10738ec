package token

import (
	"errors"
	"fmt"
	"time"
)

// Logged is an event of the past, as a log tells it.
type Logged struct {
	Event
	Time time.Time
}

// RevocationLog is what a log says was revoked.
type RevocationLog struct{ all []denial }

// Add adds what e revoked, if anything. The error says what is wrong with it, a clause without subject.
func (l *RevocationLog) Add(e *Logged) error {
	if e.Action != "token.revoke" && e.Action != "session.end" {
		return nil
	}
	before := len(l.all)
	for _, d := range e.Details {
		n := denyName{}
		switch {
		case d.Name == "jti":
			n.kind = denyToken
		case d.Name == "session":
			n.kind = denySession
		case d.Name == "user" && e.Action == "token.revoke": // the user of a session that ended is let be
			n = denyName{kind: denyUser, tenant: e.Tenant, environment: e.Environment}
		default:
			continue
		}
		for _, n.id = range d.Texts {
			l.add(n, e.asOf())
		}
	}
	if len(l.all) == before && e.Action == "token.revoke" && e.KeyID != "" && e.has("until") {
		l.add(denyName{denyKey, e.Tenant, e.Environment, e.KeyID}, e.asOf())
	}
	if len(l.all) == before {
		return fmt.Errorf("is one of the stream audit, but does not say to what %s was done", e.Action)
	}
	if e.Time.IsZero() {
		return errors.New("is one of the stream audit, but has no time")
	}
	return nil
}

// add has what n names refused as of at. A token may say the second after, see after.
func (l *RevocationLog) add(n denyName, at time.Time) {
	if n.id == "" {
		return
	}
	d := denial{n, at.UTC(), at.UTC().Add(longest)}
	if n.kind == denyToken {
		d.at = d.at.Add(time.Second)
	}
	l.all = append(l.all, d)
}

// asOf is until when what was issued is revoked: the time of the event, or a later one that it names.
func (e *Logged) asOf() time.Time {
	for _, d := range e.Details {
		if d.Name == "until" && len(d.Texts) == 1 {
			if at, err := time.Parse(time.RFC3339, d.Texts[0]); err == nil && at.After(e.Time) {
				return at
			}
		}
	}
	return e.Time
}

// has says whether e has a detail.
func (e *Event) has(name string) bool {
	for _, d := range e.Details {
		if d.Name == name {
			return true
		}
	}
	return false
}
