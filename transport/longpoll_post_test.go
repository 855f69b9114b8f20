package transport_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// What waits while a POST is under way goes with the next ones.
func TestPostsAreBatchedAndInOrder(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		spy := h.Spy()
		s := h.Connected(&phoenix.SocketOptions{HTTPClient: spy.Client()})
		c := h.Joined(s, "room:1", nil)
		posting := 0
		spy.Answering("POST", func(*http.Request, string) (*http.Response, error) {
			if posting++; posting > 1 {
				t.Error("two POSTs at a time")
			}
			time.Sleep(time.Second)
			posting--
			return nil, nil //nolint:nilnil // it is the server's
		})
		var last *phoenix.Push
		for i := 1; i <= 250; i++ {
			last = c.PushAsync(t.Context(), "echo", i)
			if i == 1 {
				synctest.Wait()
			}
		}
		if st := s.Stats(); st.InFlight != 1 || st.Queued != 249 {
			t.Errorf("stats = %+v", st) // what was not posted has certainly not left
		}
		if _, err := last.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		h.At(4 * time.Second)
		h.Until(4 * time.Second)
		var lines []int
		for _, r := range spy.Requests("POST")[1:] {
			lines = append(lines, r.Lines())
			if strings.HasSuffix(r.Body, "\n") || r.Header.Get("Content-Type") != "application/x-ndjson" {
				t.Errorf("posted %q", r.Body)
			}
		}
		if fmt.Sprint(lines) != "[1 100 100 49]" {
			t.Errorf("lines of the POSTs: %v", lines)
		}
		harness.WantStrings(t, "received", harness.Payloads(h.Srv.Received("room:1", "echo")), harness.Numbers(1, 250)...)
	})
}

func TestPostsHaveALimitOfBytes(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		spy := h.Spy()
		conn := h.DialPoll(nil, spy.Client())
		frame := func(size int) string {
			const head, tail = `[null,"1","phoenix","heartbeat","`, `"]`
			return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
		}
		const kib = 1 << 10
		for _, test := range []struct {
			sizes []int
			want  []int // lines
		}{
			{[]int{200 * kib, 200 * kib, 200 * kib, 200 * kib, 200 * kib}, []int{2, 2, 1}},
			{[]int{256 * kib, 256*kib - 2}, []int{2}},
			{[]int{256 * kib, 256*kib - 1}, []int{1, 1}},
			{[]int{600 * kib, 100, 100}, []int{1, 2}},
			{[]int{100, 600 * kib, 100}, []int{1, 1, 1}},
		} {
			before := len(spy.Requests("POST"))
			var frames []phoenix.Frame
			for _, size := range test.sizes {
				frames = append(frames, harness.Texts(frame(size))...)
			}
			if n, err := conn.WriteFrames(frames, time.Time{}); err != nil || n != len(frames) {
				t.Errorf("WriteFrames = %d, %v", n, err)
			}
			var lines []int
			for _, r := range spy.Requests("POST")[before:] {
				lines = append(lines, r.Lines())
			}
			if fmt.Sprint(lines) != fmt.Sprint(test.want) {
				t.Errorf("%v: lines %v, want %v", test.sizes, lines, test.want)
			}
		}
		if n, err := conn.WriteFrames(nil, time.Time{}); n != 0 || err != nil {
			t.Errorf("WriteFrames of nothing = %d, %v", n, err)
		}
	})
}

