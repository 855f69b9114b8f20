package phoenix_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// numbered is the diff in which key n joins, with ref n.
func numbered(n int) phoenixtest.Payload {
	return phoenixtest.JSON(fmt.Sprintf(`{"joins":{"k%d":{"metas":[{"id":%d,"phx_ref":"%d"}]}},"leaves":{}}`, n, n, n))
}

// Without a state there is nothing to apply diffs to. That is told once, after ten
// seconds, and the latest diffs are kept for the state.
func TestPresenceDiffsThatWaitForAStateAreBounded(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s, log, dropped := wantLogged(h, nil)
		c := h.Joined(s, "room:1", nil)
		p := phoenix.NewPresence[person](c, &phoenix.PresenceOptions{MaxPending: 3})
		for n := range 5 {
			h.Srv.Broadcast("room:1", "presence_diff", numbered(n))
		}
		h.SleepUntil(10*time.Second - 1)
		if strings.Contains(log.String(), "no state") {
			t.Errorf("warned too early: %s", log)
		}
		harness.WantStrings(t, "drops", dropped.List(), "room:1 1", "room:1 1")
		if n := s.Stats().Dropped; n != 2 {
			t.Errorf("%d dropped", n)
		}
		h.SleepUntil(10 * time.Second)
		for _, want := range []string{"presence: diffs came but no state", "topic=room:1 event=presence_state pending=3", "too many diffs wait"} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("the log has not %q once: %s", want, log)
			}
		}
		log.Reset()
		wantList(t, p, phoenix.PresenceAwaiting, "")
		h.SleepUntil(time.Hour)
		sendDiff(h, `{"k5":{"metas":[{"phx_ref":"5"}]}}`, `{"k3":{"metas":[{"phx_ref":"3"}]}}`)
		h.SleepUntil(2 * time.Hour)
		if log.Len() > 0 {
			t.Errorf("logged again: %s", log)
		}
		sendState(h, `{"k1":{"metas":[{"phx_ref":"1"}]}}`)
		wantList(t, p, phoenix.PresenceSynced, "k1[1] k4[4] k5[5]")
	})
}

// No warning where the state comes in time, the channel is lost, or the presence
// ends.
func TestPresenceDiffsThatDoNotWaitForLongAreNoWarning(t *testing.T) {
	for name, end := range map[string]func(*harness.Harness, presence, *phoenix.Channel){
		"state":  func(h *harness.Harness, _ presence, _ *phoenix.Channel) { sendState(h, nobody) },
		"outage": func(h *harness.Harness, _ presence, _ *phoenix.Channel) { h.Srv.Down() },
		"Leave":  func(_ *harness.Harness, _ presence, c *phoenix.Channel) { c.Leave(context.Background()) },
		"Close":  func(_ *harness.Harness, p presence, _ *phoenix.Channel) { p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				s, log, _ := wantLogged(h, nil)
				c := h.Joined(s, "room:1", nil)
				p := phoenix.NewPresence[person](c, nil)
				sendDiff(h, onlyU1, nobody)
				h.SleepUntil(9 * time.Second)
				end(h, p, c)
				h.SleepUntil(time.Minute)
				if strings.Contains(log.String(), "presence") {
					t.Errorf("logged: %s", log)
				}
			})
		})
	}
}

// An obstacle is a JSON library that gets stuck in some metas.
type obstacle struct {
	release chan struct{}
}

func (o *obstacle) unmarshal(data []byte, v any) error {
	switch {
	case bytes.Contains(data, []byte("obstacle")):
		<-o.release
	case bytes.Contains(data, []byte("exit")):
		runtime.Goexit()
	}
	return json.Unmarshal(data, v)
}

