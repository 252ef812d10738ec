package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a path leads to may change wherever a link on the way does.
func TestWay(t *testing.T) {
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(path string) string { return filepath.Join(root, path) }
	for _, folder := range []string{"map/..v1", "elsewhere/deep", "real"} {
		if err := os.MkdirAll(in(folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, target := range map[string]string{
		"map/..data": "..v1", "map/file": "..data/file", "absolute": in("real/file"), "real/up": "../elsewhere/./deep/../file",
		"folder": "real", "loop": "loop",
	} {
		if err := os.Symlink(target, in(path)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"map/..v1/file", "real/file", "elsewhere/file"} {
		if err := os.WriteFile(in(path), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string][]string{
		"real/file":         {"real", "real/file"},
		"map/file":          {"map", "map/..data", "map/..v1", "map/..v1/file", "map/file"},
		"absolute":          {"absolute", "real", "real/file"},
		"folder/file":       {"folder", "real", "real/file"},
		"real/up":           {"elsewhere/file", "real", "real/up"},
		"missing/file":      {"missing"},
		"real/missing":      {"real", "real/missing"},
		"real/missing/file": {"real/missing"},
		"loop":              {"loop"},
	} {
		t.Run(path, func(t *testing.T) {
			var got []string
			way(in(path), func(folder, name string) {
				if relative, err := filepath.Rel(root, filepath.Join(folder, name)); err == nil && filepath.IsLocal(relative) && relative != "." {
					got = append(got, relative)
				}
			})
			slices.Sort(got)
			got = slices.DeleteFunc(slices.Compact(got), func(s string) bool { return s == "elsewhere" || s == "elsewhere/deep" })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A watcher hears of what concerns its paths, of nothing else in the same folders, and goes on when a folder comes back.
func TestWatcher(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := filepath.Join(root, "conf")
	file := filepath.Join(folder, "file")
	write := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w, err := newWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	follow := func(want bool) {
		t.Helper()
		if more, err := w.follow([]string{file}); err != nil || more != want {
			t.Fatalf("follow = %t, %v; want %t", more, err, want)
		}
	}
	heard := func(what string) {
		t.Helper()
		for deadline := time.After(20 * time.Second); ; {
			select {
			case e := <-w.Events:
				if w.concerns(e) {
					return
				}
			case err := <-w.Errors:
				t.Fatal(err)
			case <-deadline:
				t.Fatalf("%s: not heard", what)
			}
		}
	}
	follow(true) // of the folder that is to come
	write(file)
	heard("the folder is made")
	follow(true)
	follow(false)
	for range 100 {
		write(filepath.Join(folder, "postern.log"))
	}
	last := filepath.Join(folder, "end")
	write(last)
	for e := range w.Events {
		if w.concerns(e) && e.Name != file { // the file itself was made just before
			t.Errorf("heard %s", e)
		}
		if e.Name == last {
			break
		}
	}
	write(file)
	heard("the file is written")
	write(filepath.Join(folder, "new"))
	if err := os.Rename(filepath.Join(folder, "new"), file); err != nil {
		t.Fatal(err)
	}
	heard("another file is put in its place")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	heard("the folder goes")
	follow(false)
	write(file)
	heard("the folder comes back")
	follow(true)
	write(file)
	heard("the file in it is written")
}

// Changes are looked at when they rest, and within a second even if they never do.
func TestSettling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSettling()
		defer s.rest()
		looks := func(changes int, apart time.Duration) (n int) {
			begin := time.Now()
			for i := range changes {
				select {
				case <-s.C:
					s.rest()
					n++
				case <-time.After(time.Until(begin.Add(time.Duration(i) * apart))):
				}
				s.stir(time.Now())
			}
			<-s.C
			s.rest()
			return n + 1
		}
		for name, c := range map[string]struct {
			changes int
			apart   time.Duration
			want    int
		}{
			"one":                 {1, 0, 1},
			"ten at once":         {10, 0, 1},
			"ten in a second":     {10, 100 * time.Millisecond, 1},
			"a hundred in ten":    {100, 100 * time.Millisecond, 10},
			"three, far between":  {3, time.Minute, 3},
			"a thousand in a sec": {1000, time.Millisecond, 1},
		} {
			if got := looks(c.changes, c.apart); got < c.want || got > c.want+1 {
				t.Errorf("%s: %d looks, want %d", name, got, c.want)
			}
		}
		begun := time.Now()
		s.stir(begun)
		if <-s.C; time.Since(begun) != quietTime {
			t.Errorf("one change was looked at after %v", time.Since(begun))
		}
		select {
		case <-s.C:
			t.Error("looked at again")
		case <-time.After(time.Hour):
		}
	})
}
