package phoenix_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestTheLogTellsStatesAndFailures(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		log := &logRecorder{}
		h.srv.RefuseNext(1, 503, nil, "")
		s := h.connected(&phoenix.SocketOptions{Logger: slog.New(log)})
		c := h.joined(s, "room:1", nil)
		h.srv.Conns()[0].SendRaw(phoenixtest.OpText, []byte(`"hunter2"`))
		synctest.Wait()
		c.Push(t.Context(), "crash", map[string]string{"secret": "hunter2"})
		time.Sleep(5 * time.Second)
		c.Leave(t.Context())
		s.Close()
		all := log.list()
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
		wantItems(t, "the log", short,
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

func TestTheLogTellsFramesAtLevelDebug(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		log := &logRecorder{level: slog.LevelDebug}
		c := h.joined(h.connected(&phoenix.SocketOptions{Logger: slog.New(log)}), "room:1", nil)
		synctest.Wait()
		before := len(log.list())
		c.Push(t.Context(), "echo", "hunter2")
		synctest.Wait()
		frames := log.list()[before:]
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
	overBoth(t, nil, func(t *testing.T, h *harness) {
		log := &logRecorder{}
		s := h.connected(&phoenix.SocketOptions{Logger: slog.New(log)})
		for i := range 100 {
			h.joined(s, fmt.Sprint("room:", i), nil)
		}
		synctest.Wait()
		joined := len(log.list())
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		wantItems(t, "Reconnect logs", log.list()[joined:], "INFO socket state=connecting attempt=1", "INFO socket state=open attempt=1")
		// A channel's own trouble is still told, and a rejoin after it.
		c, _ := s.Lookup("room:1")
		told := len(log.list())
		_, _ = c.Push(t.Context(), "crash", nil)
		time.Sleep(5 * time.Second)
		wantItems(t, "a crash logs", log.list()[told:],
			"WARN channel topic=room:1 state=errored err=phoenix: channel crashed on the server delay=1s",
			"INFO channel topic=room:1 state=joining", "INFO channel topic=room:1 state=joined")
	})
}

// Close is what the program wants, and no trouble, however many channels end.
func TestGivingUpIsLoggedAsAFailure(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		log := &logRecorder{level: slog.LevelWarn}
		h.srv.RefuseNext(1, 403, nil, "")
		s := h.socket(&phoenix.SocketOptions{Logger: slog.New(log)})
		if err := s.Connect(t.Context()); err == nil {
			t.Error("Connect succeeded")
		}
		synctest.Wait()
		if lines := log.list(); len(lines) != 1 || !strings.HasPrefix(lines[0], "WARN socket state=disconnected err=") {
			t.Errorf("the log says %q, want one warning", lines)
		}
		s.Close()
		if lines := log.list(); len(lines) != 1 {
			t.Errorf("Close is logged as a failure: %q", lines)
		}
	})
}

func TestCloseLogsOneLineAndNoWarning(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		log := &logRecorder{level: slog.LevelInfo}
		s := h.connected(&phoenix.SocketOptions{Logger: slog.New(log)})
		for i := range 3 {
			h.joined(s, fmt.Sprint("room:", i), nil)
		}
		// A channel that was never joined, and one whose join is under way.
		h.channel(s, "room:new", nil)
		joining := h.channel(s, "room:joining", nil)
		h.srv.Conns()[0].Stall()
		go joining.Join(t.Context())
		synctest.Wait()
		told := len(log.list())
		s.Close()
		synctest.Wait()
		wantItems(t, "Close logs", log.list()[told:], "INFO socket state=closed err=phoenix: socket closed")
	})
}

func TestLogLinesCarryTheEndpointWithoutItsQuery(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		var out spill
		s, err := phoenix.NewSocket("ws://ann:hunter2@phoenix.test/socket?token=hunter2", &phoenix.SocketOptions{
			HTTPClient: h.srv.HTTPClient(), Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.joined(s, "room:1", nil)
		for line := range strings.Lines(out.text()) {
			if !strings.Contains(line, " endpoint=ws://phoenix.test/socket ") || strings.Contains(line, "hunter2") {
				t.Errorf("the log has %q", line)
			}
		}
	})
}

func TestFallbackLogsEachFailureOnce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		log := &logRecorder{}
		h.srv.Down()
		s := h.withFallback(&phoenix.SocketOptions{Logger: slog.New(log)})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := s.Connect(ctx); err == nil {
			t.Fatal("Connect succeeded")
		}
		failures := 0
		for _, line := range log.list() {
			failures += strings.Count(line, "WARN")
		}
		if failures != 1 {
			t.Errorf("one failed attempt makes %d warnings: %q", failures, log.list())
		}
	})
}
