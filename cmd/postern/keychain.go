package main

// The keychain of the operating system: macOS Keychain, the Secret Service of GNOME Keyring and KWallet, Windows' Credential
// Manager. It asks nobody for leave to be slow, so each call of it is bounded.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/zalando/go-keyring"
)

// keychainService is the name under which all entries of Postern stand.
const keychainService = "postern"

var (
	errNoKeychain    = errors.New("there is no keychain")
	errNotInKeychain = errors.New("it is not in the keychain")
	errKeychainHangs = errors.New("the keychain does not answer")
)

// keychain holds credentials, a text for each entry. Its functions do not wait for longer than patience. Their errors are
// errNotInKeychain, errNoKeychain, errKeychainHangs, or what the keychain says.
type keychain struct {
	read     func(entry string) (string, error)
	write    func(entry, secret string) error
	remove   func(entry string) error
	patience time.Duration
	hangs    bool // it did once, and is not asked again
}

// osKeychain is the one of whoever runs this; asks says that a person is there, whom the keychain may ask to unlock it.
func osKeychain(asks func() bool) *keychain {
	k := &keychain{
		read:     func(entry string) (string, error) { return keyring.Get(keychainService, entry) },
		write:    func(entry, secret string) error { return keyring.Set(keychainService, entry, secret) },
		remove:   func(entry string) error { return keyring.Delete(keychainService, entry) },
		patience: 5 * time.Second,
	}
	if asks() {
		k.patience = time.Minute
	}
	if runtime.GOOS == "linux" && !hasSessionBus() {
		k = noKeychain()
	}
	return k
}

// noKeychain is that of a machine that has none.
func noKeychain() *keychain {
	return &keychain{
		patience: time.Second,
		read:     func(string) (string, error) { return "", errNoKeychain },
		write:    func(string, string) error { return errNoKeychain },
		remove:   func(string) error { return errNoKeychain },
	}
}

// hasSessionBus reports whether the session has a D-Bus. Without one the library would start it, and leave it running.
func hasSessionBus() bool {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		return address != "autolaunch:"
	}
	for _, name := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(filepath.Join("/run/user", strconv.Itoa(os.Getuid()), name)); err == nil {
			return true
		}
	}
	return false
}

// Read returns an entry.
func (k *keychain) Read(ctx context.Context, entry string) (string, error) {
	return k.bounded(ctx, func() (string, error) { return k.read(entry) })
}

// Write makes or replaces an entry.
func (k *keychain) Write(ctx context.Context, entry, secret string) error {
	_, err := k.bounded(ctx, func() (string, error) { return "", k.write(entry, secret) })
	return err
}

// Remove removes an entry.
func (k *keychain) Remove(ctx context.Context, entry string) error {
	_, err := k.bounded(ctx, func() (string, error) { return "", k.remove(entry) })
	return err
}

// bounded does work, or gives up. The library takes no context: what hangs ends with the process, which is about to end.
func (k *keychain) bounded(ctx context.Context, work func() (string, error)) (string, error) {
	if k.hangs {
		return "", errKeychainHangs
	}
	type result struct {
		secret string
		err    error
	}
	done := make(chan result, 1)
	go func() {
		secret, err := work()
		done <- result{secret, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, k.patience)
	defer cancel()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		k.hangs = true
		return "", errKeychainHangs
	}
	switch {
	case r.err == nil:
		return r.secret, nil
	case errors.Is(r.err, keyring.ErrNotFound):
		return "", errNotInKeychain
	case errors.Is(r.err, keyring.ErrUnsupportedPlatform), errors.Is(r.err, errNoKeychain):
		return "", errNoKeychain
	}
	return "", fmt.Errorf("asking the keychain: %w", r.err)
}
