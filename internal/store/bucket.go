package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// The names of buckets stand in bbolt's own pages, where no sum protects them: a table whose name was flipped would be an empty one. So they are listed
// in the meta bucket too, and the two are compared when the file is opened.
const bucketsKey = "buckets"

// makeBucket returns the bucket called name. If it is missing it is made and listed.
func makeBucket(bt *view, name []byte) (*bbolt.Bucket, error) {
	if b := bt.Bucket(name); b != nil {
		return b, nil
	}
	b, err := bt.CreateBucket(name)
	if err != nil {
		return nil, err
	}
	return b, listBuckets(bt)
}

// listBuckets writes the list anew.
func listBuckets(bt *view) error { return putMeta(bt, bucketsKey, bucketNames(bt)) }

// bucketNames are the names of all buckets in their order, each behind its length.
func bucketNames(bt *view) (names []byte) {
	c := bt.Cursor()
	for name, _ := c.First(); name != nil; name, _ = c.Next() {
		names = append(binary.AppendUvarint(names, uint64(len(name))), name...)
	}
	return names
}

// checkBuckets refuses a file whose buckets are not those that are listed.
func checkBuckets(bt *view) error {
	listed, err := getMeta(bt, bucketsKey)
	if err != nil || !bytes.Equal(listed, bucketNames(bt)) {
		return fmt.Errorf("%w: its tables are not those that it was left with", ErrCorrupt)
	}
	return nil
}
