package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"go.etcd.io/bbolt"
)

// damage is a program that changes the first byte of a text in a file, wherever it stands there.
func damage() {
	file, text := os.Args[1], []byte(os.Args[2])
	content, err := os.ReadFile(file)
	if err == nil && !bytes.Contains(content, text) {
		err = fmt.Errorf("%s has no %q", file, text)
	}
	changed := bytes.Clone(text)
	changed[0] ^= 1
	if err = errors.Join(err, os.WriteFile(file, bytes.ReplaceAll(content, text, changed), 0o600)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// forge FILE TABLE TEXT is a program that raises the first letter of a text in a record, and mends the record's sum: as somebody does who can write
// the database, and knows how it is made, but not the pepper (R-STORE-3).
func forge() {
	table, text := "table:"+os.Args[2], []byte(os.Args[3])
	db, err := bbolt.Open(os.Args[1], 0o600, nil)
	if err == nil {
		err = errors.Join(db.Update(func(tx *bbolt.Tx) error { return forgeRecord(tx.Bucket([]byte(table)), table, text) }), db.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func forgeRecord(b *bbolt.Bucket, name string, text []byte) error {
	table := crc32.MakeTable(crc32.Castagnoli)
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		at := bytes.Index(v, text)
		if at < 0 {
			continue
		}
		forged := bytes.Clone(v)
		forged[at]++
		body := forged[:5+binary.LittleEndian.Uint32(forged[1:])]
		sum := crc32.Update(crc32.Update(crc32.Checksum([]byte(name), table), table, k), table, body)
		binary.LittleEndian.PutUint32(forged[len(body):], sum)
		return b.Put(k, forged)
	}
	return fmt.Errorf("no record has %q", text)
}
