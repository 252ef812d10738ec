package keystore

// Cache keeps records of keys by number. It may forget an entry at any time, and may answer Get with any entry that was
// ever Set for that number, however old: each is checked against the index before it is used.
type Cache interface {
	Get(number uint64) (*Cached, bool)
	Set(number uint64, c *Cached, size int64)
}

// Cached is an entry of a [Cache].
type Cached struct {
	version  uint32
	key      *Key
	prepare  *Prepare
	prepared any
}
