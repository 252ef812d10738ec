package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/postern-auth/postern/config"
)

const minPepper = 32 // bytes

// databasePath and pepperPath are where the data folder has them.
func databasePath(c *config.Config) string { return filepath.Join(c.DataDir, "postern.db") }
func pepperPath(c *config.Config) string   { return filepath.Join(c.DataDir, "pepper") }

// pepperSource names the pepper for messages.
func pepperSource(c *config.Config) string {
	if c.Pepper != nil {
		return "the " + c.Pepper.Source()
	}
	return fmt.Sprintf("%q", pepperPath(c))
}

// pepper returns the key of all stored hashes: the configured one, else that of the data folder, which is made when there
// is no database that could have been made with a lost one. The folder must have been checked.
func pepper(c *config.Config) ([]byte, error) {
	path, database := pepperPath(c), databasePath(c)
	secret, err := readPepper(c)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if _, found := os.Lstat(database); !errors.Is(found, fs.ErrNotExist) {
		return nil, hint(fmt.Errorf("%q is there, but its pepper %q is missing", database, path),
			"put the pepper back; without it no key in the database can be checked, and all must be made anew beside a new database")
	}
	if err := makePepper(path); err != nil {
		return nil, fmt.Errorf("making the pepper: %w", err)
	}
	return readPepper(c)
}

// readPepper reads the pepper, wherever it is. If it is nowhere the error is fs.ErrNotExist.
func readPepper(c *config.Config) ([]byte, error) {
	if c.Pepper != nil {
		return c.Pepper.Bytes(), nil
	}
	path := pepperPath(c)
	text, _, err := readFile(path, passing)
	if err != nil {
		return nil, fmt.Errorf("reading the pepper: %w", err)
	}
	text = bytes.TrimSuffix(text, []byte("\n")) // as in a file that the configuration names
	if len(text) < minPepper {
		return nil, hint(fmt.Errorf("the pepper %q has %d bytes, of at least %d", path, len(text), minPepper), "put back the one that %q was made with", databasePath(c))
	}
	return text, nil
}

// makePepper writes 32 random bytes in hexadecimal to path, whole or not at all. One that is there already stays.
func makePepper(path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".pepper-*") // 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	_, err = hex.NewEncoder(f).Write(random[:])
	if err := errors.Join(err, giveAway(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// giveAway makes an open file its folder's owner's, for whom root acts.
func giveAway(f *os.File) error {
	uid, gid, err := actingFor(filepath.Dir(f.Name()))
	if err != nil || uid < 0 {
		return err
	}
	return f.Chown(uid, gid)
}

// actingFor is the owner of a folder, for whom root acts. The uid is -1 where this process is not root's.
func actingFor(folder string) (uid, gid int, err error) {
	info, err := os.Stat(folder)
	if err != nil || os.Geteuid() != 0 {
		return -1, -1, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1, nil
	}
	return int(owner.Uid), int(owner.Gid), nil
}

// syncFolder makes a new name in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
