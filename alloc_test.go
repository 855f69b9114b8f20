package phoenix_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// These tests count what the client allocates. The server is another process,
// a copy of this test binary, so that what it allocates does not count.

const serverProcess = "PHOENIX_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverProcess) != "" {
		serveProcess()
		return
	}
	os.Exit(m.Run())
}

// serveProcess is the server's process. It ends with its standard input.
func serveProcess() {
	srv, err := phoenixtest.Start(&phoenixtest.Options{Network: phoenixtest.TCP, FrameLog: -1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ch := harness.RoomChannel()
	ch.Events["flood"] = func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
		var order struct{ Count, Size int }
		if err := p.Decode(&order); err != nil {
			return phoenixtest.Error(err.Error())
		}
		payload := phoenixtest.JSON(`{"pad":"` + strings.Repeat("x", order.Size-10) + `"}`)
		for range order.Count {
			c.Broadcast("flood", payload)
		}
		return phoenixtest.OK(nil)
	}
	srv.Handle("room:*", ch)
	fmt.Println(srv.URL())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	_ = srv.Close()
}

// startServerProcess returns the URL of a server in a process of its own.
func startServerProcess(t *testing.T) string {
	t.Helper()
	if harness.RaceEnabled {
		t.Skip("the race detector allocates too")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverProcess+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("server process:", err)
		}
	})
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal("server process:", err)
	}
	return strings.TrimSpace(url)
}

