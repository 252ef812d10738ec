package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// maxReply bounds a reply that is read as a whole: all but lists.
const maxReply = 64 << 20

// Client asks a [NewHandler] in typed calls. Its errors are [*Error] when Postern answered, and otherwise say what kept
// it from answering, wrapping the transport's error; errors.Is finds fs.ErrNotExist and ECONNREFUSED where no Postern runs.
type Client struct{ transport http.RoundTripper }

// NewClient returns a client over a [SocketTransport] or a [HandlerTransport].
func NewClient(transport http.RoundTripper) *Client { return &Client{transport} }

// Status asks which process answers.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// CreateTenant makes a tenant.
func (c *Client) CreateTenant(ctx context.Context, r TenantRequest) (Tenant, error) {
	return ask[Tenant](ctx, c, http.MethodPost, "/v1/tenants", r)
}

// Tenants lists all tenants in the order in which they were made. An error ends the list.
func (c *Client) Tenants(ctx context.Context) iter.Seq2[Tenant, error] {
	return list[Tenant](ctx, c, "/v1/tenants", "tenants")
}

// Tenant finds a tenant by id or unique name, as do the other methods that take a ref.
func (c *Client) Tenant(ctx context.Context, ref string) (Tenant, error) {
	return ask[Tenant](ctx, c, http.MethodGet, "/v1/tenants/"+segment(ref), nil)
}

// SuspendTenant refuses all keys of a tenant, from its return on.
func (c *Client) SuspendTenant(ctx context.Context, ref string) (Tenant, error) {
	return ask[Tenant](ctx, c, http.MethodPost, "/v1/tenants/"+segment(ref)+"/suspend", nil)
}

// ResumeTenant ends a suspension.
func (c *Client) ResumeTenant(ctx context.Context, ref string) (Tenant, error) {
	return ask[Tenant](ctx, c, http.MethodPost, "/v1/tenants/"+segment(ref)+"/resume", nil)
}

// UpdateTenant changes what a request names of a tenant.
func (c *Client) UpdateTenant(ctx context.Context, ref string, r TenantUpdate) (Tenant, error) {
	return ask[Tenant](ctx, c, http.MethodPost, "/v1/tenants/"+segment(ref)+"/update", r)
}

// CreateKey makes a key. Its printed form is in the reply and nowhere else, ever.
func (c *Client) CreateKey(ctx context.Context, r KeyRequest) (CreatedKey, error) {
	return ask[CreatedKey](ctx, c, http.MethodPost, "/v1/keys", r)
}

// Keys lists keys in the order in which they were made, reading them as they are asked for. An error ends the list.
func (c *Client) Keys(ctx context.Context, f KeyFilter) iter.Seq2[Key, error] {
	query := url.Values{}
	set(query, "tenant", f.Tenant)
	set(query, "environment", f.Environment)
	set(query, "state", f.State)
	set(query, "expiring", f.Expiring)
	return list[Key](ctx, c, "/v1/keys?"+query.Encode(), "keys")
}

// Key returns a key with its secrets' use.
func (c *Client) Key(ctx context.Context, id string) (KeyDetails, error) {
	return ask[KeyDetails](ctx, c, http.MethodGet, "/v1/keys/"+segment(id), nil)
}

// DisableKey refuses a key until it is enabled, from its return on.
func (c *Client) DisableKey(ctx context.Context, id string) (Key, error) {
	return ask[Key](ctx, c, http.MethodPost, "/v1/keys/"+segment(id)+"/disable", nil)
}

// EnableKey ends what DisableKey did.
func (c *Client) EnableKey(ctx context.Context, id string) (Key, error) {
	return ask[Key](ctx, c, http.MethodPost, "/v1/keys/"+segment(id)+"/enable", nil)
}

// RevokeKey refuses a key for ever, from its return on.
func (c *Client) RevokeKey(ctx context.Context, id string) (Key, error) {
	return ask[Key](ctx, c, http.MethodPost, "/v1/keys/"+segment(id)+"/revoke", nil)
}

// UpdateKey changes what a request names of a key, from its return on.
func (c *Client) UpdateKey(ctx context.Context, id string, r KeyUpdate) (Key, error) {
	return ask[Key](ctx, c, http.MethodPost, "/v1/keys/"+segment(id)+"/update", r)
}

// PlanRotation says what a rotation with that overlap would end now.
func (c *Client) PlanRotation(ctx context.Context, id string, overlap time.Duration) (RotationPlan, error) {
	query := url.Values{"overlap": {overlap.String()}}
	return ask[RotationPlan](ctx, c, http.MethodGet, "/v1/keys/"+segment(id)+"/rotate?"+query.Encode(), nil)
}

// RotateKey gives a key a new secret. Its printed form is in the reply and nowhere else, ever.
func (c *Client) RotateKey(ctx context.Context, id string, r RotateRequest) (CreatedKey, error) {
	return ask[CreatedKey](ctx, c, http.MethodPost, "/v1/keys/"+segment(id)+"/rotate", r)
}

