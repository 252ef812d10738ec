package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A frame is what stands in the file for a record, a change or a meta value:
//
//	version  1 byte    of the payload's encoding
//	length   4 bytes   of the payload, little-endian
//	payload
//	sum      4 bytes   CRC-32C of place, version, length and payload, little-endian
//
// The place (bucket and key) is in the sum but not in the frame, so that a frame that is found elsewhere is refused.
const (
	frameHead = 1 + 4
	frameTail = 4
)

func frameSize(payload int) int { return frameHead + payload + frameTail }

// place starts the sum of the frames of one bucket.
func place(bucket []byte) uint32 { return crc32.Checksum(bucket, crc32.MakeTable(crc32.Castagnoli)) }

func frameSum(place uint32, key, body []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(place, t, key), t, body)
}

// appendFrame appends to dst the frame of what encode appends.
func appendFrame(dst []byte, place uint32, key []byte, version uint8, encode func([]byte) []byte) []byte {
	start := len(dst)
	dst = append(dst, version, 0, 0, 0, 0)
	dst = encode(dst)
	body := dst[start:]
	binary.LittleEndian.PutUint32(body[1:], uint32(len(body)-frameHead)) //nolint:gosec // bbolt bounds a value below 2 GiB
	return binary.LittleEndian.AppendUint32(dst, frameSum(place, key, body))
}

// openFrame returns version and payload of the frame b, which was found under key. The payload aliases b.
// The error is ErrCorrupt, and comes with a nil payload.
func openFrame(place uint32, key, b []byte) (version uint8, payload []byte, err error) {
	if len(b) < frameHead+frameTail {
		return 0, nil, fmt.Errorf("%w: %d bytes are no record", ErrCorrupt, len(b))
	}
	body, tail := b[:len(b)-frameTail], b[len(b)-frameTail:]
	if n := int64(binary.LittleEndian.Uint32(body[1:])); n != int64(len(body)-frameHead) {
		return 0, nil, fmt.Errorf("%w: record of %d bytes says %d", ErrCorrupt, len(body)-frameHead, n)
	}
	if frameSum(place, key, body) != binary.LittleEndian.Uint32(tail) {
		return 0, nil, fmt.Errorf("%w: checksum of the record differs", ErrCorrupt)
	}
	return body[0], body[frameHead:], nil
}
