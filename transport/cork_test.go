//go:build !js

package transport

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/internal/memnet"
)

// A countingConn counts the writes that reach the network.
type countingConn struct {
	net.Conn
	mu     sync.Mutex
	writes []int
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes = append(c.writes, n)
	return n, err
}

func (c *countingConn) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.writes)
}

// newCork makes an armed corkConn over a network that holds buffer bytes.
func newCork(t *testing.T, buffer int) (cork *corkConn, network *countingConn, peer *memnet.Conn) {
	t.Helper()
	client, server := memnet.Pipe(buffer)
	network = &countingConn{Conn: client}
	cork = newCorkConn(network)
	cork.arm()
	t.Cleanup(func() {
		cork.cut()
		server.Close()
	})
	return cork, network, server
}

// pattern returns n bytes of which no two stretches are alike.
func pattern(n int) []byte {
	rnd := rand.New(rand.NewPCG(15, 16))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func mustRead(t *testing.T, r net.Conn, want []byte) {
	t.Helper()
	r.SetReadDeadline(time.Now().Add(time.Hour))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatalf("the peer read: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the peer got other bytes than were written")
	}
}

func TestCorkUntilArmedWritesGoStraightThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(0)
		defer server.Close()
		cork := newCorkConn(client)
		defer cork.cut()
		if n, err := cork.Write([]byte("hello")); n != 5 || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
		mustRead(t, server, []byte("hello"))
		if appended, flushed := cork.progress(); appended != 0 || flushed != 0 {
			t.Errorf("progress = %d, %d before it was armed", appended, flushed)
		}
	})
}

func TestCorkMakesOneWriteOfABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cork, network, peer := newCork(t, 0)
		data := pattern(10_000)
		for round := range 3 {
			cork.cork()
			for i := 0; i < len(data); i += 100 {
				if n, err := cork.Write(data[i : i+100]); n != 100 || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			if network.count() != round {
				t.Fatal("something was written before the end of the batch")
			}
			if done, err := cork.uncork(time.Now().Add(time.Second)); !done || err != nil {
				t.Fatalf("uncork = %v, %v", done, err)
			}
			if got := network.count(); got != round+1 {
				t.Errorf("%d writes, want %d", got, round+1)
			}
			mustRead(t, peer, data)
		}
	})
}

func TestCorkResumesAPartialWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cork, _, peer := newCork(t, 1000)
		start := time.Now()
		data := pattern(5000)
		cork.cork()
		cork.Write(data)
		if done, err := cork.uncork(start.Add(time.Millisecond)); done || err != nil {
			t.Fatalf("uncork = %v, %v, want neither done nor an error", done, err)
		}
		if took := time.Since(start); took != time.Millisecond {
			t.Errorf("it took %v, want 1 ms", took)
		}
		if appended, flushed := cork.progress(); appended != 5000 || flushed != 1000 {
			t.Errorf("progress = %d, %d, want 5000, 1000", appended, flushed)
		}
		// More comes, and the peer reads again.
		more := pattern(300)
		cork.cork()
		cork.Write(more)
		go func() {
			if done, err := cork.uncork(time.Now().Add(time.Second)); !done || err != nil {
				t.Errorf("uncork = %v, %v", done, err)
			}
		}()
		mustRead(t, peer, append(bytes.Clone(data), more...))
		synctest.Wait()
		if appended, flushed := cork.progress(); appended != 5300 || flushed != 5300 {
			t.Errorf("progress = %d, %d, want 5300 both", appended, flushed)
		}
	})
}

func TestCorkNeitherLosesNorReordersBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cork, _, peer := newCork(t, 700)
		rnd := rand.New(rand.NewPCG(17, 18))
		data := pattern(200_000)
		go func() {
			for rest := data; len(rest) > 0; {
				n := min(1+rnd.IntN(3000), len(rest))
				if rnd.IntN(4) > 0 {
					cork.cork()
				}
				if _, err := cork.Write(rest[:n]); err != nil {
					t.Errorf("Write: %v", err)
					return
				}
				rest = rest[n:]
				for done := false; !done; {
					var err error
					done, err = cork.uncork(time.Now().Add(time.Duration(rnd.IntN(3)) * time.Millisecond))
					if err != nil {
						t.Errorf("uncork: %v", err)
						return
					}
				}
			}
		}()
		got := make([]byte, 0, len(data))
		buf := make([]byte, 500)
		for len(got) < len(data) {
			time.Sleep(time.Millisecond)
			n, err := peer.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, data) {
			t.Error("the peer got other bytes than were written")
		}
	})
}

func TestCorkControlFramesDoNotWaitForAStuckBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cork, _, peer := newCork(t, 1000)
		start := time.Now()
		// Larger than what may pile up of control frames alone.
		data := pattern(2 * controlBacklog)
		go func() {
			cork.cork()
			cork.Write(data)
			if done, err := cork.uncork(start.Add(10 * time.Second)); !done || err != nil {
				t.Errorf("uncork = %v, %v", done, err)
			}
		}()
		time.Sleep(time.Second)
		if n, err := cork.Write([]byte("pong")); n != 4 || err != nil {
			t.Errorf("a control frame while a batch is stuck: %d, %v", n, err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("the control frame waited %v", got-time.Second)
		}
		mustRead(t, peer, append(bytes.Clone(data), "pong"...))
		synctest.Wait()
	})
}

func TestCorkControlFrameIsFinishedInTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cork, _, peer := newCork(t, 10)
		start := time.Now()
		frame := pattern(100)
		if n, err := cork.Write(frame); n != 100 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
		if took := time.Since(start); took != softWriteTime {
			t.Errorf("it took %v, want %v", took, softWriteTime)
		}
		time.Sleep(controlWriteTime / 2)
		mustRead(t, peer, frame)
	})
}

func TestCorkControlFramesOfADeafPeerAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cork, _, _ := newCork(t, 10)
		total := 0
		var err error
		for err == nil && total < 10*controlBacklog {
			var n int
			n, err = cork.Write(make([]byte, 125))
			total += n
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || total > controlBacklog+1000 {
			t.Errorf("%d bytes of control frames were taken, then %v", total, err)
		}
		time.Sleep(2 * controlWriteTime)
		if _, err := cork.uncork(time.Now().Add(time.Second)); err == nil {
			t.Error("a peer that is deaf for so long is no error")
		}
	})
}

func TestCorkCloseSendsWhatIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cork, _, peer := newCork(t, 1000)
		data := pattern(1200)
		cork.cork()
		cork.Write(data)
		cork.uncork(time.Now().Add(time.Millisecond))
		go func() {
			time.Sleep(farewellTime / 2)
			got, err := io.ReadAll(peer)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("the peer read %d bytes, %v; want all %d and EOF", len(got), err, len(data))
			}
		}()
		if err := cork.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		synctest.Wait()
	})
}

func TestCorkCloseDoesNotWaitForADeafPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cork, _, _ := newCork(t, 10)
		start := time.Now()
		cork.cork()
		cork.Write(pattern(100))
		cork.uncork(start.Add(time.Millisecond))
		cork.Close()
		if took := time.Since(start); took != farewellTime+time.Millisecond {
			t.Errorf("Close took until %v", took)
		}
		if _, err := cork.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
		start = time.Now()
		if done, err := cork.uncork(start.Add(time.Hour)); done || !errors.Is(err, net.ErrClosed) || time.Since(start) != 0 {
			t.Errorf("uncork after Close: %v, %v, after %v", done, err, time.Since(start))
		}
	})
}

func TestCorkCutEndsAStuckWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cork, _, _ := newCork(t, 10)
		start := time.Now()
		go func() {
			time.Sleep(time.Second)
			cork.cut()
		}()
		cork.cork()
		cork.Write(pattern(100))
		if done, err := cork.uncork(start.Add(time.Hour)); done || err == nil || time.Since(start) != time.Second {
			t.Errorf("uncork = %v, %v after %v", done, err, time.Since(start))
		}
	})
}
