package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// harden keeps what this process knows in this process (R-PROC-1): the named variables leave its environment, and
// neither a crash nor another process of the same user can write its memory to a disk.
//
// The traceback of a crash names one goroutine; GOTRACEBACK can ask for more, which is text without memory.
func harden(secrets []string) error {
	debug.SetTraceback("single")
	err := forget(secrets) // before the process is closed to /proc, which is how it reaches its own environment
	if limit := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); limit != nil {
		err = errors.Join(err, fmt.Errorf("forbidding core dumps: %w", limit))
	}
	if dumpable := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); dumpable != nil {
		err = errors.Join(err, fmt.Errorf("closing the memory of the process: %w", dumpable))
	}
	return err
}

// forget takes variables out of the environment, and their values out of the memory that /proc/PID/environ shows: the
// kernel keeps showing what the process was started with, whatever os.Unsetenv says.
func forget(names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	begin, err := environStart()
	if err != nil {
		return err
	}
	block, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return err
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = memory.Close() }() // nothing is buffered
	for at := 0; at < len(block); {
		variable, _, _ := bytes.Cut(block[at:], []byte{0})
		name, value, _ := bytes.Cut(variable, []byte("="))
		if slices.Contains(names, string(name)) {
			where := begin + int64(at+len(variable)-len(value))
			if _, err := memory.WriteAt(make([]byte, len(value)), where); err != nil {
				return fmt.Errorf("clearing the variable %s: %w", name, err)
			}
		}
		at += len(variable) + 1
	}
	return nil
}

// environStart is the address of the environment that the process was started with: field 50 of proc_pid_stat(5).
func environStart() (int64, error) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from field 3 on: field 2 may hold anything
	if len(fields) < 48 {
		return 0, errors.New("/proc/self/stat is too short")
	}
	return strconv.ParseInt(fields[50-3], 10, 64)
}

// peer is the process at the other end of a Unix socket, and its user when it connected.
func peer(c *net.UnixConn) (credentials, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return credentials{}, err
	}
	var found *unix.Ucred
	asked := raw.Control(func(fd uintptr) {
		found, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(asked, err); err != nil {
		return credentials{}, err
	}
	return credentials{pid: found.Pid, uid: found.Uid}, nil
}

// giveAwaySocket makes the socket at path its folder's owner's, for whom root acts.
func giveAwaySocket(path string) error {
	uid, gid, err := actingFor(filepath.Dir(path))
	if err != nil || uid < 0 {
		return err
	}
	return withSocket(path, func(fd int, _ *unix.Stat_t) error { return unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH) })
}

// setSocketMode gives the socket at path its mode: also what the umask took from it.
func setSocketMode(path string, mode fs.FileMode) error {
	return withSocket(path, func(fd int, s *unix.Stat_t) error {
		if fs.FileMode(s.Mode).Perm() == mode {
			return nil
		}
		return os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode) // fchmod does not take such a descriptor
	})
}

// withSocket changes the socket at path. The owner of its folder can put something else in its place at any moment, so what is looked
// at and what is changed is one descriptor, never the path again.
func withSocket(path string, change func(fd int, s *unix.Stat_t) error) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var s unix.Stat_t
	err = unix.Fstat(fd, &s)
	if err == nil && (s.Mode&unix.S_IFMT != unix.S_IFSOCK || s.Nlink != 1) {
		err = errors.New("it is no longer the socket that was made")
	}
	if err == nil {
		err = change(fd, &s)
	}
	return errors.Join(err, unix.Close(fd))
}

// giveWay lets all other processes have the processor first, a Postern that answers checks above all.
func giveWay() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads { // each has its own priority, and those that they start inherit it
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, 19) // at worst it takes its share
		}
	}
}

// monotonic is the time since the machine was started, as CLOCK_MONOTONIC has it.
func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
