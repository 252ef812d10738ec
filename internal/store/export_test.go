package store

// Grow makes the file longer, as a commit does.
func (db *DB) Grow(by int64) error {
	size := db.size.Load() + by
	if err := db.file.Truncate(size); err != nil {
		return err
	}
	db.size.Store(size)
	return nil
}
