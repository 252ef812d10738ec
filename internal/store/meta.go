package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The bucket "meta" holds facts about the file: the format, the state of the feed, and under names that begin with "user:" what SetMeta was given.
const (
	metaBucket    = "meta"
	formatKey     = "format"
	stateKey      = "state"
	userMeta      = "user:"
	formatVersion = 1
)

// Meta returns the fact that SetMeta recorded under name, as a slice of the caller's. The error is ErrNotFound or ErrCorrupt.
func Meta(tx *Tx, name string) ([]byte, error) {
	var value []byte
	err := tx.do(func(bt *view) (err error) {
		value, err = getMeta(bt, userMeta+name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("meta %q: %w", name, err)
	}
	return value, nil
}

// SetMeta records a fact about the whole file under name. It raises no revision.
func SetMeta(tx *Tx, name string, value []byte) error {
	return tx.write(func(bt *view) error { return putMeta(bt, userMeta+name, value) })
}

func getMeta(bt *view, key string) ([]byte, error) {
	b := bt.Bucket([]byte(metaBucket))
	if b == nil {
		return nil, ErrNotFound
	}
	v := b.Get([]byte(key))
	if v == nil {
		return nil, ErrNotFound
	}
	_, payload, err := bt.frames.open(placeOf(metaBucket), []byte(key), v)
	return bytes.Clone(payload), err
}

func putMeta(bt *view, key string, value []byte) error {
	b, err := bt.CreateBucketIfNotExists([]byte(metaBucket))
	if err != nil {
		return err
	}
	frame := bt.frames.append(nil, placeOf(metaBucket), []byte(key), 1, func(dst []byte) []byte { return append(dst, value...) })
	return b.Put([]byte(key), frame)
}

// format makes a new file ours.
func format(bt *view) error {
	return errors.Join(
		putMeta(bt, formatKey, binary.LittleEndian.AppendUint32(nil, formatVersion)),
		putState(bt, state{}),
		listBuckets(bt),
	)
}

// checkFormat refuses a file that is a bbolt database of somebody else, or of a later Postern.
func checkFormat(tx *Tx) error {
	return tx.do(func(bt *view) error {
		if err := checkMACs(bt); err != nil {
			return err
		}
		b, err := getMeta(bt, formatKey)
		if errors.Is(err, ErrNotFound) || err == nil && len(b) != 4 {
			return fmt.Errorf("%w: it is a bbolt file, but not one of Postern", ErrCorrupt)
		}
		if err != nil {
			return err
		}
		if v := binary.LittleEndian.Uint32(b); v != formatVersion {
			return fmt.Errorf("%w: its format is %d, and this Postern knows %d", ErrCorrupt, v, formatVersion)
		}
		_, err = getState(bt)
		return errors.Join(err, checkBuckets(bt))
	})
}

// checkMACs refuses a file of the other kind: the fact of its format shows which one it is.
func checkMACs(bt *view) error {
	b := bt.Bucket([]byte(metaBucket))
	if b == nil || b.Get([]byte(formatKey)) == nil {
		return nil // which is found next
	}
	frame := b.Get([]byte(formatKey))
	at, key := placeOf(metaBucket), []byte(formatKey)
	var plain *frames
	sealed := len(frame) == frameSize(4)+macSize
	if _, _, err := plain.open(at, key, frame[:min(len(frame), frameSize(4))]); err != nil {
		return fmt.Errorf("fact of the format: %w", err)
	}
	switch {
	case bt.frames == nil && sealed:
		return fmt.Errorf("%w: those of this file have them", ErrMAC)
	case bt.frames == nil:
		return nil
	case !sealed:
		return fmt.Errorf("%w: those of this file have none", ErrMAC)
	}
	if _, _, err := bt.frames.open(at, key, frame); err != nil {
		return ErrMACKey
	}
	return nil
}

// state is where the feed stands.
type state struct {
	revision uint64 // of the last change
	floor    uint64 // the newest revision of which the feed has lost something
	held     uint64 // number of changes in the feed
}

func putState(bt *view, s state) error {
	b := binary.LittleEndian.AppendUint64(nil, s.revision)
	b = binary.LittleEndian.AppendUint64(b, s.floor)
	b = binary.LittleEndian.AppendUint64(b, s.held)
	return putMeta(bt, stateKey, b)
}

func getState(bt *view) (state, error) {
	b, err := getMeta(bt, stateKey)
	if err != nil || len(b) != 24 {
		return state{}, errors.Join(fmt.Errorf("%w: it has no revision", ErrCorrupt), err)
	}
	return state{
		revision: binary.LittleEndian.Uint64(b),
		floor:    binary.LittleEndian.Uint64(b[8:]),
		held:     binary.LittleEndian.Uint64(b[16:]),
	}, nil
}
