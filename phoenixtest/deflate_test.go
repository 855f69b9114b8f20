package phoenixtest_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix/phoenixtest"
)

// offer asks for a WebSocket with an offer to compress, and returns the answer to
// the offer.
func offer(t *testing.T, s *phoenixtest.Server, extensions string) (net.Conn, *bufio.Reader, string) {
	t.Helper()
	nc, err := s.DialContext(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if extensions != "" {
		extensions = "Sec-WebSocket-Extensions: " + extensions + "\r\n"
	}
	io.WriteString(nc, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"+extensions+
		"Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	br := bufio.NewReaderSize(nc, 64<<10)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v, %v", res, err)
	}
	return nc, br, strings.Join(res.Header.Values("Sec-WebSocket-Extensions"), ", ")
}

func TestTheAnswerToAnOfferToCompress(t *testing.T) {
	const plain = "permessage-deflate"
	for _, test := range []struct{ offer, want string }{
		{"", ""},
		{plain, plain},
		{" permessage-deflate ; client_no_context_takeover", plain + ";client_no_context_takeover"},
		{
			"permessage-deflate; client_no_context_takeover; server_no_context_takeover",
			plain + ";server_no_context_takeover;client_no_context_takeover",
		},
		{"permessage-deflate; client_max_window_bits", plain + ";client_max_window_bits=15"},
		{"permessage-deflate; client_max_window_bits=9;server_max_window_bits=15", plain + ";server_max_window_bits=15;client_max_window_bits=9"},
		{"x-webkit-deflate-frame", ""},
		{"foo; bar, permessage-deflate", plain},
		{"permessage-deflate; server_max_window_bits=9", ""},
		{"permessage-deflate; server_max_window_bits=9, permessage-deflate", plain},
		{"permessage-deflate; server_max_window_bits", ""},
		{"permessage-deflate; client_max_window_bits=16", ""},
		{"permessage-deflate; client_max_window_bits=x", ""},
		{"permessage-deflate; server_no_context_takeover=1", ""},
		{"permessage-deflate; client_no_context_takeover; client_no_context_takeover", ""},
		{"permessage-deflate; level=9", ""},
	} {
		for _, compress := range []bool{true, false} {
			s := phoenixtest.NewServer(t, &phoenixtest.Options{Compress: compress})
			_, _, got := offer(t, s, test.offer)
			want := test.want
			if !compress {
				want = ""
			}
			if got != want {
				t.Errorf("Compress %v: %q is answered with %q, want %q", compress, test.offer, got, want)
			}
		}
	}
}

const zeroMask = "\x00\x00\x00\x00"

// A packer compresses messages as a client does.
type packer struct {
	takeover bool
	b        bytes.Buffer
	w        *flate.Writer
}

func (p *packer) pack(text string) string {
	if p.w == nil || !p.takeover {
		p.w, _ = flate.NewWriter(&p.b, 9)
	}
	p.b.Reset()
	io.WriteString(p.w, text)
	p.w.Flush()
	return strings.TrimSuffix(p.b.String(), "\x00\x00\xff\xff")
}

// shortFrame is a client's frame of less than 126 bytes.
func shortFrame(first byte, data string) string {
	return string([]byte{first, 0x80 | byte(len(data))}) + zeroMask + data
}

