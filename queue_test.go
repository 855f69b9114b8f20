package phoenix_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
)

func TestAFullBufferRefusesPushAsyncAndCastAndLetsPushWait(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", &phoenix.ChannelOptions{MaxBuffer: 3})
		h.srv.Down()
		synctest.Wait()
		for i := 1; i <= 3; i++ {
			c.PushAsync(t.Context(), "echo", i)
		}
		full := c.PushAsync(t.Context(), "echo", "full")
		select {
		case <-full.Done():
		default:
			t.Error("a push to a full buffer has no outcome")
		}
		_, err := full.Wait(t.Context())
		wantPushError(t, err, false, phoenix.ErrQueueFull)
		wantPushError(t, c.Cast(t.Context(), "echo", "full"), false, phoenix.ErrQueueFull)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		givenUp := h.goPush(ctx, c, "echo", "given up")
		waits := h.goPush(t.Context(), c, "echo", 4)
		o := <-givenUp
		wantErr(t, o, context.DeadlineExceeded, 500*time.Millisecond)
		wantPushError(t, o.err, false, phoenix.ErrTimeout)
		// The buffer is the channel's own.
		d := h.channel(s, "room:2", nil)
		join := h.goJoin(t.Context(), d)
		p := d.PushAsync(t.Context(), "echo", 1)
		h.srv.Up()
		wantOK(t, <-waits, time.Second)
		wantOK(t, <-join, time.Second)
		if _, err := p.Wait(t.Context()); err != nil {
			t.Errorf("Wait = %v", err)
		}
		h.sleepUntil(2 * time.Second)
		wantStrings(t, "received", payloads(h.srv.Received("room:1", "echo")), numbers(1, 4)...)
		if _, err := c.PushAsync(t.Context(), "echo", 5).Wait(t.Context()); err != nil {
			t.Errorf("Wait = %v", err)
		}
	})
}

func TestAnUnlimitedBuffer(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", &phoenix.ChannelOptions{MaxBuffer: -1})
		h.srv.Down()
		synctest.Wait()
		var last *phoenix.Push
		for i := 1; i <= 3000; i++ {
			last = c.PushAsync(t.Context(), "echo", i)
		}
		h.srv.Up()
		if _, err := last.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAFullQueueRefusesPushAsyncAndCastAndLetsPushWait(t *testing.T) {
	overBoth(t, smallBuffer, func(t *testing.T, h *harness) {
		// Room for 1,000 bytes of payload in four messages.
		conn, c, big := stalled(h, &phoenix.SocketOptions{MaxQueue: 1000 + 4*64})
		s := c.Socket()
		d, err := s.Channel("room:2", nil)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("x", 298) // and its quotes
		var accepted []*phoenix.Push
		for range 3 {
			accepted = append(accepted, c.PushAsync(t.Context(), "sleep", text))
		}
		if st := s.Stats(); st.Queued != 3 || st.QueuedBytes != 900 {
			t.Errorf("stats = %+v", st)
		}
		_, err = c.PushAsync(t.Context(), "sleep", text).Wait(t.Context())
		wantPushError(t, err, false, phoenix.ErrQueueFull)
		wantPushError(t, c.Cast(t.Context(), "sleep", text), false, phoenix.ErrQueueFull)
		if err := c.Cast(t.Context(), "sleep", text[:98]); err != nil { // there is room for this
			t.Errorf("Cast = %v", err)
		}
		waits := h.goPush(t.Context(), c, "echo", 4)
		// Joins are not concerned.
		join := h.goJoin(t.Context(), d)
		h.sleepUntil(2 * time.Second)
		conn.Resume()
		wantOK(t, <-big, 2*time.Second)
		wantOK(t, <-waits, 2*time.Second)
		wantOK(t, <-join, 2*time.Second)
		for _, p := range accepted {
			if _, err := p.Wait(t.Context()); err != nil {
				t.Errorf("Wait = %v", err)
			}
		}
		h.wantReceived("room:1", "sleep", 4)
		if st := s.Stats(); st.Queued != 0 || st.QueuedBytes != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestAPushLargerThanMaxQueueIsSentAlone(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(&phoenix.SocketOptions{MaxQueue: 100}), "room:1", nil)
		big := string(make([]byte, 5000))
		silent := h.goPush(t.Context(), c, "silent", nil) // so that the writer collects
		if _, err := c.PushAsync(t.Context(), "echo", big).Wait(t.Context()); err != nil {
			t.Errorf("Wait = %v", err)
		}
		pending(t, silent)
	})
}

func TestCancelledPushesMakeRoom(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", &phoenix.ChannelOptions{MaxBuffer: 2})
		h.srv.Down()
		synctest.Wait()
		first := c.PushAsync(t.Context(), "echo", 1)
		second := c.PushAsync(t.Context(), "echo", 2)
		first.Cancel()
		third := c.PushAsync(t.Context(), "echo", 3)
		h.srv.Up()
		_, err := first.Wait(t.Context())
		wantPushError(t, err, false, context.Canceled)
		for _, p := range []*phoenix.Push{second, third} {
			if _, err := p.Wait(t.Context()); err != nil {
				t.Errorf("Wait = %v", err)
			}
		}
		wantStrings(t, "received", payloads(h.srv.Received("room:1", "echo")), "2", "3")
	})
}

