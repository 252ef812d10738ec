package federation

import (
	"bytes"

	"github.com/postern-auth/postern/internal/fields"
)

// Owner is whose providers and users something is about: a tenant, by its id, in one of its environments.
type Owner struct {
	Tenant      string // 1 to 255 bytes
	Environment string // 1 to 255 bytes
}

// prefix is what the keys of all that o owns begin with, and those of nobody else.
func (o Owner) prefix() []byte {
	return fields.AppendText(make([]byte, 0, 128), o.Tenant, o.Environment)
}

// key is the key of what o owns under these names. What differs in the last one only is in its order.
func (o Owner) key(names ...string) []byte {
	b, last := o.prefix(), len(names)-1
	return append(fields.AppendLongText(b, names[:last]...), names[last]...)
}

// readOwner reads one whose names stand as prefix has them.
func readOwner(r *fields.Reader) Owner { return Owner{Tenant: r.Text(), Environment: r.Text()} }

// owns reports whether a key is of something that o owns.
func (o Owner) owns(key []byte) bool { return bytes.HasPrefix(key, o.prefix()) }
