package transport_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/transport"
)

var compressions = map[string]transport.CompressionMode{
	"takeover": transport.CompressionContextTakeover, "no takeover": transport.CompressionNoContextTakeover,
}

// A meter counts what goes over the connections of a client.
type meter struct {
	net.Conn
	in, out *atomic.Int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.in.Add(int64(n))
	return n, err
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.Conn.Write(p)
	m.out.Add(int64(n))
	return n, err
}

// randomPayload returns text or binary data that compresses well or not at all.
func randomPayload(r *rand.Rand, size int) any {
	b := make([]byte, size)
	few := r.IntN(2) == 0
	for i := range b {
		if b[i] = byte(r.Uint32()); few {
			b[i] = "abcd"[b[i]%4]
		}
	}
	if r.IntN(2) == 0 {
		return phoenix.Binary(b)
	}
	return strings.ToValidUTF8(string(b), "ü")
}

func samePayload(want any, got phoenix.Payload) bool {
	if b, ok := want.(phoenix.Binary); ok {
		return bytes.Equal(b, got.Bytes())
	}
	var s string
	return json.Unmarshal(got.Bytes(), &s) == nil && s == want
}

func TestCompressedMessagesArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	for name, mode := range compressions {
		for _, from := range []int{0, 1, 600} {
			t.Run(fmt.Sprint(name, from), func(t *testing.T) {
				harness.InBubble(t, &phoenixtest.Options{Compress: true, FrameLog: -1}, func(t *testing.T, h *harness.Harness) {
					c, _, _ := compressedSocket(h, phoenix.WebSocketOptions{Compression: mode, CompressFrom: from})
					sub := c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"up", "down"}})
					r := rand.New(rand.NewPCG(1, 2))
					var sent []any
					for range 6 {
						var batch []*phoenix.Push // many leave in one write
						first := len(sent)
						for i := range 8 {
							v := randomPayload(r, []int{0, i, 1000, 4096, r.IntN(300 << 10)}[r.IntN(5)])
							sent = append(sent, v)
							batch = append(batch, c.PushAsync(t.Context(), "echo", v))
						}
						if err := h.Srv.Conns()[0].SendRaw(phoenixtest.OpPing, []byte("between")); err != nil {
							t.Fatal(err)
						}
						for i, p := range batch {
							reply, err := p.Wait(t.Context())
							if err != nil || !samePayload(sent[first+i], reply.Response) {
								t.Fatalf("push %d: %v, or another payload", first+i, err)
							}
						}
					}
					for i, v := range sent {
						payload := v
						if b, ok := v.(phoenix.Binary); ok {
							payload = phoenixtest.Binary(b)
						}
						h.Srv.Broadcast("room:1", "down", payload)
						if m, err := sub.Next(t.Context()); err != nil || !samePayload(v, m.Payload) {
							t.Fatalf("broadcast %d: %v, or another payload", i, err)
						}
					}
					if got := c.Socket().Stats().Connects; got != 1 {
						t.Errorf("%d connections, want 1", got)
					}
				})
			})
		}
	}
}

// presenceState is one of about size bytes, as Phoenix.Presence makes it.
func presenceState(size int) json.RawMessage {
	var b strings.Builder
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `,"user:%d":{"metas":[{"online_at":%d,"phx_ref":"GL%010x","status":"online"}]}`, i, 1700000000+r.IntN(1e6), r.Int64N(1<<40))
	}
	return json.RawMessage("{" + b.String()[1:] + "}")
}

func TestCompressionMakesLargeMessagesSmall(t *testing.T) {
	t.Parallel()
	for name, mode := range compressions {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, &phoenixtest.Options{Compress: true}, func(t *testing.T, h *harness.Harness) {
				c, in, out := compressedSocket(h, phoenix.WebSocketOptions{Compression: mode, CompressFrom: 512})
				state := presenceState(200 << 10)
				stats := c.Socket().Stats()
				if _, err := c.Push(t.Context(), "echo", state); err != nil {
					t.Fatal(err)
				}
				if got := in.Load(); got > int64(len(state))/3 {
					t.Errorf("received %d bytes for a payload of %d", got, len(state))
				}
				if got := out.Load(); got > int64(len(state))/3 {
					t.Errorf("sent %d bytes for a payload of %d", got, len(state))
				}
				now := c.Socket().Stats()
				if in, out := now.BytesIn-stats.BytesIn, now.BytesOut-stats.BytesOut; in < uint64(len(state)) || out < uint64(len(state)) {
					t.Errorf("Stats count %d bytes in and %d out, want those of the messages", in, out)
				}
			})
		})
	}
}

