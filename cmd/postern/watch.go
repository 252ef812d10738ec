package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher notices changes of what some paths lead to: of the files themselves, and of every link on the way, such as the
// ..data of a Kubernetes ConfigMap. Folders are watched, not files: editors and mounts put a new file in the old one's place.
//
// It belongs to one goroutine, which reads its channels.
type watcher struct {
	*fsnotify.Watcher
	names map[string][]string // watched folder → the names in it that count
}

func newWatcher() (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return &watcher{w, map[string][]string{}}, nil
}

// follow watches for what these paths lead to now, and for nothing else. It reports whether that takes watching a folder that
// was not watched before: what happened in it until now has not been noticed.
func (w *watcher) follow(paths []string) (more bool, err error) {
	names := map[string][]string{}
	for _, path := range paths {
		way(path, func(folder, name string) {
			if !slices.Contains(names[folder], name) {
				names[folder] = append(names[folder], name)
			}
		})
	}
	for folder := range w.names {
		if _, still := names[folder]; !still {
			_ = w.Remove(folder) // it may be gone itself
		}
	}
	for folder := range names {
		_, before := w.names[folder]
		e := w.Add(folder) // again too: another folder may have its name by now
		if e != nil {
			err = errors.Join(err, fmt.Errorf("watching %q: %w", folder, e))
		}
		switch {
		case e != nil && !before:
			delete(names, folder)
		case !before:
			more = true
		}
	}
	w.names = names
	return more, err
}

// concerns reports whether an event may change what the paths lead to.
func (w *watcher) concerns(e fsnotify.Event) bool {
	if _, folder := w.names[e.Name]; folder {
		return true
	}
	return slices.Contains(w.names[filepath.Dir(e.Name)], filepath.Base(e.Name))
}

// mostLinks is how many links the kernel follows on the way to a file.
const mostLinks = 40

// way calls each for every name on the way to a file that may be put in another's place: links, the file, its folder, and the
// first name that is missing.
func way(path string, each func(folder, name string)) {
	path, err := filepath.Abs(path)
	if err != nil {
		return
	}
	folder, rest := "/", strings.Split(path[1:], "/")
	for links := 0; len(rest) > 0 && links < mostLinks; {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		full := filepath.Join(folder, name)
		info, err := os.Lstat(full)
		switch {
		case err != nil:
			each(folder, name)
			return
		case info.Mode().Type() == os.ModeSymlink:
			each(folder, name)
			links++
			target, err := os.Readlink(full)
			if err != nil {
				return
			}
			if filepath.IsAbs(target) {
				folder = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
		default:
			if len(rest) <= 1 {
				each(folder, name)
			}
			folder = full
		}
	}
}

// How long changes must rest until they are looked at, since the last and at most since the first: whoever writes several
// files, or one in pieces, is done by then.
const (
	quietTime = 250 * time.Millisecond
	longest   = time.Second
)

// settling waits until changes have come to rest.
type settling struct {
	C     <-chan time.Time // when they have
	timer *time.Timer
	since time.Time // of the first; zero: nothing has changed
}

func newSettling() *settling {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &settling{C: t.C, timer: t}
}

// stir tells of a change.
func (s *settling) stir(now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
	s.timer.Reset(min(quietTime, max(0, s.since.Add(longest).Sub(now))))
}

// rest begins anew.
func (s *settling) rest() {
	s.since = time.Time{}
	s.timer.Stop()
}
