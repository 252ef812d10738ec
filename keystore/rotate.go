package keystore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// What a key keeps of the secrets that ended, to be shown with their traffic: what is older, or more, goes at its next change.
const (
	keepEnded    = 30 * 24 * time.Hour
	maxEnded     = 8
	maxSecrets   = 32 // of a key, ended ones included; only an import brings so many, and what it brought is kept
	maxRotations = math.MaxUint16
)

// RotateSpec says how to give a key a new secret.
type RotateSpec struct {
	// Overlap is how long the newest of the present secrets works beside the new one. Zero: it ends at once. All older ones
	// end at once in any case, so that never more than two work.
	Overlap time.Duration

	// UpdatedAt is [Key.UpdatedAt] of the key that the caller has seen: when it was changed since, the error is [ErrChanged].
	// Zero: whatever it is.
	UpdatedAt time.Time
}

// Rotation says which secrets a change ends.
type Rotation struct {
	Key   Key
	Ended []Secret // those that worked and end at once
	Ends  []Secret // those that work on until a new EndsAt
}

// Rotate gives a key a new secret, and returns its printed form, which is stored nowhere and never shown again. What ends
// at once is refused from its return on, for ever; what ends later ends by the clock of the check.
//
// A disabled key may be rotated: its new secret works when it is enabled. Errors: [ErrNotFound], [ErrRevoked], [ErrExpired],
// [ErrChanged], and [*InvalidError], also for a key whose environment is gone.
func (s *Store) Rotate(ctx context.Context, id string, spec RotateSpec, now time.Time) (Rotation, string, error) {
	now = now.UTC().Truncate(time.Millisecond)
	until, err := endOf(spec.Overlap, now)
	if err != nil {
		return Rotation{}, "", err
	}
	var c Credential
	r, err := s.endSecrets(ctx, "key.rotate", id, spec.UpdatedAt, now, func(tx *store.Tx, r *record) (err error) {
		if err := rotatable(r, now); err != nil {
			return err
		}
		r.supersede(until, fields.Millis(now))
		c, err = s.addMinted(tx, r, now)
		return err
	})
	if err != nil {
		return Rotation{}, "", fmt.Errorf("rotating key %q: %w", id, err)
	}
	return r, c.print(), nil
}

// EndOld ends at once all secrets of a key but the newest, with the promise of [Store.Rotate], and for good those that an
// overlap has ended. Where there is none it changes nothing. updatedAt is that of a [RotateSpec]. Errors: [ErrNotFound], [ErrRevoked], [ErrChanged].
func (s *Store) EndOld(ctx context.Context, id string, updatedAt, now time.Time) (Rotation, error) {
	now = now.UTC().Truncate(time.Millisecond)
	r, err := s.endSecrets(ctx, "key.end_old", id, updatedAt, now, func(_ *store.Tx, r *record) error {
		r.endOld(fields.Millis(now))
		return nil
	})
	if err != nil {
		return Rotation{}, fmt.Errorf("ending old secrets of key %q: %w", id, err)
	}
	return r, nil
}

// PlanRotate is what [Store.Rotate] would end, without the change. It has the same errors.
func (s *Store) PlanRotate(ctx context.Context, id string, overlap time.Duration, now time.Time) (Rotation, error) {
	now = now.UTC().Truncate(time.Millisecond)
	until, err := endOf(overlap, now)
	if err != nil {
		return Rotation{}, err
	}
	return s.plan(ctx, id, now, func(r *record) error {
		if err := rotatable(r, now); err != nil {
			return err
		}
		r.supersede(until, fields.Millis(now))
		_, err := s.home(r)
		return err
	})
}

// PlanEndOld is what [Store.EndOld] would end, without the change. It has the same errors.
func (s *Store) PlanEndOld(ctx context.Context, id string, now time.Time) (Rotation, error) {
	now = now.UTC().Truncate(time.Millisecond)
	return s.plan(ctx, id, now, func(r *record) error {
		r.endOld(fields.Millis(now))
		return nil
	})
}

