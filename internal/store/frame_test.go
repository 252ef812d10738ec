package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
)

func frameOf(f *frames, at place, key []byte, version uint8, payload []byte) []byte {
	return f.append(nil, at, key, version, func(dst []byte) []byte { return append(dst, payload...) })
}

// kinds are the two kinds of frames.
func kinds() map[string]*frames {
	return map[string]*frames{"without a MAC": nil, "with a MAC": newFrames(bytes.Repeat([]byte("k"), 32))}
}

// R-STORE-2: what opens is, to the byte, what would be written there; what does not gives nothing.
func FuzzFrame(f *testing.F) {
	f.Add("", []byte(nil), []byte(nil))
	for _, kind := range kinds() {
		f.Add("b", []byte("k"), frameOf(kind, placeOf("b"), []byte("k"), 7, []byte("payload")))
		f.Add("table:x", []byte("key"), frameOf(kind, placeOf("table:x"), []byte("key"), 0, nil))
	}
	f.Add("b", []byte("k"), []byte{1, 255, 255, 255, 255, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, bucket string, key, b []byte) {
		for name, kind := range kinds() {
			version, payload, err := kind.open(placeOf(bucket), key, b)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) || payload != nil || version != 0 {
					t.Errorf("%s: %d, %x, %v", name, version, payload, err)
				}
				continue
			}
			if again := frameOf(kind, placeOf(bucket), key, version, payload); !bytes.Equal(again, b) {
				t.Errorf("%s: %x opens, and would be written as %x", name, b, again)
			}
		}
	})
}

// R-STORE-2
func FuzzChange(f *testing.F) {
	for _, c := range []Change{{Revision: 1, Table: "t", Key: []byte("k")}, {Revision: 1 << 40, Table: "long_table", Deleted: true}} {
		key := changeKey(c.Revision, 3)
		f.Add(key, encodeChange(nil, key, c)[frameHead:])
	}
	f.Fuzz(func(t *testing.T, key, payload []byte) {
		frame := frameOf(nil, placeOf(feedBucket), key, feedVersion, payload)
		c, err := openChange(nil, key, frame)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || c.Key != nil || c.Table != "" || c.Revision != 0 {
				t.Errorf("%v, %v", c, err)
			}
			return
		}
		if again := encodeChange(nil, key, c); !bytes.Equal(again, frame) {
			t.Errorf("%x opens, and would be written as %x", frame, again)
		}
	})
}

// R-STORE-2: any one bit, any cut, and any other place is found out.
func TestFramesAreRefusedWhenAnythingDiffers(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		key, payload := []byte("a key"), make([]byte, 250)
		for i := range payload {
			payload[i] = byte(rand.Uint32())
		}
		here := placeOf("table:here")
		good := frameOf(kind, here, key, 2, payload)
		if v, p, err := kind.open(here, key, good); v != 2 || !bytes.Equal(p, payload) || err != nil {
			t.Fatalf("%s: %d, %x, %v", name, v, p, err)
		}
		refuse := func(what string, at place, key, b []byte) {
			t.Helper()
			if _, p, err := kind.open(at, key, b); !errors.Is(err, ErrCorrupt) || p != nil {
				t.Errorf("%s, %s: %x, %v", name, what, p, err)
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
		refuse("another table", placeOf("table:there"), key, good)
		refuse("another key", here, []byte("b key"), good)
		refuse("a longer key", here, append(bytes.Clone(key), good[0]), good[1:])
	}
}

// R-STORE-3: who can write the file but has no key cannot make a frame that is read, also with the right sum: not by changing a bit, by moving it to
// another table or key, by taking the MAC away, or with another key.
func TestFramesAreRefusedWithoutTheKey(t *testing.T) {
	t.Parallel()
	f := kinds()["with a MAC"]
	here, key, payload := placeOf("table:here"), []byte("a key"), []byte("active=1 tenant=2")
	good := frameOf(f, here, key, 2, payload)
	mac := good[len(good)-macSize:]
	// forged has the sum that a body needs at a place, and the MAC that was there.
	forged := func(at place, key, body []byte) []byte {
		b := binary.LittleEndian.AppendUint32(bytes.Clone(body), frameSum(at, key, body))
		return append(b, mac...)
	}
	refuse := func(what string, at place, key, b []byte) {
		t.Helper()
		if _, p, err := f.open(at, key, b); !errors.Is(err, ErrCorrupt) || p != nil {
			t.Errorf("%s: %x, %v", what, p, err)
		}
	}
	body := good[:frameHead+len(payload)]
	if _, _, err := f.open(here, key, forged(here, key, body)); err != nil {
		t.Fatal(err) // or the test proves nothing
	}
	for i := range len(body) * 8 {
		bad := bytes.Clone(body)
		bad[i/8] ^= 1 << (i % 8)
		refuse("a flipped bit", here, key, forged(here, key, bad))
	}
	there, other := placeOf("table:there"), []byte("b key")
	refuse("another table", there, key, forged(there, key, body))
	refuse("another key of the table", here, other, forged(here, other, body))
	refuse("no MAC", here, key, frameOf(nil, here, key, 2, payload))
	refuse("the MAC of another key", here, key, frameOf(newFrames(bytes.Repeat([]byte("x"), 32)), here, key, 2, payload))
}