func TestMessagesToTheServerAreCompressedOnlyFromCompressFromOn(t *testing.T) {
	t.Parallel()
	for _, from := range []int{-1, 0, 5000} {
		inBubbles := func(t *testing.T, h *harness.Harness) {
			c, in, out := compressedSocket(h, phoenix.WebSocketOptions{Compression: transport.CompressionContextTakeover, CompressFrom: from})
			if _, err := c.Push(t.Context(), "echo", strings.Repeat("a", 4000)); err != nil {
				t.Fatal(err)
			}
			if in.Load() > 1000 || out.Load() < 4000 {
				t.Errorf("%d bytes in, %d out, want few in and 4000 out", in.Load(), out.Load())
			}
		}
		t.Run(fmt.Sprint(from), func(t *testing.T) { harness.InBubble(t, &phoenixtest.Options{Compress: true}, inBubbles) })
	}
}

func TestWithoutAServerThatCompressesNothingIsCompressed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mode   transport.CompressionMode
		server bool
	}{
		"offered, not accepted": {transport.CompressionContextTakeover, false}, "not offered": {transport.CompressionOff, true},
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, &phoenixtest.Options{Compress: test.server}, func(t *testing.T, h *harness.Harness) {
				c, in, out := compressedSocket(h, phoenix.WebSocketOptions{Compression: test.mode, CompressFrom: 1})
				want := strings.Repeat("a", 10_000)
				reply, err := c.Push(t.Context(), "echo", want)
				if err != nil || !samePayload(want, reply.Response) {
					t.Fatalf("Push: %v, %v", reply, err)
				}
				if in.Load() < 10_000 || out.Load() < 10_000 {
					t.Errorf("%d bytes in, %d out, want them uncompressed", in.Load(), out.Load())
				}
			})
		})
	}
}

func TestAnUnknownCompressionModeIsAnInputError(t *testing.T) {
	t.Parallel()
	for _, mode := range []transport.CompressionMode{-1, 3} {
		s, err := phoenix.NewSocket("ws://phoenix.test/socket", &phoenix.SocketOptions{
			Transport: phoenix.WebSocket(&phoenix.WebSocketOptions{Compression: mode}),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() }) // always nil
		if err := s.Connect(t.Context()); !errors.As(err, new(*phoenix.InputError)) {
			t.Errorf("mode %d: %v, want an InputError", mode, err)
		}
	}
}

// serverFrame is a frame as a server sends it.
func serverFrame(first byte, data []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(len(data))), data...)
}