// endOf is when an overlap that begins now ends, in milliseconds of Unix time.
func endOf(overlap time.Duration, now time.Time) (int64, error) {
	if overlap < 0 {
		return 0, &InvalidError{"overlap", "is less than 0", "write it like 72h; 0 ends all other secrets at once"}
	}
	until := now.Add(overlap)
	return fields.Millis(until), checkTime("overlap", until)
}

// rotatable says whether a new secret of r would be good for anything.
func rotatable(r *record, now time.Time) error {
	if r.expires != 0 && fields.Millis(now) >= r.expires {
		return ErrExpired
	}
	return nil
}

// endSecrets changes the ends of a key's secrets, and says which.
func (s *Store) endSecrets(
	ctx context.Context, action, id string, updatedAt, now time.Time, change func(*store.Tx, *record) error,
) (Rotation, error) {
	var r record
	var u useRecord
	var ended, ends []secret
	err := s.change(ctx, now, func(tx *store.Tx) (_ *Record, err error) {
		if r, u, err = s.forEnding(tx, id); err != nil {
			return nil, err
		}
		if !updatedAt.IsZero() && !updatedAt.Equal(r.UpdatedAt) {
			return nil, ErrChanged
		}
		before := slices.Clone(r.secrets)
		if err := change(tx, &r); err != nil {
			return nil, err
		}
		if ended, ends = r.difference(before); slices.Equal(before, r.secrets) {
			return nil, nil
		}
		if err := s.update(tx, &r, now); err != nil {
			return nil, err
		}
		return s.ofKey(tx, action, &r, endings(ended, ends)...)
	})
	if err != nil {
		return Rotation{}, err
	}
	return s.rotation(&r, u, ended, ends, now)
}

// plan is endSecrets on a copy that nobody keeps.
func (s *Store) plan(ctx context.Context, id string, now time.Time, change func(*record) error) (Rotation, error) {
	if err := ctx.Err(); err != nil {
		return Rotation{}, err
	}
	var plan Rotation
	err := s.db.View(func(tx *store.Tx) error {
		r, u, err := s.forEnding(tx, id)
		if err != nil {
			return err
		}
		as := r
		as.secrets = slices.Clone(r.secrets)
		if err := change(&as); err != nil {
			return err
		}
		ended, ends := as.difference(r.secrets)
		plan, err = s.rotation(&r, u, ended, ends, now)
		return err
	})
	if err != nil {
		return Rotation{}, fmt.Errorf("key %q: %w", id, err)
	}
	return plan, nil
}

// forEnding finds the key whose secrets are to end.
func (s *Store) forEnding(tx *store.Tx, id string) (r record, u useRecord, err error) {
	if r, err = s.findKey(tx, id); err != nil {
		return r, u, err
	}
	if r.state == codeRevoked {
		return r, u, ErrRevoked
	}
	u, err = s.useOf(tx, r.number)
	return r, u, err
}

func (s *Store) rotation(r *record, u useRecord, ended, ends []secret, now time.Time) (Rotation, error) {
	k, err := s.view(r, u, now)
	return Rotation{Key: k, Ended: u.show(ended), Ends: u.show(ends)}, err
}

// addMinted gives r one more secret, the newest, by whose id nothing is found yet.
func (s *Store) addMinted(tx *store.Tx, r *record, now time.Time) (Credential, error) {
	e, err := s.home(r)
	if err != nil {
		return Credential{}, err
	}
	last := r.secrets[len(r.secrets)-1].number
	forgettable := func(s secret) bool { return s.kind == kindMinted && s.over(fields.Millis(now)) }
	if last == maxRotations || len(r.secrets) >= maxSecrets && !slices.ContainsFunc(r.secrets, forgettable) {
		return Credential{}, errors.New("it has had all the secrets that a key can have")
	}
	for range mintAttempts {
		c, err := mint(e.KeyPrefix, s.random)
		if err != nil {
			return Credential{}, err
		}
		if _, err := s.keys.Lookup(tx, indexID, []byte(c.ID)); !errors.Is(err, store.ErrNotFound) {
			if err != nil {
				return Credential{}, err
			}
			continue
		}
		fresh := secret{number: last + 1, kind: kindMinted, created: fields.Millis(now), start: c.start(), hash: s.hashOf(c.print())}
		copy(fresh.id[:], c.ID)
		r.secrets = append(r.secrets, fresh)
		return c, nil
	}
	return Credential{}, fmt.Errorf("every id drawn is taken already: %w", store.ErrExists)
}

