package phoenixtest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/phxgo/phoenix/phoenixtest"
)

// The client of these benchmarks does next to nothing, so that the figures are
// the server's: frames are prepared, and answers are counted, not parsed.

func benchServer(b *testing.B, network phoenixtest.Network) *phoenixtest.Server {
	s := phoenixtest.NewServer(b, &phoenixtest.Options{Network: network, FrameLog: -1})
	s.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{
		"echo": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.OK(p) },
	}})
	return s
}

// rawDial upgrades by hand and joins room:a.
func rawDial(b testing.TB, s *phoenixtest.Server) (net.Conn, *bufio.Reader) {
	b.Helper()
	nc, err := s.DialContext(context.Background(), "tcp", "")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	io.WriteString(nc, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"+
		"Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	br := bufio.NewReaderSize(nc, 64<<10)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		b.Fatalf("upgrade: %v, %v", res, err)
	}
	nc.Write(clientFrame(`["1","1","room:a","phx_join",{}]`))
	if err := skipFrames(br, 1); err != nil {
		b.Fatal(err)
	}
	return nc, br
}

// clientFrame is a text frame masked with zeros.
func clientFrame(text string) []byte {
	f := []byte{0x81, 0x80 | byte(len(text))}
	if len(text) > 125 {
		f = binary.BigEndian.AppendUint16([]byte{0x81, 0x80 | 126}, uint16(len(text)))
	}
	return append(append(f, 0, 0, 0, 0), text...)
}

func skipFrames(br *bufio.Reader, n int) error {
	for range n {
		h, err := br.Peek(2)
		if err != nil {
			return err
		}
		size := 2 + int(h[1])
		if h[1] == 126 {
			if h, err = br.Peek(4); err != nil {
				return err
			}
			size = 4 + int(binary.BigEndian.Uint16(h[2:]))
		}
		if _, err := br.Discard(size); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkPipelinedReplies(b *testing.B) {
	for name, network := range map[string]phoenixtest.Network{"tcp": phoenixtest.TCP, "memory": phoenixtest.InMemory} {
		for _, size := range []int{32, 2048} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				nc, br := rawDial(b, benchServer(b, network))
				const batch = 64
				frames := bytes.Repeat(clientFrame(`["1","2","room:a","echo",{"s":"`+strings.Repeat("x", size)+`"}]`), batch)
				b.ReportAllocs()
				b.ResetTimer()
				go func() {
					for i := 0; i < b.N; i += batch {
						if _, err := nc.Write(frames); err != nil {
							return
						}
					}
				}()
				if err := skipFrames(br, b.N); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "replies/s")
			})
		}
	}
}

func BenchmarkOneAtATime(b *testing.B) {
	nc, br := rawDial(b, benchServer(b, phoenixtest.TCP))
	frame := clientFrame(`["1","2","room:a","echo",{"s":"x"}]`)
	b.ReportAllocs()
	for b.Loop() {
		nc.Write(frame)
		if err := skipFrames(br, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBroadcastTo1000(b *testing.B) {
	const conns = 1000
	s := benchServer(b, phoenixtest.TCP)
	var received atomic.Int64
	done := make(chan struct{}, 1)
	var goal atomic.Int64
	for range conns {
		_, br := rawDial(b, s)
		go func() {
			for skipFrames(br, 1) == nil {
				if received.Add(1) == goal.Load() {
					done <- struct{}{}
				}
			}
		}()
	}
	payload := map[string]string{"body": strings.Repeat("x", 64)}
	b.ReportAllocs()
	b.ResetTimer()
	const burst = 10
	sent := 0
	for sent < b.N {
		n := min(burst, b.N-sent)
		sent += n
		goal.Store(int64(sent) * conns)
		for range n {
			s.Broadcast("room:a", "tick", payload)
		}
		<-done
	}
	b.ReportMetric(float64(b.N*conns)/b.Elapsed().Seconds(), "deliveries/s")
}
