package memnet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/internal/memnet"
)

// bubble runs fn with the two ends of a connection.
func bubble(t *testing.T, buffer int, fn func(t *testing.T, a, b *memnet.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(buffer)
		defer a.Close()
		defer b.Close()
		fn(t, a, b)
	})
}

func TestBytesArriveInOrder(t *testing.T) {
	for _, buffer := range []int{0, 1, 7, 512, 1000} {
		bubble(t, buffer, func(t *testing.T, a, b *memnet.Conn) {
			rng := rand.New(rand.NewPCG(1, 2))
			sent := sha256.New()
			go func() {
				for range 100 {
					p := make([]byte, rng.IntN(1500))
					for i := range p {
						p[i] = byte(rng.Uint32())
					}
					sent.Write(p)
					if n, err := a.Write(p); n != len(p) || err != nil {
						t.Errorf("wrote %d of %d: %v", n, len(p), err)
					}
				}
				a.CloseWrite()
			}()
			got := sha256.New()
			if _, err := io.CopyBuffer(got, struct{ io.Reader }{b}, make([]byte, 777)); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
				t.Errorf("buffer %d: what arrived is not what was sent", buffer)
			}
		})
	}
}

func TestWriteWaitsForRoom(t *testing.T) {
	bubble(t, 10, func(t *testing.T, a, b *memnet.Conn) {
		a.SetWriteDeadline(time.Now().Add(time.Second))
		start := time.Now()
		n, err := a.Write(make([]byte, 25))
		if n != 10 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Fatalf("wrote %d, %v after %v", n, err, time.Since(start))
		}
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("no timeout: %v", err)
		}
		if n, err := a.Write(nil); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d, %v after the deadline", n, err)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		go io.CopyN(io.Discard, b, 17)
		if n, err := a.Write(make([]byte, 25)); n != 17 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d, %v", n, err)
		}
		a.SetWriteDeadline(time.Time{})
		go io.CopyN(io.Discard, b, 35)
		if n, err := a.Write(make([]byte, 25)); n != 25 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
	})
}

func TestReadDeadline(t *testing.T) {
	bubble(t, 0, func(t *testing.T, a, b *memnet.Conn) {
		start := time.Now()
		b.SetReadDeadline(start.Add(time.Minute))
		// A deadline that is moved while a read waits counts.
		time.AfterFunc(time.Second, func() { b.SetReadDeadline(start.Add(2 * time.Second)) })
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// One that has passed wins over data, as with sockets.
		a.Write([]byte("x"))
		if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %d, %v", n, err)
		}
		b.SetDeadline(time.Time{})
		if n, err := b.Read(make([]byte, 9)); n != 1 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		// One that is set in the past interrupts.
		time.AfterFunc(time.Second, func() { b.SetDeadline(time.Now().Add(-time.Hour)) })
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		// One that is taken back does not.
		b.SetReadDeadline(time.Now().Add(time.Second))
		time.AfterFunc(500*time.Millisecond, func() { b.SetReadDeadline(time.Time{}) })
		time.AfterFunc(time.Hour, func() { a.Write([]byte("y")) })
		if n, err := b.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
	})
}

func TestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end                                func(a, b *memnet.Conn)
		readA, writeA, readB, writeB, read error
	}{
		"close":       {func(a, _ *memnet.Conn) { a.Close() }, net.ErrClosed, net.ErrClosed, io.EOF, syscall.EPIPE, nil},
		"close both":  {func(a, b *memnet.Conn) { a.Close(); b.Close() }, net.ErrClosed, net.ErrClosed, net.ErrClosed, net.ErrClosed, nil},
		"close write": {func(a, _ *memnet.Conn) { a.CloseWrite() }, nil, net.ErrClosed, io.EOF, nil, nil},
		"cut":         {func(a, _ *memnet.Conn) { a.Cut() }, syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET, nil},
		"cut, close":  {func(a, _ *memnet.Conn) { a.Cut(); a.Close() }, net.ErrClosed, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNRESET, nil},
	} {
		for _, waiting := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				bubble(t, 4, func(t *testing.T, a, b *memnet.Conn) {
					ops := map[string]func() error{
						"read a":  func() error { _, err := a.Read(make([]byte, 1)); return err },
						"write a": func() error { _, err := a.Write(make([]byte, 9)); return err },
						"read b":  func() error { _, err := b.Read(make([]byte, 1)); return err },
						"write b": func() error { _, err := b.Write(make([]byte, 9)); return err },
					}
					want := map[string]error{"read a": test.readA, "write a": test.writeA, "read b": test.readB, "write b": test.writeB}
					if !waiting {
						test.end(a, b)
					}
					var wg sync.WaitGroup
					for op, do := range ops {
						if want[op] == nil || waiting && op == "read b" {
							continue // it would go on, or get what is written
						}
						wg.Go(func() {
							if waiting && op == "read a" {
								// What b writes is in its way.
								if _, err := io.Copy(io.Discard, a); !errors.Is(err, want[op]) {
									t.Errorf("%s: got %v, want %v", op, err, want[op])
								}
								return
							}
							if err := do(); !errors.Is(err, want[op]) && (!waiting || err != nil) {
								t.Errorf("%s: got %v, want %v", op, err, want[op])
							}
						})
					}
					if waiting {
						synctest.Wait()
						test.end(a, b)
					}
					wg.Wait()
				})
			})
		}
	}
}

