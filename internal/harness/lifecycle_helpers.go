package harness

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// Accept returns the next connection of the server, when all is quiet: the next
// poll has arrived.
func (h *Harness) Accept() *phoenixtest.Conn {
	h.T.Helper()
	synctest.Wait()
	c, err := h.Srv.Accept(h.T.Context())
	if err != nil {
		h.T.Fatalf("Accept: %v", err)
	}
	return c
}

// SleepUntil goes to d after the start of the test.
func (h *Harness) SleepUntil(d time.Duration) {
	h.T.Helper()
	if h.Now() > d {
		h.T.Fatalf("time is %v, past %v", h.Now(), d)
	}
	time.Sleep(d - h.Now())
	synctest.Wait()
}

// Received returns how many messages of an event the server got for a topic.
func (h *Harness) Received(topic, event string) int {
	return len(h.Srv.Received(topic, event))
}

// WantReceived checks how many messages of an event the server got for a topic.
func (h *Harness) WantReceived(topic, event string, n int) {
	h.T.Helper()
	synctest.Wait()
	if got := h.Received(topic, event); got != n {
		h.T.Errorf("the server got %d %s for %s, want %d", got, event, topic, n)
	}
}

// An Outcome is what a call that ran in a goroutine returned, and when.
type Outcome struct {
	Reply *phoenix.Reply
	Err   error
	At    time.Duration
}

// Spawn runs a call in a goroutine.
func (h *Harness) Spawn(f func() (*phoenix.Reply, error)) <-chan Outcome {
	done := make(chan Outcome, 1)
	go func() {
		reply, err := f()
		done <- Outcome{reply, err, h.Now()}
	}()
	return done
}

// GoJoin joins in a goroutine, until it waits.
func (h *Harness) GoJoin(ctx context.Context, c *phoenix.Channel) <-chan Outcome {
	done := h.Spawn(func() (*phoenix.Reply, error) { return c.Join(ctx) })
	synctest.Wait()
	return done
}

// GoPush pushes in a goroutine, until it waits.
func (h *Harness) GoPush(ctx context.Context, c *phoenix.Channel, event string, payload any) <-chan Outcome {
	done := h.Spawn(func() (*phoenix.Reply, error) { return c.Push(ctx, event, payload) })
	synctest.Wait()
	return done
}

// GoLeave leaves in a goroutine, until it waits.
func (h *Harness) GoLeave(ctx context.Context, c *phoenix.Channel) <-chan Outcome {
	done := h.Spawn(func() (*phoenix.Reply, error) { return nil, c.Leave(ctx) })
	synctest.Wait()
	return done
}

// Pending checks that a call has not returned.
func Pending(t *testing.T, done <-chan Outcome) {
	t.Helper()
	synctest.Wait()
	select {
	case o := <-done:
		t.Errorf("returned %v, %v at %v; want it to wait", o.Reply, o.Err, o.At)
	default:
	}
}

// WantOK checks that a call returns a reply with status ok.
func WantOK(t *testing.T, o Outcome, at time.Duration) {
	t.Helper()
	if o.Err != nil || o.Reply == nil || o.Reply.Status != "ok" {
		t.Errorf("got %v, %v; want ok", o.Reply, o.Err)
	}
	if o.At != at {
		t.Errorf("returned at %v, want %v", o.At, at)
	}
}

// WantErr checks that a call returns an error that is want.
func WantErr(t *testing.T, o Outcome, want error, at time.Duration) {
	t.Helper()
	if !errors.Is(o.Err, want) {
		t.Errorf("err = %v, want %v", o.Err, want)
	}
	if o.At != at {
		t.Errorf("returned at %v, want %v", o.At, at)
	}
}

// WantPushError checks that a push failed for a reason, with Sent as it is.
func WantPushError(t *testing.T, err error, sent bool, cause error) {
	t.Helper()
	var pe *phoenix.PushError
	if !errors.As(err, &pe) || pe.Sent != sent || !errors.Is(err, cause) {
		t.Errorf("err = %v, want a PushError with Sent %v and %v", err, sent, cause)
	}
	if phoenix.SafeToRetry(err) == sent {
		t.Errorf("SafeToRetry(%v) = %v", err, !sent)
	}
}

func WantChannel(t *testing.T, c *phoenix.Channel, want phoenix.ChannelState) {
	t.Helper()
	synctest.Wait()
	if got := c.State(); got != want {
		t.Errorf("state of %s is %v, want %v", c.Topic(), got, want)
	}
}

// WantRegistered checks whether a channel is the one its socket has for its topic.
func WantRegistered(t *testing.T, c *phoenix.Channel, want bool) {
	t.Helper()
	got, ok := c.Socket().Lookup(c.Topic())
	if (ok && got == c) != want {
		t.Errorf("%s registered: %v, want %v", c.Topic(), !want, want)
	}
}

// A timedEvent is a ChannelEvent and when it came.
type timedEvent struct {
	phoenix.ChannelEvent
	At time.Duration
}

// Watch records the events of a channel, but for the first one.
func (h *Harness) Watch(c *phoenix.Channel) *Recorder[timedEvent] {
	rec := &Recorder[timedEvent]{}
	events := c.Events(h.T.Context())
	go func() {
		first := true
		for ev := range events {
			if !first {
				rec.Add(timedEvent{ev, h.Now()})
			}
			first = false
		}
	}()
	return rec
}

// States returns the states of events as text.
func States(events []timedEvent) []string {
	var all []string
	for _, ev := range events {
		all = append(all, ev.State.String())
	}
	return all
}

func WantStrings(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Record reads a subscription to its end, with an entry for each message (its
// event and payload), gap and drop.
func (h *Harness) Record(sub *phoenix.Subscription) *Recorder[string] {
	rec := &Recorder[string]{}
	go func() {
		for {
			m, err := sub.Next(h.T.Context())
			var gap *phoenix.GapError
			var dropped *phoenix.DroppedError
			switch {
			case err == nil:
				rec.Add(m.Event + " " + m.Payload.String())
			case errors.As(err, &gap):
				rec.Add("gap " + gap.Reply.Response.String())
			case errors.As(err, &dropped):
				rec.Add("dropped " + strconv.Itoa(dropped.N))
			case errors.Is(err, phoenix.ErrChannelClosed):
				rec.Add("closed")
				return
			case errors.Is(err, phoenix.ErrClosed):
				rec.Add("socket closed")
				return
			default:
				return
			}
		}
	}()
	return rec
}

// Payloads returns the payloads of messages as text.
func Payloads(messages []phoenixtest.Message) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.Payload.String())
	}
	return all
}

// Numbers returns "from" to "to", as the payloads of numbered pushes are.
func Numbers(from, to int) []string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

// Swallow makes the server ignore messages of an event, and records them.
func (h *Harness) Swallow(event string) *Recorder[phoenixtest.Message] {
	rec := &Recorder[phoenixtest.Message]{}
	h.Srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
		if m.Event != event {
			return false
		}
		rec.Add(m)
		return true
	})
	return rec
}
