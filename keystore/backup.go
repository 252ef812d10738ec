package keystore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// metaBackup is the fact that says when a database was copied: RFC 3339. A database that is not a backup has none.
const metaBackup = "backup"

// Backup writes a copy of the database, in the state of this moment, to what begin returns for its size in bytes. It pauses so long between two pieces. The
// error is [store.ErrInterrupted] when the database had to grow meanwhile: try again. A write to w must not go on when interrupted is closed: changes wait.
//
// The copy holds no pepper, without which none of its keys can be checked.
func (s *Store) Backup(ctx context.Context, pause time.Duration, begin func(size int64, interrupted <-chan struct{}) io.Writer) error {
	err := s.db.Snapshot(pause, func(x *store.Snapshot) error { return x.Copy(ctx, begin(x.Size(), x.Interrupted())) })
	if err != nil {
		return fmt.Errorf("copying the database: %w", err)
	}
	return nil
}

// MarkBackup records in a copy when it was made.
func MarkBackup(db *store.DB, at time.Time) error {
	_, err := db.Update(func(tx *store.Tx) error {
		return store.SetMeta(tx, metaBackup, []byte(at.UTC().Format(time.RFC3339Nano)))
	})
	return err
}

// BackupTime returns when a copy was made; the zero time for what is not marked as one.
func BackupTime(db *store.DB) (at time.Time, err error) {
	err = db.View(func(tx *store.Tx) error {
		text, err := store.Meta(tx, metaBackup)
		if errors.Is(err, store.ErrNotFound) || err == nil && len(text) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		at, err = time.Parse(time.RFC3339Nano, string(text))
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the time of the backup: %w", err)
	}
	return at, nil
}