// home is the environment that r belongs to.
func (s *Store) home(r *record) (Environment, error) {
	e, err := s.environment(r.Environment)
	if err != nil {
		return e, &InvalidError{"environment", fmt.Sprintf("%q is not configured any more", r.Environment), "its keys are refused until it is back in the file"}
	}
	return e, nil
}

// supersede ends all secrets for a new one: the newest that works does so until a moment, all others end now.
func (r *record) supersede(until, now int64) {
	newest := true
	for i := len(r.secrets) - 1; i >= 0; i-- {
		s := &r.secrets[i]
		switch {
		case s.over(now):
			continue
		case !newest || until <= now:
			s.end(now)
		case s.ends == 0 || s.ends > until:
			s.ends = until
		}
		newest = false
	}
}

// endOld ends all secrets but the newest. What its overlap ended is ended for good now, as the command says.
func (r *record) endOld(now int64) {
	for i := range len(r.secrets) - 1 {
		switch s := &r.secrets[i]; {
		case !s.over(now):
			s.end(now)
		case s.ends > 0:
			s.end(s.ends)
		}
	}
}

// difference is which of the secrets that were there have another end: at once, or later.
func (r *record) difference(before []secret) (ended, ends []secret) {
	for i, was := range before {
		switch is := r.secrets[i]; {
		case is.endsAt().Equal(was.endsAt()):
		case is.ends < 0:
			ended = append(ended, is)
		default:
			ends = append(ends, is)
		}
	}
	return ended, ends
}

// prune forgets secrets that ended long ago, or many ended ones ago. It reports whether it did. Imported ones stay: were one forgotten,
// the line that brought it would be news to the next import of the same file, and so work again.
func (r *record) prune(now int64) bool {
	kept := make([]secret, 0, len(r.secrets))
	ended := 0
	for i, s := range slices.Backward(r.secrets) {
		if i < len(r.secrets)-1 && s.kind == kindMinted && s.over(now) {
			if ended++; ended > maxEnded || now-fields.Millis(s.endsAt()) >= keepEnded.Milliseconds() {
				continue
			}
		}
		kept = append(kept, s)
	}
	pruned := len(kept) < len(r.secrets)
	slices.Reverse(kept)
	r.secrets = kept
	return pruned
}

// forget removes what is known of secrets that r no longer has.
func (u *useRecord) forget(r *record) {
	u.secrets = slices.DeleteFunc(u.secrets, func(of secretUse) bool {
		return !slices.ContainsFunc(r.secrets, func(s secret) bool { return s.number == of.number })
	})
}

// end ends s for good, at now. What was ended by command stays so whatever a clock says later: that is the sign.
func (s *secret) end(now int64) { s.ends = -now }

// over says whether s has ended.
func (s *secret) over(now int64) bool { return s.ends != 0 && now >= s.ends }

// endsAt is when s ends or ended; zero: with the key.
func (s *secret) endsAt() time.Time { return fields.TimeOf(max(s.ends, -s.ends)) }

// name is what records of audit call s: its lookup id or, where it has none, its number.
func (s *secret) name() string {
	if id := s.lookupID(); id != "" {
		return id
	}
	return "#" + strconv.Itoa(int(s.number))
}

// endings are the details of a record of audit: NAME of those that ended at once, NAME=TIME of those that end later.
func endings(ended, ends []secret) (details []Detail) {
	if len(ended) > 0 {
		details = append(details, Detail{Name: "ended", Texts: names(ended)})
	}
	if len(ends) > 0 {
		texts := names(ends)
		for i := range texts {
			texts[i] += "=" + ends[i].endsAt().Format(time.RFC3339Nano)
		}
		details = append(details, Detail{Name: "ends", Texts: texts})
	}
	return details
}

func names(secrets []secret) []string {
	all := make([]string, 0, len(secrets))
	for i := range secrets {
		all = append(all, secrets[i].name())
	}
	return all
}
