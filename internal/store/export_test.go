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

// SmallMap is o for a map of which every commit may need more.
func SmallMap(o Options) Options {
	o.smallMap = true
	return o
}

// Path is where the database is.
func (db *DB) Path() string { return db.path }