// If the decoder is too slow, so that a diff is lost, then all that wait are worth
// nothing: the list is stale until the next state. Nothing else is held up.
func TestPresenceThatIsOverrunIsStale(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		o := &obstacle{make(chan struct{})}
		s, log, dropped := wantLogged(h, o.unmarshal)
		c := h.Channel(s, "room:1", nil)
		p := phoenix.NewPresence[person](c, &phoenix.PresenceOptions{MaxPending: 3})
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		sendState(h, onlyU1)
		sendDiff(h, `{"u2":{"metas":[{"wait":"obstacle","phx_ref":"2"}]}}`, nobody)
		for n := range 3 {
			h.Srv.Broadcast("room:1", "presence_diff", numbered(n))
		}
		wantList(t, p, phoenix.PresenceSynced, "u1[1]")
		harness.WantStrings(t, "drops", dropped.List())
		h.Srv.Broadcast("room:1", "presence_diff", numbered(3))
		wantList(t, p, phoenix.PresenceStale, "u1[1]")
		harness.WantStrings(t, "drops", dropped.List(), "room:1 4")
		if !strings.Contains(log.String(), "too many diffs wait") {
			t.Errorf("log: %s", log)
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Errorf("Push meanwhile: %v", err)
		}
		h.Srv.Broadcast("room:1", "presence_diff", numbered(4)) // waits for the next state
		close(o.release)
		wantList(t, p, phoenix.PresenceStale, "u1[1] u2[2]")
		sendState(h, onlyU2)
		wantList(t, p, phoenix.PresenceSynced, "k4[4] u2[2]")

		// A state needs nothing of what waits in front of it.
		o.release = make(chan struct{})
		sendDiff(h, `{"u3":{"metas":[{"wait":"obstacle","phx_ref":"3"}]}}`, nobody)
		for n := range 3 {
			h.Srv.Broadcast("room:1", "presence_diff", numbered(n))
		}
		sendState(h, onlyU2)
		h.Srv.Broadcast("room:1", "presence_diff", numbered(7))
		harness.WantStrings(t, "drops", dropped.List(), "room:1 4", "room:1 3")
		wantList(t, p, phoenix.PresenceStale, "k4[4] u2[2]")
		close(o.release)
		wantList(t, p, phoenix.PresenceSynced, "k7[7] u2[2]")

		// States may be large: their bytes count, too.
		o.release = make(chan struct{})
		sendDiff(h, `{"u3":{"metas":[{"wait":"obstacle","phx_ref":"3"}]}}`, nobody)
		q := phoenix.NewPresence[person](c, &phoenix.PresenceOptions{MaxPendingBytes: 16 * (len(onlyU1) + 128)})
		sendState(h, `{"u3":{"metas":[{"wait":"obstacle","phx_ref":"3"}]}}`)
		for range 17 {
			sendState(h, onlyU1)
		}
		wantList(t, q, phoenix.PresenceAwaiting, "")
		harness.WantStrings(t, "drops", dropped.List()[len(dropped.List())-1:], "room:1 16")
		close(o.release)
		wantList(t, q, phoenix.PresenceSynced, "u1[1]")
		wantList(t, p, phoenix.PresenceSynced, "u1[1]")
		q.Close()
		if e, ok := p.Snapshot().Get("u9"); ok || e.Key != "u9" || len(e.Metas) > 0 {
			t.Errorf("Get of nobody = %+v, %v", e, ok)
		}

		// Close does not wait, and what is decoded afterwards is dropped.
		o.release = make(chan struct{})
		sendDiff(h, `{"u4":{"metas":[{"wait":"obstacle","phx_ref":"4"}]}}`, nobody)
		p.Close()
		close(o.release)
		wantList(t, p, phoenix.PresenceClosed, "u1[1]")

		// A decoder that ends its goroutine does not end the presence.
		p = phoenix.NewPresence[person](c, nil)
		sendState(h, nobody)
		sendDiff(h, `{"u5":{"metas":[{"wait":"exit","phx_ref":"5"}]}}`, nobody)
		sendDiff(h, `{"u6":{"metas":[{"phx_ref":"6"}]}}`, nobody)
		wantList(t, p, phoenix.PresenceStale, "")
		sendState(h, onlyU1)
		wantList(t, p, phoenix.PresenceSynced, "u1[1] u6[6]")
	})
}

// Diffs that wait for the state of their join outlive that state's overrunning what
// is left of the join before: they may tell what it does not have.
func TestPresenceKeepsDiffsThatWaitWhenItIsOverrun(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		o := &obstacle{make(chan struct{})}
		s, _, dropped := wantLogged(h, o.unmarshal)
		c := h.Channel(s, "room:1", nil)
		p := phoenix.NewPresence[person](c, &phoenix.PresenceOptions{MaxPending: 3})
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		sendState(h, onlyU1)
		sendDiff(h, `{"u2":{"metas":[{"wait":"obstacle","phx_ref":"2"}]}}`, nobody)
		for n := range 3 {
			h.Srv.Broadcast("room:1", "presence_diff", numbered(n))
		}
		rejoinOf(h, c)
		sendDiff(h, `{"u5":{"metas":[{"phx_ref":"5"}]}}`, nobody)
		sendState(h, onlyU2)
		harness.WantStrings(t, "drops", dropped.List(), "room:1 3")

		// With that state it is dropped as well, and counts.
		for n := range 3 {
			h.Srv.Broadcast("room:1", "presence_diff", numbered(n))
		}
		synctest.Wait()
		harness.WantStrings(t, "drops", dropped.List(), "room:1 3", "room:1 5")
		sendState(h, onlyU1)
		rejoinOf(h, c)
		sendDiff(h, `{"u5":{"metas":[{"phx_ref":"5"}]}}`, nobody)
		sendState(h, onlyU2)
		close(o.release)
		wantList(t, p, phoenix.PresenceSynced, "u2[2] u5[5]")
	})
}

