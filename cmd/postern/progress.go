package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// longFile is the size from which on reading a file takes so long that people want to see how far it is.
const longFile = 4 << 20

// watched is r with a bar on stderr for the person at the terminal; where none is, or where r is no long file, it is r. done takes the bar
// away.
func (o *output) watched(r io.Reader, doing string) (_ io.Reader, done func()) {
	none := func() {}
	screen, ok := o.stderr.(*os.File)
	if !ok || !term.IsTerminal(int(screen.Fd())) {
		return r, none
	}
	f, ok := r.(*os.File)
	if !ok {
		return r, none
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() < longFile {
		return r, none
	}
	return barred(f, info.Size(), screen, doing)
}

// barred is r with a bar on screen that is full after size bytes.
func barred(r io.Reader, size int64, screen io.Writer, doing string) (_ io.Reader, done func()) {
	bar := progressbar.NewOptions64(size,
		progressbar.OptionSetDescription(doing), progressbar.OptionSetWriter(screen), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
	)
	return io.TeeReader(r, unfailing{bar}), func() { _ = bar.Clear() }
}

// unfailing is a writer whose errors are no reason to stop: of a bar that cannot be drawn, or of a file that has become longer than the bar.
type unfailing struct{ io.Writer }

// Write writes p.
func (u unfailing) Write(p []byte) (int, error) {
	_, _ = u.Writer.Write(p)
	return len(p), nil
}
