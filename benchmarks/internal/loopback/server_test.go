package loopback_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/benchmarks/internal/loopback"
	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

func dial(t *testing.T, s *loopback.Server, path string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), s.Endpoint()+path, nil) //nolint:bodyclose // the connection owns it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

func startServer(t testing.TB) *loopback.Server {
	t.Helper()
	s, err := loopback.Start(context.Background(), loopback.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnswers(t *testing.T) {
	s := startServer(t)
	ws := dial(t, s, "/websocket?vsn=2.0.0")
	big := strings.Repeat("x", 20_000)
	steps := []struct {
		send string
		want []string
	}{
		{`[null,"1","phoenix","heartbeat",{}]`, []string{`[null,"1","phoenix","phx_reply",{"response":{},"status":"ok"}]`}},
		{`["2","2","room:1","echo",{}]`, []string{`[null,"2","room:1","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`}},
		{`["3","3","room:1","phx_join",{"a":1}]`, []string{`["3","3","room:1","phx_reply",{"response":{},"status":"ok"}]`}},
		{`["3","4","room:1","echo",{"a":"` + big + `"}]`, []string{`["3","4","room:1","phx_reply",{"response":{"a":"` + big + `"},"status":"ok"}]`}},
		{`["3","5","room:1","flood",{"n":1,"size":64}]`, []string{
			`[null,null,"room:1","flood",` + string(wire.AppendFloodPayload(nil, 1, 64)) + `]`,
			`["3","5","room:1","phx_reply",{"response":{"sent":1},"status":"ok"}]`,
		}},
		{`["3","6","room:1","phx_leave",{}]`, []string{
			`["3","6","room:1","phx_reply",{"response":{},"status":"ok"}]`,
			`["3","3","room:1","phx_close",{}]`,
		}},
	}
	ws.SetReadLimit(1 << 20)
	for _, step := range steps {
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(step.send)); err != nil {
			t.Fatal(err)
		}
		for _, want := range step.want {
			_, got, err := ws.Read(t.Context())
			if err != nil || string(got) != want {
				t.Fatalf("after %.80s: %.200s, %v; want %.200s", step.send, got, err, want)
			}
		}
	}
	ctx := ws.CloseRead(t.Context()) // A ping needs a reader.
	if err := ws.Ping(ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("the server: %v", err)
	}
}

// TestComplaints checks that a client which does something odd is not merely dropped.
func TestComplaints(t *testing.T) {
	t.Run("a message that is not V2", func(t *testing.T) {
		s := startServer(t)
		ws := dial(t, s, "/websocket?vsn=2.0.0")
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"topic":"room:1"}`)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ws.Read(t.Context()); err == nil {
			t.Error("the message was answered")
		}
		if err := s.Close(); err == nil {
			t.Error("the server did not complain")
		}
	})
	t.Run("no vsn", func(t *testing.T) {
		s := startServer(t)
		if _, _, err := websocket.Dial(t.Context(), s.Endpoint()+"/websocket", nil); err == nil { //nolint:bodyclose // an error
			t.Error("the upgrade succeeded")
		}
		if err := s.Close(); err == nil {
			t.Error("the server did not complain")
		}
	})
}

// BenchmarkServer shows how fast the server is with a client that costs next
// to nothing: it writes and reads a thousand messages at a time. No contestant
// must come near.
func BenchmarkServer(b *testing.B) {
	const batch = 1000
	s := startServer(b)
	nc, err := upgrade(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	payload := wire.Payload(100)
	join := appendFrame(nil, wire.AppendPush(nil, 1, "phx_join", []byte("{}")))
	if err := exchange(nc, join, 1); err != nil {
		b.Fatal(err)
	}
	var request []byte
	for range batch {
		request = appendFrame(request, wire.AppendPush(nil, 1_000_000, wire.Echo, payload))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		if err := exchange(nc, request, batch); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := errors.Join(nc.Close(), s.Close()); err != nil {
		b.Error(err)
	}
}

func upgrade(ctx context.Context, s *loopback.Server) (net.Conn, error) {
	host, _, _ := strings.Cut(strings.TrimPrefix(s.Endpoint(), "ws://"), "/")
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(nc, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: "+host+
		"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		return nil, err
	}
	var got []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(got, []byte("\r\n\r\n")) {
		if _, err := io.ReadFull(nc, one); err != nil {
			return nil, err
		}
		got = append(got, one...)
	}
	if !bytes.Contains(got, []byte("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
		return nil, errors.New("not the key's answer in RFC 6455: " + strconv.Quote(string(got)))
	}
	return nc, nil
}

// appendFrame appends a masked text frame of less than 64 KiB.
func appendFrame(dst, message []byte) []byte {
	if len(message) < 126 {
		dst = append(dst, 0x81, 0x80|byte(len(message)))
	} else {
		dst = append(dst, 0x81, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(message)))
	}
	mask := [4]byte{1, 2, 3, 4}
	dst = append(dst, mask[:]...)
	for i, c := range message {
		dst = append(dst, c^mask[i%4])
	}
	return dst
}

// exchange writes request and reads as many frames as it has messages.
func exchange(nc net.Conn, request []byte, messages int) error {
	written := make(chan error, 1)
	go func() {
		_, err := nc.Write(request)
		written <- err
	}()
	buf, have := make([]byte, 1<<16), 0
	for messages > 0 {
		n, err := nc.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		at := 0
		for messages > 0 && have-at >= 4 {
			size := 2 + int(buf[at+1])
			if buf[at+1] == 126 {
				size = 4 + int(binary.BigEndian.Uint16(buf[at+2:]))
			}
			if have-at < size {
				break
			}
			at += size
			messages--
		}
		have = copy(buf, buf[at:have])
	}
	return <-written
}