// PlanEndOld says what EndOldSecrets would end now.
func (c *Client) PlanEndOld(ctx context.Context, id string) (RotationPlan, error) {
	return ask[RotationPlan](ctx, c, http.MethodGet, "/v1/keys/"+segment(id)+"/end-old", nil)
}

// EndOldSecrets refuses all secrets of a key but the newest, from its return on.
func (c *Client) EndOldSecrets(ctx context.Context, id string, r EndOldRequest) (Key, error) {
	return ask[Key](ctx, c, http.MethodPost, "/v1/keys/"+segment(id)+"/end-old", r)
}

// VerifyKey says what the gate says of a printed key. Nothing is counted.
func (c *Client) VerifyKey(ctx context.Context, printed string) (Verification, error) {
	return ask[Verification](ctx, c, http.MethodPost, "/v1/keys/verify", VerifyRequest{Key: printed})
}

// Import adds keys from lines of JSON: all of them or none. When lines were refused the error is an [*Error] and the
// result lists them.
func (c *Client) Import(ctx context.Context, o ImportOptions, lines io.Reader) (ImportResult, error) {
	query := url.Values{}
	set(query, "format", o.Format)
	query.Set("create_tenants", strconv.FormatBool(o.CreateTenants))
	query.Set("accept_unenforced_limits", strconv.FormatBool(o.AcceptUnenforcedLimits))
	source := &source{lines: lines}
	response, err := c.send(ctx, http.MethodPost, "/v1/import?"+query.Encode(), contentLines, source)
	if err != nil {
		return ImportResult{}, cmp.Or(source.fault(), err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := source.fault(); err != nil {
		return ImportResult{}, err
	}
	var reply struct {
		ImportResult
		Error
	}
	if err := read(response, &reply); err != nil {
		return ImportResult{}, err
	}
	if response.StatusCode != http.StatusOK {
		reply.Status = response.StatusCode
		return reply.ImportResult, &reply.Error
	}
	return reply.ImportResult, nil
}

// source remembers why lines could not be read: whoever answers sees only that they end.
type source struct {
	lines io.Reader
	err   atomic.Pointer[error]
}

// Read reads lines.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.lines.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err.Store(&err)
	}
	return n, err
}

func (s *source) fault() error {
	if err := s.err.Load(); err != nil {
		return fmt.Errorf("reading lines: %w", *err)
	}
	return nil
}

// ask sends one request, with body as JSON, and reads one reply.
func ask[Reply any](ctx context.Context, c *Client, method, target string, body any) (Reply, error) {
	var reply Reply
	sent := []byte{}
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return reply, fmt.Errorf("writing request: %w", err)
		}
	}
	response, err := c.send(ctx, method, target, contentJSON, bytes.NewReader(sent))
	if err != nil {
		return reply, err
	}
	defer func() { _ = response.Body.Close() }()
	if err := succeeded(response); err != nil {
		return reply, err
	}
	err = read(response, &reply)
	return reply, err
}

// list reads {"name":[…]} item by item.
func list[Item any](ctx context.Context, c *Client, target, name string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var item Item
		response, err := c.send(ctx, http.MethodGet, target, "", nil)
		if err != nil {
			yield(item, err)
			return
		}
		defer func() { _ = response.Body.Close() }()
		if err := succeeded(response); err != nil {
			yield(item, err)
			return
		}
		items := json.NewDecoder(response.Body)
		if err := expect(items, json.Delim('{'), name, json.Delim('[')); err != nil {
			yield(item, err)
			return
		}
		for items.More() {
			var item Item
			if err := items.Decode(&item); err != nil {
				yield(item, unreadable(err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
		if err := expect(items, json.Delim(']'), json.Delim('}')); err != nil {
			yield(item, err)
		}
	}
}

func (c *Client) send(ctx context.Context, method, target, contentType string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://postern"+target, body)
	if err != nil {
		return nil, fmt.Errorf("writing request: %w", err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("asking Postern: %w", err)
	}
	return response, nil
}

// succeeded returns the error that a reply holds.
func succeeded(response *http.Response) error {
	if response.StatusCode < http.StatusBadRequest && response.StatusCode >= http.StatusOK {
		return nil
	}
	refused := Error{Status: response.StatusCode}
	if err := read(response, &refused); err != nil {
		return err
	}
	return &refused
}

// read reads a whole reply into v.
func read(response *http.Response, v any) error {
	if response.Header.Get("Content-Type") != contentJSON {
		return unreadable(fmt.Errorf("status %d is not from this API", response.StatusCode))
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxReply)).Decode(v); err != nil {
		return unreadable(err)
	}
	return nil
}

// expect reads tokens that are known beforehand.
func expect(d *json.Decoder, tokens ...json.Token) error {
	for _, want := range tokens {
		got, err := d.Token()
		if err != nil {
			return unreadable(err)
		}
		if got != want {
			return unreadable(errors.New("not the list that was asked for"))
		}
	}
	return nil
}

func unreadable(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading Postern's reply: %w", err)
}

// segment is s as one segment of a path. Dots alone would be taken for a way through folders.
func segment(s string) string {
	switch s {
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	return url.PathEscape(s)
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
