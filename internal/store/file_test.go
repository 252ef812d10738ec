package store_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/postern-auth/postern/internal/store"
)

// R-STORE-1
func TestOneProcessHasTheFile(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	holder := child(t, "hold", path)
	in, err := holder.StdinPipe()
	out, err2 := holder.StdoutPipe()
	if err := errors.Join(err, err2, holder.Start()); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has it
		t.Fatal(err)
	}
	for _, o := range []store.Options{
		{Path: path, LockTimeout: 120 * time.Millisecond},
		{Path: path, LockTimeout: -1},
		{Path: path, LockTimeout: -1, ReadOnly: true},
	} {
		_, err := store.Open(o)
		wantErr(t, "Open", err, store.ErrLocked)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("the error does not name the file: %v", err)
		}
	}
	opened := make(chan error)
	go func() {
		db, err := store.Open(store.Options{Path: path})
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	time.Sleep(80 * time.Millisecond) // let it wait; it must open either way
	if err := errors.Join(in.Close(), holder.Wait(), <-opened); err != nil {
		t.Error(err)
	}
}

// holdOpen opens the database, says so, and keeps it until its input ends.
func holdOpen(args []string) error {
	db, err := store.Open(store.Options{Path: args[0]})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, db.Close())
}

func TestManyMayMakeTheFileAtOnce(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	errs := make(chan error)
	for range 8 {
		go func() {
			db, err := store.Open(store.Options{Path: path})
			if err == nil {
				_, err = db.Update(func(tx *store.Tx) error {
					n, err := noteTable().NextSequence(tx)
					return errors.Join(err, blobTable().Put(tx, store.Number(n), nil))
				})
				err = errors.Join(err, db.Close())
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	db := openDB(t, store.Options{Path: path})
	if r, err := db.Revision(); r != 8 || err != nil {
		t.Errorf("revision %d, %v: not all wrote to one file", r, err)
	}
}

// R-STORE-2
func TestAFileThatIsNotWholeAndOursIsRefused(t *testing.T) {
	t.Parallel()
	good := goodFile(t)
	noise := make([]byte, len(good))
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	patch := func(at int, b []byte) []byte {
		return append(append(append([]byte(nil), good[:at]...), b...), good[at+len(b):]...)
	}
	foreign := func(o *bbolt.Options, fn func(*bbolt.Tx) error) []byte {
		path := filepath.Join(t.TempDir(), "foreign.db")
		db, err := bbolt.Open(path, 0o600, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(fn), db.Close()); err != nil {
			t.Fatal(err)
		}
		return readFile(t, path)
	}
	tests := map[string]struct{ file []byte }{
		"empty":                           {nil},
		"text":                            {[]byte(strings.Repeat("version: 1\n", 1000))},
		"zeros":                           {make([]byte, 1<<20)},
		"random bytes":                    {noise},
		"one byte":                        {good[:1]},
		"the meta pages alone":            {good[:8192]},
		"all but the last page in use":    {good[:usedPages(good)*4096-4096]},
		"zeroed meta pages":               {patch(0, make([]byte, 8192))},
		"its first meta page zeroed":      {patch(0, make([]byte, 4096))}, // the second may be the commit before a revocation
		"its second meta page zeroed":     {patch(4096, make([]byte, 4096))},
		"random bytes behind the meta":    {append(append([]byte(nil), good[:8192]...), noise[8192:]...)},
		"zeros behind the meta":           {append(append([]byte(nil), good[:8192]...), make([]byte, len(good)-8192)...)},
		"another program's bbolt file":    {foreign(nil, func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("x")); return err })},
		"a bbolt file of no free list":    {foreign(&bbolt.Options{NoFreelistSync: true}, func(*bbolt.Tx) error { return nil })},
		"a bbolt file of other page size": {foreign(&bbolt.Options{PageSize: 8192}, func(*bbolt.Tx) error { return nil })},
		"its bucket of facts has no format": {foreign(nil, func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte("meta"))
			return errors.Join(err, b.Put([]byte("format"), []byte("1")))
		})},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "data", "postern.db")
			writeFile(t, path, test.file)
			for _, readOnly := range []bool{false, true} {
				_, err := store.Open(store.Options{Path: path, ReadOnly: readOnly, LockTimeout: time.Second})
				wantErr(t, "Open", err, store.ErrCorrupt)
			}
			if got := readFile(t, path); string(got) != string(test.file) {
				t.Error("the file was changed")
			}
		})
	}
}

// R-STORE-2: the older meta page does not stand in for the newer one, which may have held a revocation.
func TestADamagedMetaPageIsNotTheCommitBefore(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := openDB(t, store.Options{Path: path})
	put(t, db, "a")
	put(t, db, "b")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	good := readFile(t, path)
	for page := range 2 {
		bad := append([]byte(nil), good...)
		bad[page*4096+70] ^= 1
		writeFile(t, path, bad)
		_, err := store.Open(store.Options{Path: path})
		wantErr(t, fmt.Sprintf("Open with meta page %d damaged", page), err, store.ErrCorrupt)
	}
	writeFile(t, path, good)
	if diff := cmp.Diff([]string{"a", "b"}, keysOf(t, openDB(t, store.Options{Path: path}))); diff != "" {
		t.Error(diff)
	}
}

