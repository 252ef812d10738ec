package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"
)

// rewritePiece is how many entries are written in one transaction.
const rewritePiece = 20_000

// Rewrite writes everything that db holds into d, which is empty, as a new database without free pages, whose frames have MACs made with key, or none. Nobody
// may write into db meanwhile.
//
// bbolt gives no page back to the disk: this is how a file becomes smaller again. And it is how the records of a file come to have MACs, or have none any more:
// each is read as Options.MACKey of db says, and so must be what it was written as.
func (db *DB) Rewrite(ctx context.Context, d *Draft, key []byte) error {
	file, err := d.dup()
	if err != nil {
		return err
	}
	bolt, err := begin(file, newFrames(key))
	if err != nil {
		return errors.Join(full(err), file.Close())
	}
	w := rewriter{to: bolt, frames: newFrames(key)}
	bolt.NoSync = true // until it has its name: see Draft.Replace
	err = db.View(func(tx *Tx) error {
		return tx.do(func(bt *view) error {
			return bt.ForEach(func(name []byte, b *bbolt.Bucket) error { return w.bucket(ctx, bt.frames, name, b) })
		})
	})
	if err == nil {
		err = bolt.Update(func(bt *bbolt.Tx) error { return listBuckets(&view{bt, w.frames}) })
	}
	return full(errors.Join(err, bolt.Close(), d.lock()))
}

// A rewriter writes a database anew.
type rewriter struct {
	to     *bbolt.DB
	frames *frames
}

// bucket copies a bucket, in the order of its keys and with its sequence.
func (w *rewriter) bucket(ctx context.Context, was *frames, name []byte, from *bbolt.Bucket) error {
	framed := !strings.HasPrefix(string(name), "index:")
	c := from.Cursor()
	k, v := c.First()
	for first := true; first || k != nil; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := w.to.Update(func(bt *bbolt.Tx) error {
			b, err := bt.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			b.FillPercent = appendFill
			for n := 0; k != nil && n < rewritePiece; n++ {
				value := v
				if framed {
					if value, err = w.frame(was, placeOf(string(name)), k, v); err != nil {
						return fmt.Errorf("%s, %x: %w", name, k, err)
					}
				}
				if err := b.Put(bytes.Clone(k), bytes.Clone(value)); err != nil {
					return err
				}
				k, v = c.Next()
			}
			return b.SetSequence(from.Sequence())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// frame is the frame v as it shall be.
func (w *rewriter) frame(was *frames, at place, key, v []byte) ([]byte, error) {
	version, payload, err := was.open(at, key, v)
	if err != nil {
		return nil, err
	}
	return w.frames.append(nil, at, key, version, func(dst []byte) []byte { return append(dst, payload...) }), nil
}
