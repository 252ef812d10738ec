package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Rights of others, of the group, and what is left.
const (
	othersRights = 0o007
	groupRights  = 0o070
	fileMode     = 0o600
	dirMode      = 0o700
)

// CheckDir makes the data folder at path, 0700, or finds out whether it and what lies directly in it are ours alone (R-STORE-1).
// Ours is what belongs to the effective user; to root, who acts as the folder's owner, what belongs to that owner.
//
// The rights of the group are taken away, and the paths returned for the log: a volume's fsGroup adds them at each mount. Rights of others, another owner,
// a symbolic link, or anything but files, folders and sockets is a [PermissionError], all of them joined. Sockets are not looked at: the folder guards them.
func CheckDir(path string) (narrowed []string, err error) {
	path = filepath.Clean(path)
	narrowed, owner, err := mendFolder(path)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return narrowed, fmt.Errorf("checking data folder: %w", err)
	}
	var problems []error
	for _, e := range entries {
		if e.Type() == fs.ModeSocket {
			continue
		}
		name := filepath.Join(path, e.Name())
		n, err := checkEntry(name, owner)
		narrowed = append(narrowed, n...)
		if !errors.Is(err, fs.ErrNotExist) { // gone since
			problems = append(problems, err)
		}
	}
	return narrowed, errors.Join(problems...)
}

// mendFolder makes the folder if it is missing, and takes away the rights of the group.
func mendFolder(path string) (narrowed []string, folder owner, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, dirMode); err != nil {
			return nil, owner{}, fmt.Errorf("making data folder: %w", err)
		}
		if err := syncDir(filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrPermission) { // a folder that may be written in, and not listed
			return nil, owner{}, fmt.Errorf("making data folder: %w", err)
		}
	}
	folder, err = checkFolder(path, func() error {
		narrowed = []string{path}
		return os.Chmod(path, dirMode)
	})
	return narrowed, folder, err
}

// checkFolder checks the folder itself and returns its owner.
func checkFolder(path string, narrow func() error) (owner, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return owner{}, fmt.Errorf("checking data folder: %w", err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return owner{}, &PermissionError{Path: path, Problem: "is a symbolic link; name the folder itself"}
	}
	if !info.IsDir() {
		return owner{}, &PermissionError{Path: path, Problem: "is not a folder"}
	}
	has := ownerOf(info)
	if euid := os.Geteuid(); euid != 0 && has.uid != euid {
		return owner{}, foreign(path, has.uid, euid)
	}
	return has, checkRights(path, info, narrow)
}

// checkEntry checks something in the folder, and takes away the rights of the group.
func checkEntry(path string, folder owner) (narrowed []string, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if err := checkOurs(path, info, folder); err != nil {
		return nil, err
	}
	err = checkRights(path, info, func() error {
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names it
		if err != nil {
			return err
		}
		narrowed = []string{path}
		return errors.Join(f.Chmod(wanted(info)), f.Close())
	})
	return narrowed, err
}

// checkOurs refuses what is neither file nor folder, and what is not the folder's owner's.
func checkOurs(path string, info fs.FileInfo, folder owner) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return symlink(path)
	case !info.Mode().IsRegular() && !info.IsDir():
		return &PermissionError{Path: path, Problem: "is neither a file nor a folder", Command: "rm " + quote(path)}
	}
	if o := ownerOf(info); o.uid != folder.uid {
		return foreign(path, o.uid, folder.uid)
	}
	return nil
}

// checkRights refuses rights of others, and calls narrow if the group has rights.
func checkRights(path string, info fs.FileInfo, narrow func() error) error {
	mode := info.Mode().Perm()
	if mode&othersRights != 0 {
		return &PermissionError{
			Path:    path,
			Problem: fmt.Sprintf("lets every user in (mode %04o)", mode),
			Command: fmt.Sprintf("chmod %04o %s", wanted(info), quote(path)),
		}
	}
	if mode&groupRights == 0 {
		return nil
	}
	if err := narrow(); err != nil {
		return fmt.Errorf("taking away the group's rights: %w", err)
	}
	return nil
}

// leave is the narrow of those who change nothing.
func leave() error { return nil }

func symlink(path string) error {
	p := quote(path)
	return &PermissionError{Path: path, Problem: "is a symbolic link", Command: fmt.Sprintf(`mv "$(readlink -f %s)" %s`, p, p)}
}

func wanted(info fs.FileInfo) fs.FileMode {
	if info.IsDir() {
		return dirMode
	}
	return fileMode
}

func foreign(path string, has, want int) error {
	return &PermissionError{
		Path:    path,
		Problem: fmt.Sprintf("belongs to user %d, not to %d", has, want),
		Command: fmt.Sprintf("chown %d %s", want, quote(path)),
	}
}

type owner struct{ uid, gid int }

func ownerOf(info fs.FileInfo) owner {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{-1, -1}
	}
	return owner{int(s.Uid), int(s.Gid)}
}

// quote quotes path for a shell.
func quote(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@", r)
	}
	if path != "" && strings.TrimFunc(path, plain) == "" && path[0] != '-' {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
