package telemetry_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postern-auth/postern/internal/telemetry"
)

func TestALineIsWrittenWhenWriteReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock stands still while somebody can go on
		var out bytes.Buffer // no lock: each line is there when its writer goes on
		w := telemetry.NewWriter(&out)
		for i := range 1000 {
			line := fmt.Sprintf("line %d\n", i)
			if n, err := io.WriteString(w, line); n != len(line) || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
			if !strings.HasSuffix(out.String(), line) {
				t.Fatalf("%q is not written", line)
			}
		}
		w.Close()
		if _, err := io.WriteString(w, "late\n"); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if w.Lost() != 0 {
			t.Errorf("%d lines lost", w.Lost())
		}
	})
}

// A reader that stands still holds up nobody who logs: neither one line nor so many that they cannot be kept.
func TestNobodyWaitsForTheReaderOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its time passes only while everybody waits
		read, write := io.Pipe()
		w := telemetry.NewWriter(write)
		const lines = 2000
		text := "{" + strings.Repeat("x", 4000) + "}\n"
		begin := time.Now()
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range lines / 8 {
					if _, err := io.WriteString(w, text); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if took := time.Since(begin); took > 100*time.Millisecond { // once the patience for a line, not for each
			t.Errorf("%d lines waited for %v", lines, took)
		}
		lost := w.Lost()
		if lost == 0 || lost == lines {
			t.Errorf("%d of %d lines lost", lost, lines)
		}
		got := make(chan uint64)
		go func() { // the reader is back
			n := uint64(0)
			for scanner := bufio.NewScanner(read); scanner.Scan(); n++ {
				if !strings.HasPrefix(scanner.Text(), "{") || !strings.HasSuffix(scanner.Text(), "}") {
					t.Errorf("half a line: %.40q", scanner.Text())
				}
			}
			got <- n
		}()
		w.Close()
		if err := write.Close(); err != nil {
			t.Error(err)
		}
		if n := <-got; n != lines-lost {
			t.Errorf("%d lines came, %d were lost, of %d", n, lost, lines)
		}
	})
}

func TestCloseDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		w := telemetry.NewWriter(write)
		if _, err := io.WriteString(w, "nobody reads\n"); err != nil {
			t.Error(err)
		}
		begin := time.Now()
		w.Close()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %v", took)
		}
		if err := read.CloseWithError(io.ErrClosedPipe); err != nil { // ends what is left
			t.Error(err)
		}
	})
}

func TestLinesThatCannotBeWrittenAreCounted(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	w := telemetry.NewWriter(write)
	for range 3 {
		if _, err := io.WriteString(w, "to nobody\n"); err != nil {
			t.Error(err)
		}
	}
	w.Close()
	if w.Lost() != 3 {
		t.Errorf("%d lines lost, want 3", w.Lost())
	}
}
