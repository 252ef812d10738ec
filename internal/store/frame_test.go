package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func frameOf(place uint32, key []byte, version uint8, payload []byte) []byte {
	return appendFrame(nil, place, key, version, func(dst []byte) []byte { return append(dst, payload...) })
}

// R-STORE-2: what opens is, to the byte, what would be written there; what does not gives nothing.
func FuzzFrame(f *testing.F) {
	f.Add(uint32(0), []byte(nil), []byte(nil))
	f.Add(uint32(1), []byte("k"), frameOf(1, []byte("k"), 7, []byte("payload")))
	f.Add(place([]byte("table:x")), []byte("key"), frameOf(place([]byte("table:x")), []byte("key"), 0, nil))
	f.Add(uint32(1), []byte("k"), []byte{1, 255, 255, 255, 255, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, place uint32, key, b []byte) {
		version, payload, err := openFrame(place, key, b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || payload != nil || version != 0 {
				t.Errorf("%d, %x, %v", version, payload, err)
			}
			return
		}
		if again := frameOf(place, key, version, payload); !bytes.Equal(again, b) {
			t.Errorf("%x opens, and would be written as %x", b, again)
		}
	})
}

// R-STORE-2
func FuzzChange(f *testing.F) {
	for _, c := range []Change{{Revision: 1, Table: "t", Key: []byte("k")}, {Revision: 1 << 40, Table: "long_table", Deleted: true}} {
		key := changeKey(c.Revision, 3)
		f.Add(key, encodeChange(key, c)[frameHead:])
	}
	f.Fuzz(func(t *testing.T, key, payload []byte) {
		frame := frameOf(place([]byte(feedBucket)), key, feedVersion, payload)
		c, err := openChange(key, frame)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || c.Key != nil || c.Table != "" || c.Revision != 0 {
				t.Errorf("%v, %v", c, err)
			}
			return
		}
		if again := encodeChange(key, c); !bytes.Equal(again, frame) {
			t.Errorf("%x opens, and would be written as %x", frame, again)
		}
	})
}

// R-STORE-2: any one bit, any cut, and any other place is found out.
func TestFramesAreRefusedWhenAnythingDiffers(t *testing.T) {
	t.Parallel()
	key, payload := []byte("a key"), make([]byte, 250)
	for i := range payload {
		payload[i] = byte(rand.Uint32())
	}
	here := place([]byte("table:here"))
	good := frameOf(here, key, 2, payload)
	if v, p, err := openFrame(here, key, good); v != 2 || !bytes.Equal(p, payload) || err != nil {
		t.Fatalf("%d, %x, %v", v, p, err)
	}
	refuse := func(what string, place uint32, key, b []byte) {
		t.Helper()
		if _, p, err := openFrame(place, key, b); !errors.Is(err, ErrCorrupt) || p != nil {
			t.Errorf("%s: %x, %v", what, p, err)
		}
	}
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		refuse("a flipped bit", here, key, bad)
	}
	for n := range good {
		refuse("cut short", here, key, good[:n])
	}
	refuse("one byte more", here, key, append(bytes.Clone(good), 0))
	refuse("another table", place([]byte("table:there")), key, good)
	refuse("another key", here, []byte("b key"), good)
	refuse("a longer key", here, append(bytes.Clone(key), good[0]), good[1:])
}
