package keystore

import (
	"context"
	"time"
)

// Use counts an allowed request for the key and the secret that m was found with. It does not wait and does not
// allocate; what it counts is in the file within a second while [Store.Run] runs.
func (s *Store) Use(m Match, now time.Time) { panic("later") }

// Run writes what Use counted once a second, and lets an index that could not follow the file try again, until ctx ends; then it writes once more.
func (s *Store) Run(ctx context.Context) error { panic("later") }
