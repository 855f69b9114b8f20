package phoenix_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
)

func TestSocketEventsTellEachStepInOrder(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.socket(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Second, 2*time.Second)})
		events := h.watchSocket(s)
		h.srv.RefuseNext(1, 503, nil, "")
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.at(1 * time.Second)
		h.until(20 * time.Second)
		h.srv.RefuseNext(1, 403, nil, "")
		h.conn().Close(1012, "deploy")
		synctest.Wait()
		jitter := events.list()[5].RetryAt.Sub(h.start) // 1012 has some in any case
		if jitter < 21*time.Second || jitter >= 22*time.Second {
			t.Errorf("the first attempt after 1012 is at %v", jitter)
		}
		h.until(40 * time.Second)
		h.conn().Cut()
		h.until(50 * time.Second)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()

		want := []seen{
			{phoenix.SocketDisconnected, 0, 0},
			{phoenix.SocketConnecting, 1, 0},
			{phoenix.SocketWaiting, 1, time.Second},
			{phoenix.SocketConnecting, 2, 0},
			{phoenix.SocketOpen, 2, 0},
			{phoenix.SocketWaiting, 0, jitter},
			{phoenix.SocketConnecting, 1, 0},
			{phoenix.SocketWaiting, 1, jitter + 2*time.Second},
			{phoenix.SocketConnecting, 2, 0},
			{phoenix.SocketOpen, 2, 0},
			{phoenix.SocketWaiting, 0, 41 * time.Second},
			{phoenix.SocketConnecting, 1, 0},
			{phoenix.SocketOpen, 1, 0},
			{phoenix.SocketClosed, 0, 0},
		}
		all := events.list()
		if got := h.seen(all); !slices.Equal(got, want) {
			t.Fatalf("events are\n%v, want\n%v", got, want)
		}
		wantStatus(t, all[2].Err, 503)
		wantClose(t, all[5].Err, 1012, "deploy")
		wantStatus(t, all[7].Err, 403)
		if err := all[10].Err; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a cut shows as %v", err)
		}
		wantIs(t, all[13].Err, phoenix.ErrClosed)
		for i, ev := range all {
			failed := ev.State == phoenix.SocketWaiting || ev.State == phoenix.SocketClosed
			if (ev.Err != nil) != failed || ev.Missed != 0 {
				t.Errorf("event %d is %+v", i, ev)
			}
		}
	})
}

func wantClose(t *testing.T, err error, code int, reason string) {
	t.Helper()
	var ce *phoenix.CloseError
	if !errors.As(err, &ce) || ce.Code != code || ce.Reason != reason {
		t.Errorf("error is %v, want a CloseError with %d %q", err, code, reason)
	}
}

func TestSocketEventsBeginWithTheStateAndWatchFromTheCall(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		seq := s.Events(t.Context())
		h.conn().Cut()
		h.until(5 * time.Second)
		var states []phoenix.SocketState
		for ev := range seq {
			states = append(states, ev.State)
			if len(states) == 4 {
				break
			}
		}
		want := []phoenix.SocketState{phoenix.SocketOpen, phoenix.SocketWaiting, phoenix.SocketConnecting, phoenix.SocketOpen}
		if !slices.Equal(states, want) {
			t.Errorf("states are %v, want %v", states, want)
		}
	})
}

func TestSocketEventsEndWithTheirContext(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		n := 0
		for range s.Events(ctx) {
			n++
		}
		h.at(3 * time.Second)
		if n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	})
}

func TestASlowWatcherIsToldWhatItMissed(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		h.srv.RefuseNext(-1, 503, nil, "")
		s := h.socket(nil)
		seq := s.Events(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), 1000500*time.Millisecond) // attempts at 0 s … 1000 s
		defer cancel()
		_ = s.Connect(ctx)
		_ = s.Close()
		seen, missed := 0, 0
		var last phoenix.SocketEvent
		for ev := range seq {
			if ev.Missed > 0 && seen > 0 {
				t.Errorf("event %d tells of %d missed ones", seen, ev.Missed)
			}
			missed += ev.Missed
			last = ev
			seen++
		}
		// The present state, 1001 attempts and failures, the end of Connect, Close.
		if want := 1 + 2*1001 + 2; seen+missed != want || missed == 0 || seen < 100 {
			t.Errorf("%d events and %d missed, want %d together", seen, missed, want)
		}
		if last.State != phoenix.SocketClosed {
			t.Errorf("the last event is %+v", last)
		}
	})
}

func TestSocketEventsOfAClosedSocketAreItsEnd(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.socket(nil)
		_ = s.Close()
		var states []phoenix.SocketState
		for ev := range s.Events(t.Context()) {
			states = append(states, ev.State)
		}
		if !slices.Equal(states, []phoenix.SocketState{phoenix.SocketClosed}) {
			t.Errorf("states are %v", states)
		}
	})
}

// Stats tell since when there is a connection, how often it had to be made anew,
// and the last failure.
func TestStatsTellTheLifeOfTheConnection(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		want := func(what string, st phoenix.SocketStats, since time.Duration, reconnects uint64, cause error) {
			t.Helper()
			at := h.start.Add(since)
			if since < 0 {
				at = time.Time{}
			}
			if !st.ConnectedSince.Equal(at) || st.Reconnects != reconnects {
				t.Errorf("%s: since %v, %d reconnects, want %v, %d", what, st.ConnectedSince, st.Reconnects, at, reconnects)
			}
			if !errors.Is(st.LastError, cause) || cause == nil && st.LastError != nil {
				t.Errorf("%s: the last error is %v, want %v", what, st.LastError, cause)
			}
		}
		s := h.socket(nil)
		want("before", s.Stats(), -1, 0, nil)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("connected", s.Stats(), 0, 0, nil)
		h.sleepUntil(time.Minute)
		h.srv.Conns()[0].Cut()
		synctest.Wait()
		want("lost", s.Stats(), -1, 0, phoenix.ErrConnectionLost)
		h.srv.RefuseNext(1, 503, nil, "")
		h.sleepUntil(2 * time.Minute)
		st := s.Stats()
		var he *phoenix.HandshakeError
		if !errors.As(st.LastError, &he) || he.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("the last error is %v", st.LastError)
		}
		if js, err := json.Marshal(st); err != nil || !strings.Contains(string(js), `503 Service Unavailable`) || !strings.Contains(string(js), `"Reconnects":1`) {
			t.Errorf("as JSON: %s, %v", js, err)
		}
		want("again", st, st.ConnectedSince.Sub(h.start), 1, st.LastError)
		if since := st.ConnectedSince.Sub(h.start); since <= time.Minute || since > time.Minute+5*time.Second {
			t.Errorf("since %v", since)
		}
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("disconnected", s.Stats(), -1, 1, st.LastError)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("connected again", s.Stats(), h.now(), 1, st.LastError)
	})
}
