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
	bar := progressbar.NewOptions64(info.Size(),
		progressbar.OptionSetDescription(doing), progressbar.OptionSetWriter(screen), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
	)
	return io.TeeReader(r, bar), func() { _ = bar.Clear() } // a bar that cannot be drawn is no reason to stop
}