// What cannot be a line of a batch travels alone.
func TestFramesThatAreNoLines(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		spy := h.Spy()
		conn := h.DialPoll(nil, spy.Client())
		spy.Answering("POST", func(r *http.Request, _ string) (*http.Response, error) {
			return harness.Respond(r, 200, `{"status":200}`), nil
		})
		binary := phoenix.Frame{Data: []byte("\x00\x00\x01\x01\x012tex\xff"), Binary: true}
		frames := append(harness.Texts(`[1]`, `[2]`, `{"v":1}`, "[\n3]", "[4\r]", ` [5]`), binary, binary)
		frames = append(frames, harness.Texts(`[6]`, `{}`)...)
		if n, err := conn.WriteFrames(frames, time.Time{}); err != nil || n != len(frames) {
			t.Fatalf("WriteFrames = %d, %v", n, err)
		}
		var got []string
		for _, r := range spy.Requests("POST") {
			got = append(got, strings.TrimPrefix(r.Header.Get("Content-Type"), "application/")+" "+r.Body)
		}
		line := base64.StdEncoding.EncodeToString(binary.Data)
		harness.WantItems(t, "posted", got,
			"x-ndjson [1]\n[2]", `json {"v":1}`, "json [\n3]", "json [4\r]", "json  [5]",
			"x-ndjson "+line+"\n"+line+"\n[6]", "json {}")
	})
}

func TestProtocol1OverEitherTransport(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		spy := h.Spy()
		client := h.Srv.HTTPClient()
		if h.Polls {
			client = spy.Client()
		}
		s := h.Connected(&phoenix.SocketOptions{Serializer: phoenix.V1(), HTTPClient: client})
		c := h.Joined(s, "room:1", nil)
		sub := c.Subscribe(nil)
		for i := range 3 {
			if reply, err := c.Push(t.Context(), "echo", i); err != nil || reply.Response.String() != fmt.Sprint(i) {
				t.Errorf("Push = %v, %v", reply, err)
			}
		}
		h.Srv.Broadcast("room:1", "news", 7)
		if m, err := sub.Next(t.Context()); err != nil || m.Payload.String() != "7" {
			t.Errorf("Next = %v, %v", m, err)
		}
		for _, r := range spy.Requests("POST") {
			if r.Header.Get("Content-Type") != "application/json" || r.Lines() != 1 {
				t.Errorf("posted %s with %v", r.Body, r.Header)
			}
		}
		h.At(0)
	})
}

func TestAFrameThatCostsTheSessionIsRefused(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		other := c.PushAsync(t.Context(), "sleep", 1000)
		for _, payload := range []any{strings.Repeat("x", 7_900_000), phoenix.Binary(make([]byte, 5_930_000))} {
			_, err := c.Push(t.Context(), "echo", payload)
			harness.WantPushError(t, err, false, phoenix.ErrMessageTooBig)
			_, err = c.PushAsync(t.Context(), "echo", payload).Wait(t.Context())
			harness.WantPushError(t, err, false, phoenix.ErrMessageTooBig)
		}
		// As large as it may be.
		if reply, err := c.Push(t.Context(), "echo", strings.Repeat("x", 7_899_900)); err != nil || len(reply.Response.Bytes()) != 7_899_902 {
			t.Errorf("Push: %v", err)
		}
		if err := c.Cast(t.Context(), "silent", phoenix.Binary(make([]byte, 5_900_000))); err != nil {
			t.Errorf("Cast: %v", err)
		}
		if _, err := other.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		h.WantReceived("room:1", "silent", 1)
		if st := s.Stats(); st.Connects != 1 || st.State != phoenix.SocketOpen {
			t.Errorf("stats = %+v", st)
		}
		conn := h.DialPoll(nil, h.Srv.HTTPClient())
		checker, ok := conn.(transport.FrameChecker)
		if !ok {
			t.Fatal("the Conn has no CheckFrame")
		}
		for _, f := range []phoenix.Frame{{}, {Binary: true}} {
			if err := checker.CheckFrame(f); err == nil {
				t.Error("an empty frame was taken")
			}
		}
	})
}

