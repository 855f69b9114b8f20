//go:build !js

package transport

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/internal/memnet"
)

// A cutBody is the body of an upgrade whose reads return as many bytes as cuts says,
// again and again, or what fits.
type cutBody struct {
	rest []byte
	cuts []byte
	next int
	end  error // after the last byte

	mu     sync.Mutex
	wrote  bytes.Buffer
	closed bool
}

func (b *cutBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, b.end
	}
	n := len(p)
	if len(b.cuts) > 0 {
		if cut := int(b.cuts[b.next%len(b.cuts)]); cut < 250 { // else as much as fits
			n = min(n, 1+cut)
		}
		b.next++
	}
	n = copy(p[:n], b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *cutBody) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, net.ErrClosed
	}
	return b.wrote.Write(p)
}

func (b *cutBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// upgraded answers an upgrade with a body.
type upgraded struct {
	body io.ReadWriteCloser
	exts string
}

func (u upgraded) RoundTrip(req *http.Request) (*http.Response, error) {
	header := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Accept": {acceptOf(req.Header.Get("Sec-WebSocket-Key"))},
	}
	if u.exts != "" {
		header.Set("Sec-WebSocket-Extensions", u.exts)
	}
	return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: header, Body: u.body, Request: req}, nil
}

// acceptOf is the answer to a key, by RFC 6455, section 4.2.2.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

