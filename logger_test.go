package phoenix_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestTheLogTellsStatesAndFailures(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		log := &harness.LogRecorder{}
		h.Srv.RefuseNext(1, 503, nil, "")
		s := h.Connected(&phoenix.SocketOptions{Logger: slog.New(log)})
		c := h.Joined(s, "room:1", nil)
		h.Srv.Conns()[0].SendRaw(phoenixtest.OpText, []byte(`"hunter2"`))
		synctest.Wait()
		c.Push(t.Context(), "crash", map[string]string{"secret": "hunter2"})
		time.Sleep(5 * time.Second)
		c.Leave(t.Context())
		s.Close()
		all := log.List()
		for _, line := range all {
			if strings.Contains(line, "hunter2") {
				t.Errorf("the log holds a payload: %s", line)
			}
		}
		var short []string
		for _, line := range all {
			line, _, _ = strings.Cut(line, " err=")
			short = append(short, line)
		}
		harness.WantItems(t, "the log", short,
			"INFO socket state=connecting attempt=1", "WARN socket state=waiting",
			"INFO socket state=connecting attempt=2", "INFO socket state=open attempt=2",
			"INFO channel topic=room:1 state=joining", "INFO channel topic=room:1 state=joined",
			"WARN input skipped",
			"WARN channel topic=room:1 state=errored",
			"INFO channel topic=room:1 state=joining", "INFO channel topic=room:1 state=joined",
			"INFO channel topic=room:1 state=leaving", "INFO channel topic=room:1 state=closed",
			"INFO socket state=closed",
		)
	})
}

func TestTheLogTellsTheFirstFrame(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		log := &harness.LogRecorder{Level: slog.LevelDebug}
		h.Connected(&phoenix.SocketOptions{Logger: slog.New(log)})
		var frames []string
		for _, line := range log.List() {
			if rest, ok := strings.CutPrefix(line, "DEBUG "); ok {
				what, _, _ := strings.Cut(rest, " ref=")
				frames = append(frames, what)
			}
		}
		harness.WantItems(t, "the frames in the log", frames, "frame out topic=phoenix event=heartbeat", "frame in topic=phoenix event=phx_reply")
	})
}

// A slowLogger takes its time.
type slowLogger struct {
	harness.LogRecorder
	slow atomic.Bool
}

func (l *slowLogger) Handle(context.Context, slog.Record) error {
	if l.slow.Load() {
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func (l *slowLogger) WithAttrs([]slog.Attr) slog.Handler { return l }

// The one who joins waits for the logger, but what is to be written does not.
func TestASlowLoggerHoldsUpNoJoin(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		log := &slowLogger{}
		s := h.Connected(&phoenix.SocketOptions{Logger: slog.New(log)})
		arrivals := h.Arrivals()
		log.slow.Store(true)
		h.Start = time.Now()
		h.Joined(s, "room:1", nil)
		if got := arrivals.List(); len(got) != 1 || got[0] != 0 {
			t.Errorf("joins arrived at %v, want 0 s", got)
		}
	})
}

func TestTheLogTellsFramesAtLevelDebug(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		log := &harness.LogRecorder{Level: slog.LevelDebug}
		c := h.Joined(h.Connected(&phoenix.SocketOptions{Logger: slog.New(log)}), "room:1", nil)
		synctest.Wait()
		before := len(log.List())
		c.Push(t.Context(), "echo", "hunter2")
		synctest.Wait()
		frames := log.List()[before:]
		if len(frames) != 2 {
			t.Errorf("a push and its reply make %d records: %q", len(frames), frames)
		}
		for _, line := range frames {
			if !strings.HasPrefix(line, "DEBUG ") || !strings.Contains(line, "room:1") || strings.Contains(line, "hunter2") {
				t.Errorf("the log has %q", line)
			}
		}
	})
}

// What happens to each channel because the connection ended is told by the
// socket, once.
func TestAReconnectOfManyChannelsLogsAFewLines(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		log := &harness.LogRecorder{}
		s := h.Connected(&phoenix.SocketOptions{Logger: slog.New(log)})
		for i := range 100 {
			h.Joined(s, fmt.Sprint("room:", i), nil)
		}
		synctest.Wait()
		joined := len(log.List())
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		harness.WantItems(t, "Reconnect logs", log.List()[joined:], "INFO socket state=connecting attempt=1", "INFO socket state=open attempt=1")
		// A channel's own trouble is still told, and a rejoin after it.
		c, _ := s.Lookup("room:1")
		told := len(log.List())
		_, _ = c.Push(t.Context(), "crash", nil)
		time.Sleep(5 * time.Second)
		harness.WantItems(t, "a crash logs", log.List()[told:],
			"WARN channel topic=room:1 state=errored err=phoenix: channel crashed on the server delay=1s",
			"INFO channel topic=room:1 state=joining", "INFO channel topic=room:1 state=joined")
	})
}

