package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"syscall"
	"testing"

	"github.com/postern-auth/postern/keystore"
)

// Each error has one status, however deep it is wrapped; what the reply leaves out is for the log.
func TestTranslate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    error
		status int
		detail bool
	}{
		"a refusal":                    {&Error{Status: 418}, 418, false},
		"a value":                      {&keystore.InvalidError{Field: "name"}, 400, false},
		"a long body":                  {&http.MaxBytesError{Limit: 1}, 413, false},
		"a full disk":                  {&fs.PathError{Op: "write", Path: "postern.db", Err: syscall.ENOSPC}, 507, true},
		"a full quota":                 {syscall.EDQUOT, 507, true},
		"a file that may not grow":     {syscall.EFBIG, 507, true},
		"a request that was given up":  {context.Canceled, 503, true},
		"a request that took too long": {context.DeadlineExceeded, 503, true},
		"a store that is away":         {keystore.ErrUnavailable, 503, true},
		"anything else":                {errors.New("hunter2"), 503, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, detail := translate(fmt.Errorf("creating key: %w", errors.Join(errors.New("other"), tt.err)))
			if reply.Status != tt.status || detail != tt.detail {
				t.Errorf("status %d, detail %t; want %d, %t", reply.Status, detail, tt.status, tt.detail)
			}
			if text, _ := json.Marshal(reply); tt.detail && bytes.Contains(text, []byte(tt.err.Error())) {
				t.Errorf("the error is in the reply: %s", text)
			}
		})
	}
}
