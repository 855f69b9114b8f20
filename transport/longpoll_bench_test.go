package transport_test

import (
	"testing"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// BenchmarkPush compares the transports, over TCP: a push and its reply, one at a
// time and in batches.
func BenchmarkPush(b *testing.B) {
	for _, transport := range []struct {
		name string
		phoenix.Transport
	}{{"websocket", phoenix.WebSocket(nil)}, {"longpoll", phoenix.LongPoll(nil)}} {
		for _, flight := range []struct {
			name string
			size int
		}{{"one", 1}, {"64", 64}} {
			b.Run(transport.name+"/"+flight.name, func(b *testing.B) {
				srv := phoenixtest.NewServer(b, &phoenixtest.Options{Network: phoenixtest.TCP, FrameLog: -1})
				srv.Handle("room:*", harness.RoomChannel())
				s, err := phoenix.NewSocket(srv.URL(), &phoenix.SocketOptions{Transport: transport.Transport})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				if err := s.Connect(b.Context()); err != nil {
					b.Fatal(err)
				}
				c, err := s.Channel("room:1", nil)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.Join(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				b.ResetTimer()
				pushes := make([]*phoenix.Push, 0, flight.size)
				for n := 0; n < b.N; n += len(pushes) {
					pushes = pushes[:0]
					for range min(flight.size, b.N-n) {
						pushes = append(pushes, c.PushAsync(b.Context(), "echo", n))
					}
					for _, p := range pushes {
						if _, err := p.Wait(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}