// Close is what the program wants, and no trouble, however many channels end.
func TestGivingUpIsLoggedAsAFailure(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		log := &harness.LogRecorder{Level: slog.LevelWarn}
		h.Srv.RefuseNext(1, 403, nil, "")
		s := h.Socket(&phoenix.SocketOptions{Logger: slog.New(log)})
		if err := s.Connect(t.Context()); err == nil {
			t.Error("Connect succeeded")
		}
		synctest.Wait()
		if lines := log.List(); len(lines) != 1 || !strings.HasPrefix(lines[0], "WARN socket state=disconnected err=") {
			t.Errorf("the log says %q, want one warning", lines)
		}
		s.Close()
		if lines := log.List(); len(lines) != 1 {
			t.Errorf("Close is logged as a failure: %q", lines)
		}
	})
}

func TestCloseLogsOneLineAndNoWarning(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		log := &harness.LogRecorder{Level: slog.LevelInfo}
		s := h.Connected(&phoenix.SocketOptions{Logger: slog.New(log)})
		for i := range 3 {
			h.Joined(s, fmt.Sprint("room:", i), nil)
		}
		// A channel that was never joined, and one whose join is under way.
		h.Channel(s, "room:new", nil)
		joining := h.Channel(s, "room:joining", nil)
		h.Srv.Conns()[0].Stall()
		go joining.Join(t.Context())
		synctest.Wait()
		told := len(log.List())
		s.Close()
		synctest.Wait()
		harness.WantItems(t, "Close logs", log.List()[told:], "INFO socket state=closed err=phoenix: socket closed")
	})
}

func TestLogLinesCarryTheEndpointWithoutItsQuery(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var out harness.Spill
		s, err := phoenix.NewSocket("ws://ann:hunter2@phoenix.test/socket?token=hunter2", &phoenix.SocketOptions{
			HTTPClient: h.Srv.HTTPClient(), Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Joined(s, "room:1", nil)
		for line := range strings.Lines(out.Text()) {
			if !strings.Contains(line, " endpoint=ws://phoenix.test/socket ") || strings.Contains(line, "hunter2") {
				t.Errorf("the log has %q", line)
			}
		}
	})
}

func TestFallbackLogsEachFailureOnce(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		log := &harness.LogRecorder{}
		h.Srv.Down()
		s := h.WithFallback(&phoenix.SocketOptions{Logger: slog.New(log)})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := s.Connect(ctx); err == nil {
			t.Fatal("Connect succeeded")
		}
		failures := 0
		for _, line := range log.List() {
			failures += strings.Count(line, "WARN")
		}
		if failures != 1 {
			t.Errorf("one failed attempt makes %d warnings: %q", failures, log.List())
		}
	})
}

func TestWhatWaitsForAHookThatBlocksIsBoundedAndCounted(t *testing.T) {
	const pushes, limit = 10_000, 4096
	for name, size := range map[string]int{"in number": 10, "in bytes": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, h *harness.Harness) {
				reply := phoenixtest.OK(phoenixtest.JSON(`"` + strings.Repeat("x", size) + `"`))
				h.Srv.Handle("big", phoenixtest.Channel{Events: phoenixtest.Events{
					"get": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
						return reply
					},
				}})
				n := pushes
				if size > 1000 {
					n = 70 // of which 64 MiB wait
				}
				var told atomic.Int64
				release := make(chan struct{})
				log := &harness.LogRecorder{}
				s := h.Connected(&phoenix.SocketOptions{
					Logger: slog.New(log),
					Trace: &phoenix.Trace{PushDone: func(context.Context, phoenix.PushDoneInfo) {
						<-release
						told.Add(1)
					}},
				})
				c := h.Joined(s, "big", nil)
				start := h.Now()
				var last *phoenix.Push
				for range n {
					last = c.PushAsync(t.Context(), "get", nil)
					if size > 1000 {
						_, _ = last.Wait(t.Context())
					}
				}
				if _, err := last.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				// The hook stalls the reader once, and not for each push.
				if took := h.Now() - start; took > 100*time.Millisecond {
					t.Errorf("the pushes took %v", took)
				}
				synctest.Wait()
				untold := s.Stats().Untold
				if size < 1000 && untold != pushes-limit && untold != pushes-limit+1 {
					t.Errorf("%d are not told, want %d", untold, pushes-limit)
				}
				if size > 1000 && (untold < 70-64 || untold > 70-62) {
					t.Errorf("%d are not told, want 7", untold)
				}
				close(release)
				synctest.Wait()
				if got := told.Load(); got != int64(n)-int64(untold) {
					t.Errorf("%d are told, %d are not, want %d together", got, untold, n)
				}
				all := log.List()
				want := "WARN calls of Trace hooks and log records were not told: a hook, or the logger, was too slow untold=" +
					strconv.Itoa(int(untold))
				if got := all[len(all)-1]; got != want {
					t.Errorf("the log ends with %q, want %q", got, want)
				}
				// What comes after that is told again.
				if _, err := c.Push(t.Context(), "get", nil); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if got := told.Load(); got != int64(n)-int64(untold)+1 {
					t.Errorf("%d are told", got)
				}
			})
		})
	}
}
