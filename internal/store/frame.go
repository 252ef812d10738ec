package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"sync"
)

// A frame is what stands in the file for a record, a change or a meta value:
//
//	version  1 byte    of the payload's encoding
//	length   4 bytes   of the payload, little-endian
//	payload
//	sum      4 bytes   CRC-32C of place, version, length and payload, little-endian
//	MAC      16 bytes  if there is a key: of HMAC-SHA-256 over the length of the bucket's name (4 bytes, big-endian), that name, the length of the key (the same),
//	                   the key, version, length and payload
//
// The place (bucket and key) is in the sum but not in the frame, so that a frame that is found elsewhere is refused. The sum finds accidents, and says so; the
// MAC finds what was written by somebody who does not have its key. 16 bytes are as many as nobody guesses, one try at a time and each seen.
const (
	frameHead = 1 + 4
	frameTail = 4
	macSize   = 16
)

func frameSize(payload int) int { return frameHead + payload + frameTail }

// A place is the bucket that a frame stands in.
type place struct {
	bucket string
	sum    uint32 // starts the sums of its frames
}

func placeOf(bucket string) place {
	return place{bucket, crc32.Checksum([]byte(bucket), crc32.MakeTable(crc32.Castagnoli))}
}

func frameSum(p place, key, body []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(p.sum, t, key), t, body)
}

// frames reads and writes frames. Nil: those without a MAC.
type frames struct {
	pool sync.Pool // of hash.Hash
}

// newFrames returns nil for no key.
func newFrames(key []byte) *frames {
	if key == nil {
		return nil
	}
	key = append([]byte(nil), key...)
	return &frames{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// size is that of the frame of a payload.
func (f *frames) size(payload int) int {
	if f == nil {
		return frameSize(payload)
	}
	return frameSize(payload) + macSize
}

// mac appends the MAC of body, which stands at p under key.
func (f *frames) mac(dst []byte, p place, key, body []byte) []byte {
	h := f.pool.Get().(hash.Hash)
	defer f.pool.Put(h)
	h.Reset()
	var length [4]byte
	for _, part := range [][]byte{[]byte(p.bucket), key} {
		binary.BigEndian.PutUint32(length[:], uint32(len(part))) //nolint:gosec // bbolt bounds both
		_, _ = h.Write(length[:])
		_, _ = h.Write(part)
	}
	_, _ = h.Write(body)
	n := len(dst)
	return h.Sum(dst)[:n+macSize]
}

// append appends to dst the frame of what encode appends.
func (f *frames) append(dst []byte, p place, key []byte, version uint8, encode func([]byte) []byte) []byte {
	start := len(dst)
	dst = append(dst, version, 0, 0, 0, 0)
	dst = encode(dst)
	body := dst[start:]
	binary.LittleEndian.PutUint32(body[1:], uint32(len(body)-frameHead)) //nolint:gosec // bbolt bounds a value below 2 GiB
	dst = binary.LittleEndian.AppendUint32(dst, frameSum(p, key, body))
	if f != nil {
		dst = f.mac(dst, p, key, body)
	}
	return dst
}

// open returns version and payload of the frame b, which was found at p under key. The payload aliases b.
// The error is ErrCorrupt, and comes with a nil payload.
func (f *frames) open(p place, key, b []byte) (version uint8, payload []byte, err error) {
	if len(b) < f.size(0) {
		return 0, nil, fmt.Errorf("%w: %d bytes are no record", ErrCorrupt, len(b))
	}
	end := len(b) - f.size(0) + frameHead
	body, tail := b[:end], b[end:]
	if n := int64(binary.LittleEndian.Uint32(body[1:])); n != int64(len(body)-frameHead) {
		return 0, nil, fmt.Errorf("%w: record of %d bytes says %d", ErrCorrupt, len(body)-frameHead, n)
	}
	if frameSum(p, key, body) != binary.LittleEndian.Uint32(tail) {
		return 0, nil, fmt.Errorf("%w: checksum of the record differs", ErrCorrupt)
	}
	if f != nil {
		var room [sha256.Size]byte
		if !hmac.Equal(f.mac(room[:0], p, key, body), tail[frameTail:]) {
			return 0, nil, fmt.Errorf("%w: MAC of the record differs: it was not written with this key", ErrCorrupt)
		}
	}
	return body[0], body[frameHead:], nil
}