// R-STORE-2: a table whose name was flipped is damage, not an empty table.
func TestATableThatIsNotItself(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := openDB(t, store.Options{Path: path})
	put(t, db, "a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	good := readFile(t, path)
	for name, harm := range map[string]func(*bbolt.Tx) error{
		"one more":    func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("more")); return err },
		"one less":    func(tx *bbolt.Tx) error { k, _ := tx.Cursor().Last(); return tx.DeleteBucket(k) },
		"list gone":   func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("buckets")) },
		"meta's less": func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("meta")) },
	} {
		writeFile(t, path, good)
		bolt, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(bolt.Update(harm), bolt.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = store.Open(store.Options{Path: path})
		wantErr(t, "Open with "+name, err, store.ErrCorrupt)
	}
}

// R-STORE-2: a full disk fails the write alone; when there is room again, so are writes.
func TestADiskThatIsFull(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := mountTmpfs(t, "size=600k")
	path := filepath.Join(dir, "data", "postern.db")
	db := openDB(t, store.Options{Path: path})
	acknowledged := 0
	var err error
	for err == nil && acknowledged < 100 {
		_, err = db.Update(func(tx *store.Tx) error {
			return blobTable().Put(tx, store.Number(uint64(acknowledged)), make([]byte, 30000))
		})
		if err == nil {
			acknowledged++
		}
	}
	wantErr(t, "Update", err, store.ErrFull)
	count := func() (n int) {
		for row, err := range blobTable().Walk(db, nil) {
			if err != nil || len(row.Record) != 30000 {
				t.Errorf("%x: %v", row.Key, err)
			}
			n++
		}
		return n
	}
	if r, err := db.Revision(); r != uint64(acknowledged) || err != nil || count() != acknowledged {
		t.Errorf("%d commits were acknowledged, the revision is %d, %v, with %d records", acknowledged, r, err, count())
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *store.Tx) error { return blobTable().Put(tx, []byte("after"), make([]byte, 30000)) })
	if n := count(); n != acknowledged+1 {
		t.Errorf("%d records, want %d", n, acknowledged+1)
	}
}

// The same without root, by a limit on the size of files.
func TestAFileThatMayNotGrow(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	out, err := child(t, "fill", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	db := openDB(t, store.Options{Path: path})
	if r, err := db.Revision(); fmt.Sprintln(r) != string(out) || err != nil {
		t.Errorf("revision %d, %v; acknowledged was %s", r, err, out)
	}
}

// fillUp writes until that fails and prints the last revision.
func fillUp(args []string) error {
	db, err := store.Open(store.Options{Path: args[0]})
	if err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	revision := uint64(0)
	for i := range uint64(1000) {
		r, err := db.Update(func(tx *store.Tx) error { return blobTable().Put(tx, store.Number(i), make([]byte, 30000)) })
		if err != nil {
			if !errors.Is(err, store.ErrFull) {
				return err
			}
			break
		}
		revision = r
	}
	if r, err := db.Revision(); r != revision || err != nil {
		return fmt.Errorf("revision %d, %w; acknowledged was %d", r, err, revision)
	}
	fmt.Println(revision)
	return db.Close()
}

// R-STORE-2
func TestAReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := mountTmpfs(t, "size=8m")
	path := filepath.Join(dir, "data", "postern.db")
	db := openDB(t, store.Options{Path: path})
	put(t, db, "a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, filepath.Join(dir, "data", "other.db"), filepath.Join(dir, "other", "postern.db")} {
		_, err := store.Open(store.Options{Path: path})
		wantErr(t, "Open "+path, err, syscall.EROFS)
	}
	if diff := cmp.Diff([]string{"a"}, keysOf(t, openDB(t, store.Options{Path: path, ReadOnly: true}))); diff != "" {
		t.Error(diff)
	}
}

func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		notTested(t, "cannot mount: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// goodNotes is how many notes goodFile puts.
const goodNotes = 400

func goodNote(i uint64) note {
	name := fmt.Sprintf("%03d", i)
	return note{Name: name, N: i, Tags: []string{"t" + name[:1]}}
}

// goodFile returns a database as bytes, without the room behind its pages.
func goodFile(tb testing.TB) []byte {
	tb.Helper()
	path := newPath(tb)
	db := openDB(tb, store.Options{Path: path})
	update(tb, db, func(tx *store.Tx) error {
		for i := range uint64(goodNotes) {
			n := goodNote(i)
			if err := noteTable().Put(tx, []byte(n.Name), n); err != nil {
				return err
			}
		}
		return nil
	})
	update(tb, db, func(tx *store.Tx) error { return noteTable().Delete(tx, []byte("007")) })
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	file := readFile(tb, path)
	return file[:usedPages(file)*4096]
}

// usedPages returns the number of pages that the newer meta page says are in use.
func usedPages(file []byte) int {
	word := func(at int) int { return int(file[at]) | int(file[at+1])<<8 | int(file[at+2])<<16 }
	if word(16+48) > word(4096+16+48) {
		return word(16 + 40)
	}
	return word(4096 + 16 + 40)
}

func readFile(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func writeFile(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
		tb.Fatal(err)
	}
}
