package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/postern-auth/postern/keystore"
)

// Error is a request that was refused or failed: the JSON of every reply that is not a success, and what the methods of
// [Client] return for one.
type Error struct {
	Status  int    `json:"-"`               // of HTTP
	Message string `json:"error"`           // one line, for operators; holds no secret
	Hint    string `json:"hint,omitempty"`  // what to do, where the intention is known
	Field   string `json:"field,omitempty"` // the JSON name of the value at fault
}

// Error returns the message, without the hint.
func (e *Error) Error() string { return e.Message }

// invalid refuses a value of a request.
func invalid(field, problem, hint string) error {
	return &keystore.InvalidError{Field: field, Problem: problem, Hint: hint}
}

// about says what err means for the thing that a request names: errors of the key store do not repeat its id.
func about(err error, kind, id string) error {
	printed, notPrinted := keystore.Parse(id)
	switch {
	case errors.Is(err, keystore.ErrNotFound) && notPrinted == nil:
		return &Error{
			Status:  http.StatusNotFound,
			Message: fmt.Sprintf("a whole key was given where the id of a %s is meant", kind),
			Hint:    fmt.Sprintf("the id of that key is %s; a key that was pasted into a shell stays in its history", printed.ID),
		}
	case errors.Is(err, keystore.ErrNotFound):
		return &Error{
			Status:  http.StatusNotFound,
			Message: fmt.Sprintf("no %s %q", kind, id),
			Hint:    fmt.Sprintf("postern %ss list shows them all", kind),
		}
	case errors.Is(err, keystore.ErrExists):
		return &Error{
			Status:  http.StatusConflict,
			Message: fmt.Sprintf("%s %q exists already", kind, id),
			Hint:    "choose another id or name, or use the one that is there",
		}
	case errors.Is(err, keystore.ErrRevoked):
		return &Error{
			Status:  http.StatusConflict,
			Message: fmt.Sprintf("%s %q is revoked, which is final", kind, id),
			Hint:    "create a new key",
		}
	case errors.Is(err, keystore.ErrExpired):
		return &Error{
			Status:  http.StatusConflict,
			Message: fmt.Sprintf("%s %q has expired", kind, id),
			Hint:    "give it time first: postern keys update " + id + " --expires-in 720h",
		}
	case errors.Is(err, keystore.ErrChanged):
		return &Error{
			Status:  http.StatusConflict,
			Message: fmt.Sprintf("%s %q changed meanwhile; nothing was done", kind, id),
			Hint:    "look at it again, and repeat",
		}
	}
	return err
}

// translate gives the one reply for an error: the only place where errors become statuses. Detail says that err holds
// more than the reply does, which belongs into the log.
func translate(err error) (reply *Error, detail bool) {
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused, false
	}
	if bad, ok := errors.AsType[*keystore.InvalidError](err); ok {
		return &Error{Status: http.StatusBadRequest, Message: bad.Error(), Hint: bad.Hint, Field: bad.Field}, false
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{
			Status:  http.StatusRequestEntityTooLarge,
			Message: fmt.Sprintf("the body is longer than %d bytes", large.Limit),
		}, false
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return &Error{
			Status:  http.StatusInsufficientStorage,
			Message: "the disk is full; nothing was changed",
			Hint:    "make room where data_dir lies, and try again",
		}, true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Status: http.StatusServiceUnavailable, Message: "the request ended before it was done"}, true
	}
	return &Error{
		Status:  http.StatusServiceUnavailable,
		Message: "the store cannot do this now",
		Hint:    "the log of the Postern that answered says why",
	}, true
}