const deflate = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// dialBody opens a connection over a body. With alone, the library reads all of it.
func dialBody(tb testing.TB, body io.ReadWriteCloser, limit int64, deflated, alone bool) *wsConn {
	tb.Helper()
	opts := &WebSocketOptions{}
	exts := ""
	if deflated {
		opts.Compression, exts = CompressionNoContextTakeover, deflate
	}
	c, err := WebSocket(opts).Dial(context.Background(), &DialRequest{
		URL: &url.URL{Scheme: "ws", Host: "h.test", Path: "/socket"}, MaxMessageSize: limit,
		HTTPClient: &http.Client{Transport: upgraded{body, exts}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	ws := c.(*wsConn) //nolint:forcetypeassert // it is what Dial makes of a foreign transport
	ws.stream.in.rest = alone
	return ws
}

// readAllFrames returns what a connection delivers, most at a time, and how it ends.
func readAllFrames(c *wsConn, most int) (texts []string, end string) {
	for {
		frames, err := c.ReadFrames(nil, most)
		if err != nil {
			return texts, classOf(err)
		}
		for _, f := range frames {
			texts = append(texts, fmt.Sprint(f.Binary, " ", string(f.Data)))
		}
	}
}

// classOf returns what a user can tell of an error.
func classOf(err error) string {
	var ce *CloseError
	switch {
	case errors.As(err, &ce):
		return fmt.Sprint("closed ", ce.Code, " ", ce.Reason)
	case errors.Is(err, ErrMessageTooBig):
		return "too big"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cut"
	case errors.Is(err, errReset):
		return "reset"
	}
	return "broken"
}

var errReset = errors.New("connection reset")

// wantAsTheLibrary compares what the two make of the same bytes.
func wantAsTheLibrary(t *testing.T, wire, cuts []byte, limit int64, deflated bool, end error) (frames []string) {
	t.Helper()
	var got, want []string
	var gotEnd, wantEnd, gotSent, wantSent string
	for _, alone := range []bool{false, true} {
		body := &cutBody{rest: wire, cuts: cuts, end: end}
		c := dialBody(t, body, limit, deflated, alone)
		frames, end := readAllFrames(c, 1+len(cuts)%4)
		_ = c.Close(t.Context(), 0, "")
		body.mu.Lock()
		sent := opsOf(body.wrote.Bytes())
		body.mu.Unlock()
		if alone {
			want, wantEnd, wantSent = frames, end, sent
		} else {
			got, gotEnd, gotSent = frames, end, sent
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("messages: -library +intake\n%s", diff)
	}
	if gotEnd != wantEnd || gotSent != wantSent {
		t.Fatalf("it ended as %q, having sent %q; the library alone: %q, %q", gotEnd, gotSent, wantEnd, wantSent)
	}
	return got
}

// opsOf returns the opcodes of the frames that were sent: pongs and close frames.
func opsOf(b []byte) string {
	var ops strings.Builder
	for len(b) >= 6 {
		fmt.Fprintf(&ops, "%x:%d ", b[0], b[1]&0x7F)
		b = b[min(len(b), 6+int(b[1]&0x7F)):]
	}
	return ops.String()
}

// frame makes a frame as a server sends it.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func filled(n int) []byte { return bytes.Repeat([]byte("x"), n) }

// conversations are streams that must come out as they do from the library.
func conversations() map[string][]byte {
	text, bin := byte(finBit|opText), byte(finBit|opBinary)
	masked := []byte{text, 0x80 | 3, 1, 2, 3, 4, 'a' ^ 1, 'b' ^ 2, 'c' ^ 3}
	return map[string][]byte{
		"plain":            slices.Concat(frame(text, []byte("a")), frame(bin, []byte("b")), frame(text, nil), frame(bin, nil)),
		"sizes":            slices.Concat(frame(text, filled(125)), frame(text, filled(126)), frame(text, filled(0xFFFF)), frame(text, filled(0x10000)), frame(text, []byte("z"))),
		"at the limit":     slices.Concat(frame(text, filled(100_000)), frame(text, []byte("z"))),
		"over the limit":   slices.Concat(frame(text, []byte("a")), frame(text, filled(100_001)), frame(text, []byte("z"))),
		"long lengths":     {text, 126, 0, 1, 'a', text, 127, 0, 0, 0, 0, 0, 0, 0, 1, 'b'},
		"no length":        {text, 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 'a'},
		"a huge length":    {text, 127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 'a'},
		"fragments":        slices.Concat(frame(opText, []byte("a")), frame(0, []byte("b")), frame(finBit, []byte("c")), frame(text, []byte("d"))),
		"fragments, pings": slices.Concat(frame(opText, []byte("a")), frame(0x89, []byte("p")), frame(finBit, []byte("c")), frame(text, []byte("d"))),
		"no end":           slices.Concat(frame(opText, []byte("a")), frame(text, []byte("d"))),
		"no beginning":     slices.Concat(frame(finBit, []byte("a")), frame(text, []byte("d"))),
		"empty fragments":  slices.Concat(frame(opBinary, nil), frame(0, nil), frame(finBit, nil), frame(bin, []byte("d"))),
		"pings":            slices.Concat(frame(0x89, []byte("p")), frame(text, []byte("a")), frame(0x8A, nil), frame(0x89, nil), frame(text, []byte("b"))),
		"a long ping":      slices.Concat(frame(text, []byte("a")), frame(0x89, filled(126)), frame(text, []byte("b"))),
		"a split ping":     slices.Concat(frame(text, []byte("a")), frame(0x09, nil), frame(text, []byte("b"))),
		"close":            slices.Concat(frame(text, []byte("a")), frame(0x88, []byte("\x03\xe9bye")), frame(text, []byte("late"))),
		"close, bare":      slices.Concat(frame(text, []byte("a")), frame(0x88, nil), frame(text, []byte("late"))),
		"close, bad":       slices.Concat(frame(text, []byte("a")), frame(0x88, []byte{3}), frame(text, []byte("late"))),
		"reserved bits":    slices.Concat(frame(text, []byte("a")), frame(text|0x20, []byte("b")), frame(text, []byte("c"))),
		"rsv1":             slices.Concat(frame(text, []byte("a")), frame(text|0x40, []byte{0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00}), frame(text, []byte("c"))),
		"opcodes":          slices.Concat(frame(text, []byte("a")), frame(0x83, []byte("b")), frame(text, []byte("c"))),
		"masked":           slices.Concat(frame(text, []byte("a")), masked, frame(text, []byte("c"))),
		"not UTF-8":        slices.Concat(frame(text, []byte{0xFF, 0xFE}), frame(text, []byte("c"))),
		"half a head":      slices.Concat(frame(text, []byte("a")), []byte{text, 126, 1}),
		"half a frame":     slices.Concat(frame(text, []byte("a")), frame(text, []byte("abc"))[:4]),
	}
}

func TestWhatTheIntakeTakesIsWhatTheLibraryWouldHaveDelivered(t *testing.T) {
	t.Parallel()
	for name, wire := range conversations() {
		for _, cuts := range [][]byte{nil, {0}, {1}, {2, 0, 5}, {255}, {100, 249, 3}} {
			for _, deflated := range []bool{false, true} {
				for _, end := range []error{io.EOF, errReset} {
					t.Run(fmt.Sprintf("%s %v %v %v", name, cuts, deflated, end), func(t *testing.T) {
						wantAsTheLibrary(t, wire, cuts, 100_000, deflated, end)
					})
				}
			}
		}
	}
	frames := wantAsTheLibrary(t, conversations()["fragments, pings"], nil, -1, false, io.EOF)
	if want := []string{"false ac", "false d"}; !slices.Equal(frames, want) {
		t.Errorf("got %q, want %q", frames, want)
	}
}

// FuzzIntake reads any bytes, cut anywhere, with the intake and with the library
// alone: the messages, their order, what is answered and the kind of error are the
// same.
func FuzzIntake(f *testing.F) {
	for _, wire := range conversations() {
		if len(wire) < 2000 {
			f.Add(wire, []byte{3, 1, 255}, uint16(100), true, true)
			f.Add(wire, []byte{}, uint16(0), false, false)
		}
	}
	f.Fuzz(func(t *testing.T, wire, cuts []byte, limit uint16, deflated, eof bool) {
		end := errReset
		if eof {
			end = io.EOF
		}
		wantAsTheLibrary(t, wire, cuts, int64(limit)-1, deflated, end)
	})
}

// Random conversations of whole frames reach deeper than random bytes.
func TestRandomFramesComeOutAsFromTheLibrary(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		firsts := []byte{0x81, 0x81, 0x81, 0x82, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A}
		if rnd.IntN(4) == 0 {
			firsts = append(firsts, 0x88, 0xC1, 0x91, 0x85)
		}
		var wire []byte
		for range 1 + rnd.IntN(60) {
			size := rnd.IntN(130)
			if rnd.IntN(5) == 0 {
				size = rnd.IntN(3 * maxIntake)
			}
			first := firsts[rnd.IntN(len(firsts))]
			if first >= 0x88 {
				size = min(size, 125)
			}
			wire = append(wire, frame(first, pattern(size))...)
		}
		wire = wire[:len(wire)-rnd.IntN(3)*rnd.IntN(1+min(10, len(wire)))]
		cuts := make([]byte, rnd.IntN(40))
		for i := range cuts {
			cuts[i] = byte(rnd.UintN(256))
			if rnd.IntN(3) == 0 {
				cuts[i] = 255
			}
		}
		wantAsTheLibrary(t, wire, cuts, int64(rnd.IntN(3*maxIntake)), rnd.IntN(2) == 0, errReset)
	}
}

func TestTheBufferOfTheIntakeGrowsInABurstAndIsGivenBack(t *testing.T) {
	t.Parallel()
	burst := bytes.Repeat(frame(finBit|opText, filled(100)), 10_000)
	calm := bytes.Repeat(frame(finBit|opText, filled(100)), 10)
	body := &cutBody{rest: burst, end: errReset}
	in := &intake{source: body}
	for range 10_000 {
		if frames, err := in.next(nil, -1, 1); len(frames) != 1 || err != nil {
			t.Fatal(frames, err)
		}
	}
	if len(in.buf) != maxIntake {
		t.Errorf("in a burst the buffer has %d bytes", len(in.buf))
	}
	body.rest, body.cuts = calm, []byte{101}
	for range 10 {
		if frames, err := in.next(nil, -1, 1); len(frames) != 1 || err != nil {
			t.Fatal(frames, err)
		}
	}
	if len(in.buf) != minIntake {
		t.Errorf("after it the buffer has %d bytes", len(in.buf))
	}
}

// Close has the library read on a goroutine of its own. It must not touch the
// message that the reader still looks at.
func TestWhatTheReaderHoldsStaysWhileTheLibraryReads(t *testing.T) {
	t.Parallel()
	for name, next := range map[string][]byte{
		"small": frame(finBit|opText, filled(100)),
		"large": frame(finBit|opText, bytes.Repeat([]byte("y"), maxIntake-100)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := &intake{source: &cutBody{rest: slices.Concat(frame(finBit|opText, []byte("mine")), bytes.Repeat(next, 20)), end: io.EOF, cuts: []byte{200}}}
			held, err := in.next(nil, -1, 1)
			if len(held) != 1 || err != nil {
				t.Fatal(held, err)
			}
			if got, err := io.ReadAll(in); !errors.Is(err, errStreamEnded) || !bytes.Equal(got, bytes.Repeat(next, 20)) {
				t.Errorf("the library got %d bytes, %v", len(got), err)
			}
			if mine := string(held[0].Data); mine != "mine" {
				t.Errorf("the message has become %q", mine)
			}
		})
	}
}

func TestAReaderThatBringsNothingIsAnError(t *testing.T) {
	t.Parallel()
	in := &intake{source: &cutBody{}}
	if _, err := in.next(nil, -1, 1); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("next = %v", err)
	}
}

// Close waits for the server's close frame while the reader is in the network.
func TestCloseHandshakeBesideTheReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(1 << 16)
		c := dialBody(t, client, -1, false, false)
		ended := make(chan error, 1)
		go func() {
			_, err := c.ReadFrame()
			for err == nil {
				_, err = c.ReadFrame()
			}
			ended <- err
		}()
		synctest.Wait()
		go func() {
			head := make([]byte, 8) // the close frame with its mask and code
			if _, err := io.ReadFull(server, head); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			_, _ = server.Write(frame(finBit|opText, []byte("late")))
			_, _ = server.Write(frame(0x88, []byte{3, 0xE8}))
		}()
		start := time.Now()
		if err := c.Close(t.Context(), int(websocket.StatusNormalClosure), ""); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Close took %v", took)
		}
		if err := <-ended; err == nil {
			t.Error("the reader got no error")
		}
		_ = server.Close()
	})
}