// deflated compresses a message as RFC 7692 has it.
func deflated(data []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed)
	_, _ = w.Write(data) // into memory
	_ = w.Flush()        // as above
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// The 1 GiB is in no buffer of anybody's; what one test allocates can be told only
// while no other runs.
func TestADecompressionBombIsRefusedAtMaxMessageSize(t *testing.T) { //nolint:paralleltest // as above
	chunk := deflated(make([]byte, 1<<20))
	chunk = append(chunk, 0, 0, 0xff, 0xff) // ends on a byte, with no reference to what was before
	bomb := serverFrame(0xC2, bytes.Repeat(chunk, 1024))
	synctest.Test(t, func(t *testing.T) {
		h := harness.NewHarness(t, &phoenixtest.Options{Compress: true, BufferSize: 4 << 20})
		s := h.Connected(&phoenix.SocketOptions{
			MaxMessageSize: 1 << 20,
			Transport:      phoenix.WebSocket(&phoenix.WebSocketOptions{Compression: transport.CompressionContextTakeover}),
		})
		if err := h.Accept().SendBytes(bomb); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		synctest.Wait()
		runtime.ReadMemStats(&after)
		if err := s.Stats().LastError; !errors.Is(err, phoenix.ErrMessageTooBig) {
			t.Errorf("the connection ended with %v, want ErrMessageTooBig", err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
			t.Errorf("a bomb of 1 GiB made the client allocate %d MiB", got>>20)
		}
	})
}

// readAll dials a server that sends these bytes after its answer and hangs up, and
// returns the frames that came.
func readAll(t *testing.T, mode transport.CompressionMode, frames []byte) (all []string, last error) {
	t.Helper()
	tr := harness.Peer(func(c net.Conn, _ <-chan struct{}) {
		answer := strings.TrimSuffix(harness.Switching(harness.ReadRequest(c)), "\r\n")
		if mode != transport.CompressionOff {
			answer += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
		}
		_, _ = c.Write(append([]byte(answer+"\r\n"), frames...)) // the client tells
	}).Listen(t)
	conn, err := phoenix.WebSocket(&phoenix.WebSocketOptions{Compression: mode}).Dial(t.Context(), &transport.DialRequest{
		URL:            &url.URL{Scheme: "ws", Host: "phoenix.test", Path: "/socket"},
		HTTPClient:     &http.Client{Transport: tr},
		MaxMessageSize: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context(), 0, "")
	for {
		f, err := conn.ReadFrame()
		if err != nil {
			return all, err
		}
		all = append(all, string(f.Data))
	}
}

func TestCompressedFragmentsWithControlFramesBetween(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("all work and no play ", 1000)
		z := deflated([]byte(text))
		var frames []byte
		for i, b := range z {
			first := byte(0)
			if i == 0 {
				first = 0x41 // only the first fragment has the bit
			}
			if i == len(z)-1 {
				first |= 0x80
			}
			frames = append(frames, serverFrame(first, []byte{b})...)
			frames = append(frames, 0x8A, 2, 'h', 'i') // a pong
		}
		frames = append(frames, serverFrame(0xC1, []byte{0})...) // an empty message
		frames = append(frames, serverFrame(0x81, []byte("plain"))...)
		got, err := readAll(t, transport.CompressionContextTakeover, frames)
		harness.WantStrings(t, "messages", got, text, "", "plain")
		if err == nil {
			t.Error("no error at the end")
		}
	})
}

// The library takes the end of the network for the end of a message, where that
// comes between two of its reads.
func TestAMessageThatIsCutShortIsNotDelivered(t *testing.T) {
	t.Parallel()
	data := make([]byte, 2000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // never fails
	for name, test := range map[string]struct {
		mode  transport.CompressionMode
		frame []byte
	}{
		"plain":      {transport.CompressionOff, serverFrame(0x82, data)},
		"compressed": {transport.CompressionContextTakeover, serverFrame(0xC2, deflated(data))},
		"fragments":  {transport.CompressionOff, append(serverFrame(0x02, data), serverFrame(0x80, data)...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for cut := 1; cut < len(test.frame); cut += 1 + cut%13 {
					got, err := readAll(t, test.mode, test.frame[:cut])
					if len(got) > 0 || err == nil {
						t.Errorf("cut after %d bytes: got a message of %d bytes, %v", cut, len(got[0]), err)
					}
				}
			})
		})
	}
}

// compressedSocket joins a channel with options of the transport, over a meter.
func compressedSocket(h *harness.Harness, opts phoenix.WebSocketOptions) (c *phoenix.Channel, in, out *atomic.Int64) {
	h.T.Helper()
	in, out = new(atomic.Int64), new(atomic.Int64)
	s := h.Connected(&phoenix.SocketOptions{
		Transport: phoenix.WebSocket(&opts),
		HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := h.Srv.DialContext(ctx, network, addr)
				return &meter{nc, in, out}, err
			},
		}},
	})
	c = h.Joined(s, "room:1", nil)
	in.Store(0)
	out.Store(0)
	return c, in, out
}