// What is ready when the channel ends still makes it into the list and to Changes,
// but not to callbacks.
func TestPresenceTakesWhatIsReadyAtTheEnd(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		o := &obstacle{make(chan struct{})}
		c := h.Channel(h.Connected(&phoenix.SocketOptions{Unmarshal: o.unmarshal}), "room:1", nil)
		p := phoenix.NewPresence[person](c, nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		var seen harness.Recorder[string]
		p.OnJoin(func(ch phoenix.PresenceChange[person]) { seen.Add("called for " + ch.Key) })
		go func() {
			for ch := range p.Changes(t.Context()) {
				seen.Add(ch.Key)
			}
			seen.Add("end")
		}()
		statuses := &harness.Recorder[string]{}
		go func() {
			for snap := range p.Snapshots(t.Context()) {
				statuses.Add(fmt.Sprint(snap.Status(), snap.Len()))
			}
		}()
		sendState(h, `{"u1":{"metas":[{"wait":"obstacle","phx_ref":"1"}]}}`)
		sendDiff(h, onlyU2, nobody)
		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p.Status() != phoenix.PresenceClosed || !errors.Is(p.Err(), phoenix.ErrChannelClosed) || p.Snapshot().Len() != 0 {
			t.Errorf("%v, %v, %d keys", p.Status(), p.Err(), p.Snapshot().Len())
		}
		harness.WantStrings(t, "seen", seen.List())
		close(o.release)
		synctest.Wait()
		harness.WantStrings(t, "seen", seen.List(), "u1", "u2", "end")
		list := statuses.List()
		harness.WantStrings(t, "statuses", []string{list[0], list[len(list)-1]}, "awaiting 0", "closed 2")
	})
}

func TestWaitSynced(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, c := presentIn(h, nil)
		wait := func(ctx context.Context) <-chan harness.Outcome {
			done := h.Spawn(func() (*phoenix.Reply, error) { return nil, p.WaitSynced(ctx) })
			synctest.Wait()
			return done
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		harness.WantErr(t, <-wait(ctx), phoenix.ErrTimeout, time.Second)
		waiting := wait(t.Context())
		sendDiff(h, onlyU2, nobody)
		harness.Pending(t, waiting)
		h.SleepUntil(2 * time.Second)
		sendState(h, onlyU1)
		harness.WantErr(t, <-waiting, nil, 2*time.Second)
		rejoinOf(h, c)
		waiting = wait(t.Context())
		harness.Pending(t, waiting)
		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		harness.WantErr(t, <-waiting, phoenix.ErrChannelClosed, 3*time.Second)
	})
}

// Whoever follows the list is told in place that it is stale, and of the changes that
// come with the next state that they were found by comparing.
func TestAPresenceWhoseQueueOverflowsInBytesTellsInPlace(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		o := &obstacle{make(chan struct{})}
		s, _, _ := wantLogged(h, o.unmarshal)
		c := h.Channel(s, "room:1", nil)
		p := phoenix.NewPresence[person](c, &phoenix.PresenceOptions{MaxPendingBytes: 1000})
		var seen, changes harness.Recorder[string]
		go func() {
			for snap := range p.Snapshots(t.Context()) {
				seen.Add(fmt.Sprint(snap.Status(), " ", snap.Len()))
			}
		}()
		go func() {
			for ch := range p.Changes(t.Context()) {
				changes.Add(fmt.Sprint(ch.Key, " ", ch.Resync))
			}
		}()
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		sendState(h, onlyU1)
		sendDiff(h, `{"u2":{"metas":[{"wait":"obstacle","phx_ref":"2"}]}}`, nobody)
		for n := range 20 {
			h.Srv.Broadcast("room:1", "presence_diff", numbered(n))
		}
		synctest.Wait()
		if p.Status() != phoenix.PresenceStale {
			t.Errorf("the presence is %v", p.Status())
		}
		close(o.release)
		synctest.Wait()
		if _, err := c.Rejoin(t.Context()); err != nil {
			t.Fatal(err)
		}
		sendState(h, `{"u1":{"metas":[{"id":1,"phx_ref":"1"}]},"k19":{"metas":[{"phx_ref":"19"}]}}`)
		synctest.Wait()
		harness.WantStrings(t, "snapshots", seen.List(),
			"awaiting 0", "synced 1", "stale 1", "stale 2", "synced 2")
		harness.WantStrings(t, "changes", changes.List(), "u1 true", "u2 false", "k19 true", "u2 true")
	})
}

// wantLogged makes a socket that logs warnings and traces drops.
func wantLogged(h *harness.Harness, unmarshal func([]byte, any) error) (*phoenix.Socket, *bytes.Buffer, *harness.Recorder[string]) {
	h.T.Helper()
	var log bytes.Buffer
	dropped := &harness.Recorder[string]{}
	s := h.Connected(&phoenix.SocketOptions{
		Unmarshal: unmarshal,
		Logger:    slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Trace:     &phoenix.Trace{Dropped: func(topic string, n int) { dropped.Add(fmt.Sprintf("%s %d", topic, n)) }},
	})
	return s, &log, dropped
}