func TestCompressionBothWaysAsNegotiated(t *testing.T) {
	for _, params := range []string{"", ";server_no_context_takeover", ";client_no_context_takeover", ";server_no_context_takeover;client_no_context_takeover"} {
		synctest.Test(t, func(t *testing.T) {
			s := phoenixtest.NewServer(t, &phoenixtest.Options{Compress: true})
			nc, br, _ := offer(t, s, "permessage-deflate"+params)
			up := packer{takeover: !strings.Contains(params, "client_no")}
			var sizes []int
			var window string
			for i := range 4 {
				if i == 2 { // a message that is not compressed is no part of the context
					nc.Write(clientFrame(heartbeat))
				} else {
					z := up.pack(heartbeat)
					half := len(z) / 2
					io.WriteString(nc, shortFrame(0x41, z[:half])+shortFrame(0x89, "hi")+shortFrame(0x80, z[half:]))
					pong := make([]byte, 4)
					if _, err := io.ReadFull(br, pong); err != nil || string(pong) != "\x8a\x02hi" {
						t.Fatalf("pong % x, %v", pong, err)
					}
				}
				var head [2]byte
				io.ReadFull(br, head[:])
				if head[0] != 0xC1 {
					t.Fatalf("the answer begins with % x", head)
				}
				z := make([]byte, head[1])
				io.ReadFull(br, z)
				if strings.Contains(params, "server_no") {
					window = ""
				}
				r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(z), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")), []byte(window))
				got, err := io.ReadAll(r)
				if err != nil || string(got) != heartbeatReply {
					t.Fatalf("got %q, %v", got, err)
				}
				window += string(got)
				sizes = append(sizes, len(z))
			}
			if small := sizes[3] < sizes[0]/2; small == strings.Contains(params, "server_no") {
				t.Errorf("%q: answers of %d bytes", params, sizes)
			}
			for _, f := range s.Frames() {
				if f.Kind == phoenixtest.FrameSent && f.Opcode == phoenixtest.OpText && string(f.Data) != heartbeatReply {
					t.Errorf("the log has %q", string(f.Data))
				}
			}
		})
	}
}

func TestBadCompressedFramesCloseWithTheirCode(t *testing.T) {
	small := (&packer{}).pack(heartbeat)
	bomb := (&packer{}).pack(strings.Repeat(" ", 33_000))
	for name, test := range map[string]struct {
		offer, send string
		code        int
	}{
		"not negotiated":                 {"", shortFrame(0xC1, small), 1002},
		"a control frame":                {"permessage-deflate", shortFrame(0xC9, ""), 1002},
		"a continuation":                 {"permessage-deflate", shortFrame(0x41, small) + shortFrame(0xC0, ""), 1002},
		"another reserved bit":           {"permessage-deflate", shortFrame(0xE1, small), 1002},
		"garbage":                        {"permessage-deflate", shortFrame(0xC1, "\xff\xff\xff\xff"), 1007},
		"a bomb":                         {"permessage-deflate", shortFrame(0xC1, bomb), 1009},
		"text that is not UTF-8":         {"permessage-deflate", shortFrame(0xC1, (&packer{}).pack("\xff")), 1007},
		"an empty message, as no JSON":   {"permessage-deflate", shortFrame(0xC1, "\x00"), 1011},
		"an empty message in two frames": {"permessage-deflate", shortFrame(0x41, "") + shortFrame(0x80, "\x00"), 1011},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := phoenixtest.NewServer(t, &phoenixtest.Options{Compress: true})
				nc, br, _ := offer(t, s, test.offer)
				io.WriteString(nc, test.send)
				got, err := io.ReadAll(br)
				want := []byte{0x88, 2, byte(test.code >> 8), byte(test.code)}
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("got % x, %v, want % x", got, err, want)
				}
			})
		})
	}
}

func TestMaxFrameSizeBoundsWhatAMessageInflatesTo(t *testing.T) {
	text := heartbeat + strings.Repeat(" ", 200)
	for size, fits := range map[int]bool{-1: true, len(text): true, len(text) - 1: false} {
		synctest.Test(t, func(t *testing.T) {
			s := phoenixtest.NewServer(t, &phoenixtest.Options{Compress: true, MaxFrameSize: size})
			nc, br, _ := offer(t, s, "permessage-deflate")
			io.WriteString(nc, shortFrame(0xC1, (&packer{}).pack(text)))
			first, err := br.ReadByte()
			if err != nil || (first == 0xC1) != fits {
				t.Errorf("MaxFrameSize %d: the answer begins with %x, %v", size, first, err)
			}
		})
	}
}