func TestCloseKeepsWhatWasWritten(t *testing.T) {
	bubble(t, 0, func(t *testing.T, a, b *memnet.Conn) {
		a.Write([]byte("last words"))
		a.Close()
		got, err := io.ReadAll(b)
		if string(got) != "last words" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestConcurrentReadersAndWriters(t *testing.T) {
	bubble(t, 3, func(t *testing.T, a, b *memnet.Conn) {
		const writers, each = 10, 100
		var wg, readers sync.WaitGroup
		var mu sync.Mutex
		total := 0
		for range writers {
			wg.Go(func() {
				a.SetWriteDeadline(time.Now().Add(time.Hour))
				for range each {
					a.Write([]byte("abcde"))
				}
			})
			readers.Go(func() {
				for {
					n, err := b.Read(make([]byte, 2))
					mu.Lock()
					total += n
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		a.Close()
		readers.Wait()
		if total != writers*each*5 {
			t.Errorf("read %d bytes", total)
		}
	})
}

func TestDeadlineOfTheSecondReader(t *testing.T) {
	bubble(t, 0, func(t *testing.T, a, b *memnet.Conn) {
		first := make(chan error, 1)
		go func() {
			_, err := b.Read(make([]byte, 1))
			first <- err
		}()
		synctest.Wait()
		b.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if err := <-first; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		l := memnet.Listen("here", 0)
		if l.Addr().String() != "here" || l.Addr().Network() != "mem" {
			t.Errorf("address %v", l.Addr())
		}
		// As many dials succeed as there are, before anybody accepts.
		for range 3 {
			c, err := l.DialContext(ctx, "tcp", "anywhere:1")
			if err != nil {
				t.Fatal(err)
			}
			go c.Write([]byte(c.LocalAddr().String()))
		}
		for _, want := range []string{"client:1", "client:2", "client:3"} {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 8)
			io.ReadFull(c, got)
			if string(got) != want || c.RemoteAddr().String() != want || c.LocalAddr() != l.Addr() {
				t.Errorf("got %q from %v, want %q", got, c.RemoteAddr(), want)
			}
			c.Close()
		}
		why := errors.New("why")
		pending, err := l.DialContext(ctx, "", "")
		if err != nil {
			t.Fatal(err)
		}
		l.Refuse(why)
		if _, err := pending.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a connection that nobody has accepted: %v", err)
		}
		if _, err := l.DialContext(ctx, "", ""); !errors.Is(err, why) {
			t.Error(err)
		}
		l.Refuse(nil)

		l.Hang(true)
		l.Hang(true)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := l.DialContext(short, "", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := l.DialContext(short, "", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.AfterFunc(time.Second, func() { l.Hang(false) })
		if _, err := l.DialContext(ctx, "", ""); err != nil {
			t.Error(err)
		}

		l.Hang(true)
		results := make(chan error, 2)
		go func() { _, err := l.DialContext(ctx, "", ""); results <- err }()
		synctest.Wait()
		go func() {
			l.Accept()
			_, err := l.Accept()
			results <- err
		}()
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-results; !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := l.DialContext(ctx, "", ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
	})
}

func TestHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen("server", 100)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Write(body)
		})}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		tr := &http.Transport{DialContext: l.DialContext}
		want := bytes.Repeat([]byte("0123456789"), 1000)
		res, err := (&http.Client{Transport: tr}).Post("http://x/", "text/plain", bytes.NewReader(want))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if !bytes.Equal(got, want) {
			t.Errorf("got %d bytes", len(got))
		}
		tr.CloseIdleConnections()
		srv.Close()
		<-served
	})
}

func BenchmarkPipe(b *testing.B) {
	a, c := memnet.Pipe(0)
	go io.Copy(io.Discard, c)
	p := make([]byte, 256)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		a.Write(p)
	}
	a.Close()
}