func TestThePayloadIsTheCallersAgainAfterTheCall(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		h.srv.Down()
		synctest.Wait()
		buf := phoenix.Binary("first")
		c.PushAsync(t.Context(), "echo", buf)
		copy(buf, "other")
		if err := c.Cast(t.Context(), "echo", buf); err != nil {
			t.Error(err)
		}
		copy(buf, "xxxxx")
		large := phoenix.Binary(make([]byte, 10_000))
		last := c.PushAsync(t.Context(), "echo", large)
		large[0] = 'x'
		h.srv.Up()
		if _, err := last.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		got := payloads(h.srv.Received("room:1", "echo"))
		wantStrings(t, "received", got[:2], "first", "other")
		if got[2][0] != 0 {
			t.Error("a large payload was not copied")
		}
	})
}

func TestAPushWaitsForRoomInTheBuffer(t *testing.T) {
	for name, opts := range map[string]phoenix.ChannelOptions{
		"messages": {MaxBuffer: 2},
		"bytes":    {MaxBufferBytes: 2 * (64 + 1)},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				opts := opts
				opts.Timeout = -1
				c := h.joined(s, "room:1", &opts)
				h.srv.Down()
				synctest.Wait()
				var waits []<-chan outcome
				for i := range 9 {
					waits = append(waits, h.goPush(t.Context(), c, "echo", i))
				}
				short, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				late := h.goPush(short, c, "echo", "late")
				if st := s.Stats(); st.Parked != 2 || st.WaitingForRoom != 8 {
					t.Errorf("%d are in the buffer and %d wait for room, want 2 and 8", st.Parked, st.WaitingForRoom)
				}
				wantPushError(t, c.Cast(t.Context(), "silent", 0), false, phoenix.ErrQueueFull)
				_, err := c.PushAsync(t.Context(), "echo", 0).Wait(t.Context())
				wantPushError(t, err, false, phoenix.ErrQueueFull)
				wantPushError(t, (<-late).err, false, context.DeadlineExceeded)
				h.srv.Up()
				for _, w := range waits {
					if o := <-w; o.err != nil {
						t.Error(o.err)
					}
				}
				for i, m := range h.srv.Received("room:1", "echo") {
					if m.Payload.String() != strconv.Itoa(i) {
						t.Errorf("message %d is %s", i, m.Payload)
					}
				}
				if st := s.Stats(); st.Parked+st.WaitingForRoom != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestAPushThatWaitsForRoomEndsWithItsChannelOrSocket(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*testing.T, *phoenix.Socket, *phoenix.Channel)
		want error
	}{
		"Leave": {func(t *testing.T, _ *phoenix.Socket, c *phoenix.Channel) { _ = c.Leave(t.Context()) }, phoenix.ErrChannelClosed},
		"Close": {func(_ *testing.T, s *phoenix.Socket, _ *phoenix.Channel) { _ = s.Close() }, phoenix.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				c := h.joined(s, "room:1", &phoenix.ChannelOptions{MaxBuffer: 1})
				h.srv.Down()
				synctest.Wait()
				waits := []<-chan outcome{h.goPush(t.Context(), c, "echo", 0), h.goPush(t.Context(), c, "echo", 1)}
				at := h.now()
				tc.end(t, s, c)
				for _, w := range waits {
					o := <-w
					wantPushError(t, o.err, false, tc.want)
					if o.at != at {
						t.Errorf("ended at %v, want %v", o.at, at)
					}
				}
			})
		})
	}
}
