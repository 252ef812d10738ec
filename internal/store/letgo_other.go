//go:build !linux

package store

import "os"

func letGo(*os.File, int64, int64) error { return nil }

// publish gives a file a name that nobody has.
func publish(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}
