package phoenix_test

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

// accept returns the next connection of the server, when all is quiet: the next
// poll has arrived.
func (h *harness) accept() *phoenixtest.Conn {
	h.t.Helper()
	synctest.Wait()
	c, err := h.srv.Accept(h.t.Context())
	if err != nil {
		h.t.Fatalf("Accept: %v", err)
	}
	return c
}

// sleepUntil goes to d after the start of the test.
func (h *harness) sleepUntil(d time.Duration) {
	h.t.Helper()
	if h.now() > d {
		h.t.Fatalf("time is %v, past %v", h.now(), d)
	}
	time.Sleep(d - h.now())
	synctest.Wait()
}

// received returns how many messages of an event the server got for a topic.
func (h *harness) received(topic, event string) int {
	return len(h.srv.Received(topic, event))
}

// wantReceived checks how many messages of an event the server got for a topic.
func (h *harness) wantReceived(topic, event string, n int) {
	h.t.Helper()
	synctest.Wait()
	if got := h.received(topic, event); got != n {
		h.t.Errorf("the server got %d %s for %s, want %d", got, event, topic, n)
	}
}

// An outcome is what a call that ran in a goroutine returned, and when.
type outcome struct {
	reply *phoenix.Reply
	err   error
	at    time.Duration
}

// spawn runs a call in a goroutine.
func (h *harness) spawn(f func() (*phoenix.Reply, error)) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		reply, err := f()
		done <- outcome{reply, err, h.now()}
	}()
	return done
}

// goJoin joins in a goroutine, until it waits.
func (h *harness) goJoin(ctx context.Context, c *phoenix.Channel) <-chan outcome {
	done := h.spawn(func() (*phoenix.Reply, error) { return c.Join(ctx) })
	synctest.Wait()
	return done
}

// goPush pushes in a goroutine, until it waits.
func (h *harness) goPush(ctx context.Context, c *phoenix.Channel, event string, payload any) <-chan outcome {
	done := h.spawn(func() (*phoenix.Reply, error) { return c.Push(ctx, event, payload) })
	synctest.Wait()
	return done
}

// goLeave leaves in a goroutine, until it waits.
func (h *harness) goLeave(ctx context.Context, c *phoenix.Channel) <-chan outcome {
	done := h.spawn(func() (*phoenix.Reply, error) { return nil, c.Leave(ctx) })
	synctest.Wait()
	return done
}

// pending checks that a call has not returned.
func pending(t *testing.T, done <-chan outcome) {
	t.Helper()
	synctest.Wait()
	select {
	case o := <-done:
		t.Errorf("returned %v, %v at %v; want it to wait", o.reply, o.err, o.at)
	default:
	}
}

// wantOK checks that a call returns a reply with status ok.
func wantOK(t *testing.T, o outcome, at time.Duration) {
	t.Helper()
	if o.err != nil || o.reply == nil || o.reply.Status != "ok" {
		t.Errorf("got %v, %v; want ok", o.reply, o.err)
	}
	if o.at != at {
		t.Errorf("returned at %v, want %v", o.at, at)
	}
}

// wantErr checks that a call returns an error that is want.
func wantErr(t *testing.T, o outcome, want error, at time.Duration) {
	t.Helper()
	if !errors.Is(o.err, want) {
		t.Errorf("err = %v, want %v", o.err, want)
	}
	if o.at != at {
		t.Errorf("returned at %v, want %v", o.at, at)
	}
}

// wantPushError checks that a push failed for a reason, with Sent as it is.
func wantPushError(t *testing.T, err error, sent bool, cause error) {
	t.Helper()
	var pe *phoenix.PushError
	if !errors.As(err, &pe) || pe.Sent != sent || !errors.Is(err, cause) {
		t.Errorf("err = %v, want a PushError with Sent %v and %v", err, sent, cause)
	}
	if phoenix.SafeToRetry(err) == sent {
		t.Errorf("SafeToRetry(%v) = %v", err, !sent)
	}
}

func wantChannel(t *testing.T, c *phoenix.Channel, want phoenix.ChannelState) {
	t.Helper()
	synctest.Wait()
	if got := c.State(); got != want {
		t.Errorf("state of %s is %v, want %v", c.Topic(), got, want)
	}
}

// wantRegistered checks whether a channel is the one its socket has for its topic.
func wantRegistered(t *testing.T, c *phoenix.Channel, want bool) {
	t.Helper()
	got, ok := c.Socket().Lookup(c.Topic())
	if (ok && got == c) != want {
		t.Errorf("%s registered: %v, want %v", c.Topic(), !want, want)
	}
}

// A timedEvent is a ChannelEvent and when it came.
type timedEvent struct {
	phoenix.ChannelEvent
	at time.Duration
}

// watch records the events of a channel, but for the first one.
func (h *harness) watch(c *phoenix.Channel) *recorder[timedEvent] {
	rec := &recorder[timedEvent]{}
	events := c.Events(h.t.Context())
	go func() {
		first := true
		for ev := range events {
			if !first {
				rec.add(timedEvent{ev, h.now()})
			}
			first = false
		}
	}()
	return rec
}

// states returns the states of events as text.
func states(events []timedEvent) []string {
	var all []string
	for _, ev := range events {
		all = append(all, ev.State.String())
	}
	return all
}

func wantStrings(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// record reads a subscription to its end, with an entry for each message (its
// event and payload), gap and drop.
func (h *harness) record(sub *phoenix.Subscription) *recorder[string] {
	rec := &recorder[string]{}
	go func() {
		for {
			m, err := sub.Next(h.t.Context())
			var gap *phoenix.GapError
			var dropped *phoenix.DroppedError
			switch {
			case err == nil:
				rec.add(m.Event + " " + m.Payload.String())
			case errors.As(err, &gap):
				rec.add("gap " + gap.Reply.Response.String())
			case errors.As(err, &dropped):
				rec.add("dropped " + strconv.Itoa(dropped.N))
			case errors.Is(err, phoenix.ErrChannelClosed):
				rec.add("closed")
				return
			case errors.Is(err, phoenix.ErrClosed):
				rec.add("socket closed")
				return
			default:
				return
			}
		}
	}()
	return rec
}

// payloads returns the payloads of messages as text.
func payloads(messages []phoenixtest.Message) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.Payload.String())
	}
	return all
}

// numbers returns "from" to "to", as the payloads of numbered pushes are.
func numbers(from, to int) []string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

// swallow makes the server ignore messages of an event, and records them.
func (h *harness) swallow(event string) *recorder[phoenixtest.Message] {
	rec := &recorder[phoenixtest.Message]{}
	h.srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
		if m.Event != event {
			return false
		}
		rec.add(m)
		return true
	})
	return rec
}