// With an error, WriteFrames tells which frames the server cannot have handled.
func TestWhatAFailedPostMayHaveSent(t *testing.T) {
	errBroken := errors.New("broken")
	for _, test := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		n      int // of 250 frames, the second POST of which fails
		status int // of the PollError
	}{
		{"session gone", status200(`{"status":410}`), 100, 410},
		{"bad origin", status200(`{"status":403}`), 100, 403},
		{"not handled in time", status200(`{"status":408}`), 200, 408},
		{"any other status", status200(`{"status":500}`), 200, 500},
		{"no status", status200(`{}`), 200, 200},
		{"no JSON", status200(`<html>`), 200, 200},
		{"nothing", status200(``), 200, 200},
		{"too much", status200(`{"status":200,"more":"` + strings.Repeat("x", 100_000) + `"}`), 200, 200},
		{"HTTP status", func(r *http.Request) (*http.Response, error) { return harness.Respond(r, 502, "bad gateway"), nil }, 200, 502},
		{"HTTP status that looks like Phoenix's", func(r *http.Request) (*http.Response, error) {
			return harness.Respond(r, 410, `{"status":410}`), nil
		}, 200, 410},
		{"an answer that breaks off", func(r *http.Request) (*http.Response, error) {
			resp := harness.Respond(r, 200, "")
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"sta`), &failingReader{errBroken}))
			return resp, nil
		}, 200, 0},
		{"network", func(*http.Request) (*http.Response, error) { return nil, errBroken }, 200, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				spy := h.Spy()
				conn := h.DialPoll(nil, spy.Client())
				posts := 0
				spy.Answering("POST", func(r *http.Request, _ string) (*http.Response, error) {
					if posts++; posts != 2 {
						return nil, nil //nolint:nilnil // it is the server's
					}
					return test.answer(r)
				})
				n, err := conn.WriteFrames(harness.Pings(250), time.Time{})
				if n != test.n || posts != 2 {
					t.Errorf("WriteFrames = %d, %v after %d POSTs; want %d", n, err, posts, test.n)
				}
				if test.status == 0 {
					harness.WantIs(t, err, errBroken)
				} else {
					harness.WantPollError(t, err, "POST", test.status)
				}
				if strings.Contains(err.Error(), "vsn") || strings.Contains(err.Error(), "SFMyNTY") {
					t.Errorf("the error tells the query: %v", err)
				}
				h.WantReceived("phoenix", "heartbeat", 100)
			})
		})
	}
}

func status200(body string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) { return harness.Respond(r, 200, body), nil }
}

func TestAPostThatFoundNoConnectionHasNotLeft(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		traced := h.DialPoll(nil, h.Srv.HTTPClient())
		rt := h.Srv.HTTPClient().Transport
		untold := h.DialPoll(nil, &http.Client{Transport: harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			return rt.RoundTrip(r.WithContext(harness.Untraced{Context: r.Context()}))
		})})
		h.Srv.HTTPClient().CloseIdleConnections()
		h.Srv.RefuseDials(harness.ErrRefused)
		if n, err := traced.WriteFrames(harness.Pings(3), time.Time{}); n != 0 || !errors.Is(err, harness.ErrRefused) {
			t.Errorf("WriteFrames = %d, %v", n, err)
		}
		// One that tells nothing has not read the body either.
		if n, err := untold.WriteFrames(harness.Pings(3), time.Time{}); n != 0 || !errors.Is(err, harness.ErrRefused) {
			t.Errorf("WriteFrames = %d, %v", n, err)
		}
		h.Srv.RefuseDials(nil)
		h.Srv.HangDials(true)
		hung := h.DialPollLater()
		h.Srv.HTTPClient().CloseIdleConnections()
		time.AfterFunc(time.Second, func() { _ = hung.Close(context.Background(), 0, "") })
		if n, err := hung.WriteFrames(harness.Pings(3), time.Time{}); n != 0 || err == nil {
			t.Errorf("WriteFrames = %d, %v", n, err)
		}
		h.At(time.Second)
		h.Srv.HangDials(false)
	})
}