// joinedOver connects a socket and joins room:1.
func joinedOver(t *testing.T, url string, transport phoenix.Transport) (*phoenix.Socket, *phoenix.Channel) {
	t.Helper()
	s, err := phoenix.NewSocket(url, &phoenix.SocketOptions{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := s.Channel("room:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// allocated returns how many allocations f makes, and of how many bytes.
func allocated(f func()) (times, bytes uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc
}

// That is the reply, its response, and with PushAsync the Push and a share of the
// buffers that a full window needs.
func TestAPushAllocatesNothingButItsOutcome(t *testing.T) {
	_, c := joinedOver(t, startServerProcess(t), nil)
	ctx := context.Background() // to watch one that can end is an allocation of its own
	for _, size := range []int{20, 1000} {
		var payload any = json.RawMessage(`"` + strings.Repeat("x", size) + `"`)
		push := func() {
			if _, err := c.Push(ctx, "echo", payload); err != nil {
				t.Fatal(err)
			}
		}
		if got := testing.AllocsPerRun(2000, push); got > 2 {
			t.Errorf("a push of %d bytes allocates %v times, want at most 2", size, got)
		}
		var window [64]*phoenix.Push
		window64 := func() {
			for i := range window {
				window[i] = c.PushAsync(ctx, "echo", payload)
			}
			for _, p := range window {
				if _, err := p.Wait(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := testing.AllocsPerRun(100, window64) / float64(len(window)); got > 4 {
			t.Errorf("one of %d pushes at a time of %d bytes allocates %.1f times, want at most 4", len(window), size, got)
		}
	}
}

func TestAReceivedBroadcastHardlyAllocates(t *testing.T) {
	_, c := joinedOver(t, startServerProcess(t), nil)
	sub := c.Subscribe(&phoenix.SubscribeOptions{Limit: -1, Events: []string{"flood"}})
	const count = 20_000
	receive := func(size int) func() {
		return func() {
			p := c.PushAsync(t.Context(), "flood", json.RawMessage(fmt.Sprintf(`{"Count":%d,"Size":%d}`, count, size)))
			for range count {
				if m, err := sub.Next(t.Context()); err != nil || len(m.Payload.Bytes()) != size {
					t.Fatalf("Next = %v, %v", m, err)
				}
			}
			if _, err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for size, limit := range map[int]float64{100: 0.1, 2048: 0.3} {
		receive(size)() // warm
		times, _ := allocated(receive(size))
		if got := float64(times) / count; got > limit {
			t.Errorf("a broadcast of %d bytes allocates %.3f times, want at most %v", size, got, limit)
		}
	}
}

// What a joined socket that has done one push keeps, beyond what a connection of the
// WebSocket library does with a goroutine that reads from it.
func TestAnIdleSocketKeepsAtMostFourKBMoreThanTheLibrary(t *testing.T) {
	url := startServerProcess(t)
	joinedOver(t, url, nil)     // what a process needs once is not a socket's
	ctx := context.Background() // one that can end would cost memory for each connection
	library := kept(t, func() {
		ws, resp, err := websocket.Dial(t.Context(), url+"/websocket?vsn=2.0.0", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body != nil {
			resp.Body.Close()
		}
		t.Cleanup(func() { _ = ws.CloseNow() })
		if err := ws.Write(ctx, websocket.MessageText, []byte(`["1","1","room:1","phx_join",{}]`)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ws.Read(ctx); err != nil {
			t.Fatal(err)
		}
		go func() { _, _, _ = ws.Reader(ctx) }() // until the cleanup
	})
	ours := kept(t, func() {
		_, c := joinedOver(t, url, nil)
		if _, err := c.Push(t.Context(), "echo", json.RawMessage("{}")); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("ours: %+v, the library's: %+v", ours, library)
	if more := ours.heap - library.heap; more > 4_000 {
		t.Errorf("an idle socket keeps %d bytes in the heap, %d more than the library alone, want at most 4000", ours.heap, more)
	}
	if more := ours.stack - library.stack; more > 1_000 {
		t.Errorf("an idle socket keeps %d bytes of stack, %d more than the library alone, want at most 1000", ours.stack, more)
	}
}

type memory struct{ heap, stack int }

// kept returns how many bytes are in use after open, for each time that it is called.
func kept(t *testing.T, open func()) memory {
	t.Helper()
	const times = 300
	inUse := func() (heap, stack int64) {
		var m runtime.MemStats
		// Finalizers run after a collection, and what they let go is free after the next.
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc), int64(m.StackInuse)
	}
	goroutines := runtime.NumGoroutine()
	heap, stack := inUse()
	for range times {
		open()
	}
	for start := time.Now(); time.Since(start) < 5*time.Second && runtime.NumGoroutine()-goroutines > times; {
		runtime.Gosched()
	}
	heapAfter, stackAfter := inUse()
	return memory{heap: int(heapAfter-heap) / times, stack: int(stackAfter-stack) / times}
}

func TestAnIdleSocketHasAtMostTwoGoroutines(t *testing.T) {
	wantIdleGoroutines(t, phoenix.WebSocket(nil), 100, 2)
}

// One reads, one makes the request that waits, and net/http has two for each of two
// connections.
func TestAnIdleLongPollHasAtMostSixGoroutines(t *testing.T) {
	wantIdleGoroutines(t, phoenix.LongPoll(nil), 20, 6)
}

func wantIdleGoroutines(t *testing.T, transport phoenix.Transport, sockets, most int) {
	t.Helper()
	url := startServerProcess(t)
	before := runtime.NumGoroutine()
	var all []*phoenix.Socket
	for range sockets {
		s, c := joinedOver(t, url, transport)
		c.On("e", func(*phoenix.Message) {})
		c.Subscribe(nil)
		p := phoenix.NewPresence[person](c, &phoenix.PresenceOptions{StateEvent: "shout"})
		p.OnJoin(func(phoenix.PresenceChange[person]) {})
		p.Changes(t.Context())
		if _, err := c.Push(t.Context(), "shout", json.RawMessage(onlyU1)); err != nil {
			t.Fatal(err)
		}
		if err := p.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	// A goroutine that has done its work may need a moment to be gone.
	for start := time.Now(); time.Since(start) < 5*time.Second && runtime.NumGoroutine()-before > most*sockets; {
		runtime.Gosched()
	}
	if got := runtime.NumGoroutine() - before; got > most*sockets {
		t.Errorf("%d goroutines for %d idle sockets, want at most %d each", got, sockets, most)
	} else {
		t.Logf("%d goroutines for %d idle sockets", got, sockets)
	}
	for _, s := range all {
		s.Close()
		<-s.Done()
	}
}
