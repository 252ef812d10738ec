package jwks_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/postern-auth/postern/jwks"
)

// Sets are many, live for a day, and are made of texts that tenants choose: one must not keep its text alive.
func TestASetTakesNoMoreMemoryThanItsKeys(t *testing.T) {
	const count = 32
	key := newSigner(t, jwks.ES256, "k").jwk(t, `"alg":"ES256"`)
	refused := newSigner(t, jwks.ES256, "refused").jwk(t, `"use":"enc"`)
	text := []byte(`{"padding":"` + strings.Repeat("x", 1<<20-2000) + `",` + setText(key, refused)[1:])
	sets := make([]*jwks.Set, count)
	before := heap()
	for i := range sets {
		var err error
		if sets[i], err = jwks.ParseSet(text); err != nil {
			t.Fatal(err)
		}
	}
	if took := heap() - before; took > count<<20/4 {
		t.Errorf("%d sets of two small keys take %d bytes", count, took)
	}
	runtime.KeepAlive(sets)
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
