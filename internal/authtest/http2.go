package authtest

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// window is how much body either side may send: more than any test does, so that none waits.
const window = 1 << 24

// serveHTTP2 answers the requests of one connection, each when it has ended, one after the other.
func (u *Upstream) serveHTTP2(f *http2.Framer) error {
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		return err
	}
	if err := f.WriteWindowUpdate(0, window); err != nil {
		return err
	}
	open := map[uint32]Received{} // stream → its request, until that has ended
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = f.WritePing(true, frame.Data)
			}
		case *http2.MetaHeadersFrame:
			if _, trailers := open[frame.StreamID]; !trailers {
				open[frame.StreamID] = Received{Line: http2Line, Fields: fieldsOf(frame)}
			}
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			ended = frame.StreamEnded()
		}
		id := frame.Header().StreamID
		if request, ok := open[id]; ok && ended {
			delete(open, id)
			err = u.answerHTTP2(f, id, request)
		}
		if err != nil {
			return err
		}
	}
}

func (u *Upstream) answerHTTP2(f *http2.Framer, id uint32, request Received) error {
	a := u.record(request)
	fields := []Field{{":status", strconv.Itoa(a.Status)}}
	for _, field := range a.Fields {
		fields = append(fields, Field{strings.ToLower(field.Name), field.Value})
	}
	grpc := strings.HasPrefix(strings.Join(Values(request.Fields, "content-type"), ""), "application/grpc")
	body := []byte(a.Body)
	if grpc {
		fields = append(fields, Field{"content-type", "application/grpc"})
		body = append([]byte{0, 0, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	if err := writeHeaders(f, id, fields, false); err != nil {
		return err
	}
	if err := f.WriteData(id, !grpc, body); err != nil || !grpc {
		return err
	}
	return writeHeaders(f, id, Fields("grpc-status: 0"), true)
}

// writeHeaders sends the fields as they are: their names' case, order and bytes included.
func writeHeaders(f *http2.Framer, id uint32, fields []Field, end bool) error {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSize(0) // each block stands alone
	for _, field := range fields {
		if err := e.WriteField(hpack.HeaderField{Name: field.Name, Value: field.Value}); err != nil {
			return err
		}
	}
	const frameSize = 16384 // the least that every peer takes
	first := block.Next(frameSize)
	err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: block.Len() == 0})
	for err == nil && block.Len() > 0 {
		next := block.Next(frameSize)
		err = f.WriteContinuation(id, block.Len() == 0, next)
	}
	return err
}

func fieldsOf(frame *http2.MetaHeadersFrame) []Field {
	fields := make([]Field, len(frame.Fields))
	for i, f := range frame.Fields {
		fields[i] = Field{Name: f.Name, Value: f.Value}
	}
	return fields
}

// exchange sends one request on a new connection and reads until its stream ends.
func exchange(conn io.ReadWriter, fields []Field, body []byte) (*Response, error) {
	const id = 1
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		return nil, err
	}
	if err := writeHeaders(f, id, fields, body == nil); err != nil {
		return nil, err
	}
	if body != nil {
		if err := f.WriteData(id, true, body); err != nil {
			return nil, err
		}
	}
	var r Response
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return nil, err
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			ended = frame.StreamEnded()
			if status := frame.PseudoValue("status"); status != "" {
				r.Status, err = strconv.Atoi(status)
				r.Fields = fieldsOf(frame)[1:]
			} else {
				r.Trailers = fieldsOf(frame)
			}
		case *http2.DataFrame:
			r.Body = append(r.Body, frame.Data()...)
			ended = frame.StreamEnded()
		case *http2.RSTStreamFrame:
			r.Reset, ended = true, true
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				r.Reset, ended = true, true
			}
		}
		if err != nil {
			return nil, err
		}
		if ended {
			return &r, nil
		}
	}
}
