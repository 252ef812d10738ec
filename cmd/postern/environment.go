package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// environmentsMeta is where the database remembers, as a JSON list, the environments that keys in it may have: all that the
// file listed when somebody could write. So a start need not read every key to find one whose environment is gone.
const environmentsMeta = "environments"

// lostEnvironments returns the environments that some keys have and the file no longer lists: those keys are refused. It
// remembers what the file lists now, and forgets what no key has.
func lostEnvironments(c *config.Config, d *data) (lost []string, err error) {
	var remembered []string
	err = d.db.View(func(tx *store.Tx) error {
		text, err := store.Meta(tx, environmentsMeta)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return errors.Join(err, json.Unmarshal(text, &remembered))
	})
	if err != nil {
		return nil, fmt.Errorf("reading the environments of %q: %w", databasePath(c), err)
	}
	var listed []string
	for _, e := range c.Environments {
		listed = append(listed, e.Name)
	}
	for _, name := range remembered {
		if slices.Contains(listed, name) {
			continue
		}
		switch used, err := hasKeys(d.keys, name); {
		case err != nil:
			return nil, err
		case used:
			lost = append(lost, name)
		}
	}
	now := slices.Sorted(slices.Values(append(listed, lost...)))
	if slices.Equal(now, remembered) {
		return lost, nil
	}
	text, err := json.Marshal(now)
	if err != nil {
		return nil, err
	}
	_, err = d.db.Update(func(tx *store.Tx) error { return store.SetMeta(tx, environmentsMeta, text) })
	return lost, err
}

// hasKeys reports whether a key belongs to an environment.
func hasKeys(keys *keystore.Store, environment string) (bool, error) {
	for _, err := range keys.Keys(context.Background(), keystore.Filter{Environment: environment}, time.Now()) {
		return err == nil, err
	}
	return false, nil
}
