package telemetry

import (
	"bytes"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"
)

const (
	linePatience = 5 * time.Millisecond // of whoever logs, for whoever reads
	endPatience  = time.Second          // of Close
	mostPending  = 4 << 20              // bytes of lines that nobody has read yet
)

// Writer writes the lines of a log for those who must not wait for its reader: a pipe that nobody empties would hold up every check that is
// logged, its reply with it, for as long as that lasts.
//
// A line is written before Write returns, as long as the reader keeps up. Once it does not, lines are kept for it, and those
// that are too many are lost and counted.
type Writer struct {
	to   io.Writer
	lost atomic.Uint64
	wake chan struct{} // something is pending, or the Writer is closed
	done chan struct{} // closed when the last line is written

	mu      sync.Mutex    // guards what follows
	pending []byte        // whole lines
	written chan struct{} // closed when nothing is pending any more
	behind  bool          // the reader: nobody waits for it until it has caught up
	closed  bool
}

// NewWriter returns a Writer to w. It must be closed.
func NewWriter(w io.Writer) *Writer {
	out := &Writer{to: w, wake: make(chan struct{}, 1), done: make(chan struct{}), written: make(chan struct{})}
	go out.run()
	return out
}

// Write takes one line with its newline. Its only error is fs.ErrClosed.
func (w *Writer) Write(line []byte) (int, error) {
	written, wait, err := w.take(line)
	if err != nil || !wait {
		return len(line), err
	}
	patience := time.NewTimer(linePatience)
	defer patience.Stop()
	select {
	case <-written:
	case <-patience.C:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.behind = w.written == written
	}
	return len(line), nil
}

// take keeps a line to be written, and says whether and for what its writer should wait.
func (w *Writer) take(line []byte) (written <-chan struct{}, wait bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return nil, false, fs.ErrClosed
	case len(w.pending)+len(line) > mostPending:
		w.lost.Add(1)
		return nil, false, nil
	}
	w.pending = append(w.pending, line...)
	w.rouse()
	return w.written, !w.behind, nil
}

// rouse has run look again.
func (w *Writer) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Lost returns how many lines were lost, because they were too many or could not be written.
func (w *Writer) Lost() uint64 { return w.lost.Load() }

// Close writes what is pending, and waits a second for it at most. The writer beneath stays open.
func (w *Writer) Close() {
	w.mu.Lock()
	w.closed = true
	w.rouse()
	w.mu.Unlock()
	patience := time.NewTimer(endPatience)
	defer patience.Stop()
	select {
	case <-w.done:
	case <-patience.C:
	}
}

// run writes what is pending until the Writer is closed.
func (w *Writer) run() {
	defer close(w.done)
	var lines []byte
	for range w.wake {
		for more := true; more; {
			if lines, more = w.next(lines); !more {
				break
			}
			if _, err := w.to.Write(lines); err != nil {
				w.lost.Add(uint64(bytes.Count(lines, []byte("\n")))) //nolint:gosec // it is not negative
			}
		}
		if w.isClosed() {
			return
		}
	}
}

// next returns what is pending, for which room is used, or says that there is nothing left.
func (w *Writer) next(room []byte) (lines []byte, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		close(w.written)
		w.written, w.behind = make(chan struct{}), false
		return room, false
	}
	lines, w.pending = w.pending, room[:0]
	return lines, true
}

func (w *Writer) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed && len(w.pending) == 0
}
