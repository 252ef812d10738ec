package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// contentDatabase is the type of a backup.
const contentDatabase = "application/octet-stream"

// workPause is how long a long read of the whole store rests after each piece, so that checks do not wait for it.
const workPause = time.Millisecond

// Examination says what the store holds, and what is wrong with it.
type Examination struct {
	OK       bool    `json:"ok"`
	Revision uint64  `json:"revision"`
	Pages    int     `json:"pages"` // of 4 KiB, with those that are free
	Records  int     `json:"records"`
	Entries  int     `json:"index_entries"`
	Changes  int     `json:"changes"` // in the feed
	Tenants  int     `json:"tenants"`
	Keys     int     `json:"keys"` // with those of an import that is under way
	Secrets  int     `json:"secrets"`
	Faults   []Fault `json:"faults"`
	More     int     `json:"more"` // faults that are not listed
}

// Fault is something in the store that is not as it was written, or that contradicts something else.
type Fault struct {
	Place   string `json:"place"`
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
}

// NewExamination is an examination as replies have it.
func NewExamination(x *keystore.Examination) Examination {
	e := Examination{
		OK: len(x.Faults) == 0, Revision: x.Revision, Pages: x.Pages, Records: x.Records, Entries: x.Entries, Changes: x.Changes,
		Tenants: x.Tenants, Keys: x.Keys, Secrets: x.Secrets, Faults: []Fault{}, More: x.More,
	}
	for _, f := range x.Faults {
		e.Faults = append(e.Faults, Fault(f))
	}
	return e
}

// pause is how long a long read rests.
func (h *handler) pause() time.Duration {
	if h.Alone {
		return 0
	}
	return workPause
}

func (h *handler) examine(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	connection := http.NewResponseController(w)
	_ = connection.SetWriteDeadline(time.Time{}) // it takes as long as there are records; the client may leave
	found, err := h.Keys.Examine(r.Context(), h.pause())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, NewExamination(&found))
	return nil
}

// backup sends a copy of the database. One that is broken off is shorter than it says.
func (h *handler) backup(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	var watch sync.WaitGroup
	defer watch.Wait() // it must not touch a connection that is not ours any more
	ctx, sent := context.WithCancel(r.Context())
	defer sent()
	return h.Keys.Backup(ctx, h.pause(), func(size int64, interrupted <-chan struct{}) io.Writer {
		w.Header().Set("Content-Type", contentDatabase)
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		watch.Go(func() { // a client that reads no more must not hold up changes
			select {
			case <-ctx.Done():
			case <-interrupted:
				_ = http.NewResponseController(w).SetWriteDeadline(time.Unix(0, 0))
			}
		})
		return interruptible{unhurried{w: w}, interrupted}
	})
}

var errInterrupted = errors.New("the backup was interrupted")

// interruptible is unhurried until it is interrupted. A write that has begun by then is ended by whoever sets the deadline, and no
// other begins.
type interruptible struct {
	unhurried
	interrupted <-chan struct{}
}

// Write writes to w.
func (i interruptible) Write(p []byte) (int, error) {
	i.extend()
	select {
	case <-i.interrupted: // the deadline may have been set before it was extended
		return 0, errInterrupted
	default:
		return i.w.Write(p)
	}
}

// Examine has everything in the store looked at. Faults come without an error.
func (c *Client) Examine(ctx context.Context) (Examination, error) {
	return ask[Examination](ctx, c, http.MethodGet, "/v1/store/check", nil)
}

// Backup writes a copy of the database to w. If it is broken off, as when the database had to grow meanwhile, the error is io.ErrUnexpectedEOF: try again.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	response, err := c.send(ctx, http.MethodGet, "/v1/backup", "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if err := succeeded(response); err != nil {
		return err
	}
	size, err := strconv.ParseInt(response.Header.Get("Content-Length"), 10, 64)
	if err != nil || response.Header.Get("Content-Type") != contentDatabase {
		return unreadable(fmt.Errorf("status %d is not from this API", response.StatusCode))
	}
	n, err := io.Copy(w, response.Body)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("copying the database: %w", err)
	}
	return nil
}
