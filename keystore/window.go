package keystore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// windowLength is how many lines are staged in the order of their ids. The index of ids is a tree on disk: lots of lines in any order touch
// nearly every page of it, and lots of neighbours a few. With a million keys, 100,000 lines at a time halve the time of an import; a
// window takes about 30 MB.
const windowLength = 100_000

// window is a part of the lines of an import, in one piece of memory that holds no pointers.
type window struct {
	records []byte // encoded
	items   []item
	first   map[[sha256.Size]byte]int // what a secret is known by → the item that has it first
}

// item is a line in a window.
type item struct {
	begin, end int    // of its record
	order      string // its id, or that of an earlier line with the same secret: the earlier one comes first
	drawn      bool   // its id was given to it here
	owner      *owner
	lastUsed   time.Time
}

// add puts a line into the window, with an id if it has none.
func (w *window) add(im *importer, c *candidate) (err error) {
	i := item{begin: len(w.records), owner: c.owner, lastUsed: c.lastUsed}
	if c.ID == "" {
		i.drawn = true
		if c.ID, err = randomBase62(im.s.random, idLength); err != nil {
			return err
		}
	}
	i.order = c.ID
	for at := range c.secrets {
		known := c.secrets[at].known()
		if earlier, ok := w.first[known]; ok {
			i.order = w.items[earlier].order
		} else {
			w.first[known] = len(w.items)
		}
	}
	w.records = appendRecord(w.records, c.record)
	i.end = len(w.records)
	w.items = append(w.items, i)
	return nil
}

// stager stages windows on a goroutine of its own, while the lines of the next one are read.
type stager struct {
	im      *importer
	group   *errgroup.Group
	ctx     context.Context //nolint:containedctx // of the group, which lives as long as the stager
	windows chan *window
	window  *window // that is being filled
}

func (im *importer) newStager(ctx context.Context) *stager {
	group, ctx := errgroup.WithContext(ctx)
	s := &stager{im: im, group: group, ctx: ctx, windows: make(chan *window), window: newWindow()}
	group.Go(func() error {
		for w := range s.windows {
			if err := im.stageWindow(ctx, w); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

func newWindow() *window { return &window{first: make(map[[sha256.Size]byte]int)} }

// add hands a window on when it is full. Its error may be that of an earlier window.
func (s *stager) add(c *candidate) error {
	if err := s.window.add(s.im, c); err != nil {
		return err
	}
	if len(s.window.items) < s.im.s.window {
		return nil
	}
	return s.hand()
}

// hand hands on what there is.
func (s *stager) hand() error {
	select {
	case s.windows <- s.window:
		s.window = newWindow()
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// end waits until what was handed on is staged, or cannot be.
func (s *stager) end() error {
	close(s.windows)
	return s.group.Wait()
}

// stageWindow stages a window in lots.
func (im *importer) stageWindow(ctx context.Context, w *window) error {
	if len(w.items) > lotLength {
		slices.SortStableFunc(w.items, func(a, b item) int { return cmp.Compare(a.order, b.order) })
	}
	lot := make([]candidate, 0, lotLength)
	for items := range slices.Chunk(w.items, lotLength) {
		lot = lot[:0]
		for _, i := range items {
			r, err := decodeRecord(codecVersion, w.records[i.begin:i.end])
			if err != nil {
				return err
			}
			lot = append(lot, candidate{record: r, owner: i.owner, lastUsed: i.lastUsed, drawn: i.drawn})
		}
		if err := im.stage(ctx, lot); err != nil {
			return err
		}
	}
	return nil
}
