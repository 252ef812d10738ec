//go:build !linux

package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"runtime/debug"
	"time"
)

// harden takes the named variables out of the environment. What keeps memory off the disk exists on Linux only.
func harden(secrets []string) error {
	debug.SetTraceback("single")
	var err error
	for _, name := range secrets {
		err = errors.Join(err, os.Unsetenv(name))
	}
	return err
}

func peer(*net.UnixConn) (credentials, error) { return credentials{}, errors.ErrUnsupported }

// giveAwaySocket cannot be done without a race here: the socket stays root's.
func giveAwaySocket(string) error { return nil }

func setSocketMode(path string, mode fs.FileMode) error { return os.Chmod(path, mode) }

func giveWay() {}

// monotonic is asked for by systemd only.
func monotonic() time.Duration { return 0 }