func TestPushesOfAGoneSessionAreSentAgain(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		h.Until(3 * time.Second)
		var push <-chan harness.Outcome
		harness.WantPollError(t, h.WantLost(s, c, 5*time.Second, func() {
			h.Conn().LoseSession()
			push = h.GoPush(t.Context(), c, "echo", 1)
			if err := c.Cast(t.Context(), "echo", 2); err != nil {
				t.Error(err)
			}
		}), "POST", 410)
		// Nobody has seen it before.
		harness.WantOK(t, <-push, 6*time.Second)
		harness.WantStrings(t, "received", harness.Payloads(h.Srv.Received("room:1", "echo")), "1", "2")
		if st := s.Stats(); st.CastsLost != 0 || st.Unanswered != 0 || st.Unsent != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestPushesOfAPostWithoutAnAnswerMayHaveBeenSent(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		h.Until(time.Second)
		conn := h.Conn()
		conn.Stall() // requests are not looked at
		first := h.GoPush(t.Context(), c, "echo", 1)
		second := h.GoPush(t.Context(), c, "echo", 2)
		h.Until(2 * time.Second)
		conn.Cut()
		o := <-first
		harness.WantErr(t, o, phoenix.ErrConnectionLost, 2*time.Second)
		harness.WantPushError(t, o.Err, true, phoenix.ErrConnectionLost)
		harness.WantOK(t, <-second, 3*time.Second)
		harness.WantStrings(t, "received", harness.Payloads(h.Srv.Received("room:1", "echo")), "2")
	})
}

func TestClosingASessionWaitsForThePost(t *testing.T) {
	for _, test := range []struct {
		name    string
		code    int
		ctx     time.Duration // from now; 0 for no end
		takes   time.Duration // the POST
		want    time.Duration
		wantErr error
		n       int
	}{
		{"answered", 1000, 0, 3 * time.Second, 3 * time.Second, nil, 100},
		{"not in time", 1000, 2 * time.Second, 3 * time.Second, 2 * time.Second, context.DeadlineExceeded, 100},
		{"ten seconds at most", 1000, 0, time.Hour, 10 * time.Second, nil, 100},
		{"cut", 0, 0, 3 * time.Second, 0, nil, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				spy := h.Spy()
				conn := h.DialPoll(&phoenix.LongPollOptions{Timeout: -1}, spy.Client())
				spy.Answering("POST", func(r *http.Request, _ string) (*http.Response, error) {
					select {
					case <-time.After(test.takes):
						return nil, nil //nolint:nilnil // it is the server's
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
				})
				read, written := make(chan error, 1), make(chan int, 1)
				go func() {
					for {
						if _, err := conn.ReadFrame(); err != nil {
							read <- err
							return
						}
					}
				}()
				go func() {
					n, err := conn.WriteFrames(harness.Pings(150), time.Time{})
					if err == nil {
						t.Error("all was written")
					}
					written <- n
				}()
				synctest.Wait()
				ctx, cancel := context.WithCancel(context.Background())
				if test.ctx > 0 {
					ctx, cancel = context.WithTimeout(ctx, test.ctx)
				}
				defer cancel()
				if err := conn.Close(ctx, test.code, "bye"); !errors.Is(err, test.wantErr) {
					t.Errorf("Close = %v, want %v", err, test.wantErr)
				}
				h.At(test.want)
				if n := <-written; n != test.n {
					t.Errorf("%d frames written, want %d", n, test.n)
				}
				if err := <-read; err == nil {
					t.Error("ReadFrame went on")
				}
				h.At(test.want)
				if n, err := conn.WriteFrames(harness.Pings(1), time.Time{}); n != 0 || err == nil {
					t.Errorf("WriteFrames of a closed session = %d, %v", n, err)
				}
				if _, err := conn.ReadFrame(); err == nil {
					t.Error("ReadFrame of a closed session")
				}
				if err := conn.Close(ctx, 1000, ""); err != nil {
					t.Errorf("a second Close = %v", err)
				}
				h.At(test.want)
			})
		})
	}
}
