// Package fields writes and reads the encodings of records that the owners of tables keep in package store.
//
// An encoding is a row of fields without names or padding: who decodes it reads the same fields in the same order. Numbers are
// big-endian; a text is its length (one byte, or two where a text may be long) and its bytes; a truth is a byte that is 0 or 1; a time
// is in milliseconds of Unix time, 0 for none. Each value has one encoding, so what decodes, encodes to the same bytes. Its version
// stands outside, in the frame of the store.
//
// The append functions add to a slice, as those of encoding/binary do. A [Reader] takes an encoding apart, and says at the end, in
// [Reader.Done], whether it was one; until then whatever is wrong reads as zero.
//
// Not here: what the fields mean, and which of their values a record may have.
package fields
