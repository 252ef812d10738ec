package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// R-STORE-1: what root makes in somebody's folder becomes theirs; what they put in its place does not.
func TestASocketIsGivenToTheOwnerOfItsFolder(t *testing.T) {
	if os.Geteuid() != 0 && os.Getenv("CI") == "" {
		t.Skip("NOT TESTED: only root can give files away")
	}
	const nobody = 65534
	dir := t.TempDir()
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	path, other := filepath.Join(dir, "s.sock"), filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	owner := func(path string) uint32 {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	mustListen(t, path, 0o600)
	if err := giveAwaySocket(path); err != nil || owner(path) != nobody {
		t.Errorf("owner %d, %v", owner(path), err)
	}
	for name, place := range map[string]func(old, new string) error{"link": os.Symlink, "second name": os.Link} {
		instead := filepath.Join(dir, name)
		if err := place(other, instead); err != nil {
			t.Fatal(err)
		}
		if err := giveAwaySocket(instead); err == nil || owner(other) != 0 {
			t.Errorf("%s: %v, and the other file is now of %d", name, err, owner(other))
		}
	}
}

// R-STORE-1: the mode of a socket is not given to what was put in its place.
func TestOnlyASocketGetsItsMode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, place := range map[string]func(old, new string) error{"link": os.Symlink, "second name": os.Link} {
		instead := filepath.Join(dir, name)
		if err := place(other, instead); err != nil {
			t.Fatal(err)
		}
		err := setSocketMode(instead, 0o666)
		info, statErr := os.Lstat(other)
		if statErr != nil {
			t.Fatal(statErr)
		}
		if err == nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, and the other file has mode %04o", name, err, info.Mode().Perm())
		}
	}
}
