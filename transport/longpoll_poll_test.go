package transport_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
)

const aToken = `"token":"SFMyNTY.abc"`

func TestAnswersToTheFirstPoll(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int // of HTTP
		body   string
		want   int // status of the HandshakeError, 0 for none
		err    string
	}{
		{"as ever", 200, `{"messages":[],"status":410,` + aToken + `}`, 0, ""},
		{"in another order", 200, ` { ` + aToken + ` , "status" : 410 , "messages" : [ ] } `, 0, ""},
		{"with more", 200, `{"more":{"a":[1,-2.5e3,true,null,{}]},` + aToken + `,"status":410}`, 0, ""},
		{"refused", 200, `{"status":403}`, 403, ""},
		{"refused in another way", 200, `{"status":500}`, 500, ""},
		{"no session", 200, `{"messages":[],"status":410}`, 410, "no token"},
		{"an empty token", 200, `{"status":410,"token":""}`, 410, "no token"},
		{"no token at all", 200, `{"status":410,"token":null}`, 410, "no token"},
		{"a session that nobody asked for", 200, `{"messages":[],"status":200,` + aToken + `}`, 200, ""},
		{"no status", 200, `{}`, 200, "no status"},
		{"a page", 200, `<html>hello</html>`, 200, "not the JSON of a long poll: unexpected '<'"},
		{"nothing", 200, ``, 200, "ends too early"},
		{"a list", 200, `[]`, 200, "not the JSON"},
		{"text for a status", 200, `{"status":"410"}`, 200, "not the JSON"},
		{"half a status", 200, `{"status":410.5}`, 200, "whole number"},
		{"a number for a token", 200, `{"token":5}`, 200, "token is not a string"},
		{"a large token", 200, `{"token":"` + strings.Repeat("x", 5000) + `"}`, 200, "token of more than"},
		{"messages of another kind", 200, `{"messages":{}}`, 200, "messages is not an array"},
		{"a message of another kind", 200, `{"messages":[1]}`, 200, "a message is not a string"},
		{"two answers", 200, `{"status":410,` + aToken + `}{}`, 200, "something follows"},
		{"not found", 404, "nothing here", 404, ""},
		{"bad gateway", 502, "<html>", 502, ""},
		{"no content", 204, "", 204, ""},
		{"410 of a proxy", 410, `{"status":410,` + aToken + `}`, 410, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				spy := h.Spy()
				spy.Answering("GET", func(r *http.Request, _ string) (*http.Response, error) {
					return harness.Respond(r, test.status, test.body), nil
				})
				c, err := phoenix.LongPoll(nil).Dial(t.Context(), h.PollRequest(spy.Client()))
				if test.want == 0 {
					if err != nil {
						t.Fatal(err)
					}
					_ = c.Close(t.Context(), 0, "")
					return
				}
				he := harness.WantStatus(t, err, test.want)
				if test.err == "" && he.Err != nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("Dial = %v, want %q in it", err, test.err)
				}
				// A token is secret even where it opens no session.
				body := test.body
				if test.status == 200 {
					body = strings.ReplaceAll(body, aToken, `"token":"[redacted]"`)
				}
				if len(body) < 4096 && string(he.Body) != body[:min(len(body), 1024)] || he.Header.Get("Content-Type") == "" {
					t.Errorf("body %q, header %v", he.Body, he.Header)
				}
			})
		})
	}
}

func TestAnAnswerThatBreaksOffIsNoRefusal(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		spy := h.Spy()
		broken := errors.New("broken")
		for _, end := range []io.Reader{strings.NewReader(""), &failingReader{broken}} {
			spy.Answering("GET", func(r *http.Request, _ string) (*http.Response, error) {
				resp := harness.Respond(r, 200, "")
				resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"messages":[],"status":4`), end))
				return resp, nil
			})
			_, err := phoenix.LongPoll(nil).Dial(t.Context(), h.PollRequest(spy.Client()))
			if he := (*phoenix.HandshakeError)(nil); err == nil || errors.As(err, &he) {
				t.Errorf("Dial = %v", err)
			}
		}
	})
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestAnswersToLaterPolls(t *testing.T) {
	errBroken := errors.New("broken")
	for _, test := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		status int // of the PollError; 0 for none
		err    string
	}{
		{"another session", status200(`{"messages":[],"status":410,"token":"SFMyNTY.new"}`), 410, "410 Gone"},
		{"refused", status200(`{"status":403}`), 403, ""},
		{"not in time", status200(`{"status":408}`), 408, ""},
		{"no status", status200(`{"messages":[]}`), 200, "no status"},
		{"a page", status200(`<html>`), 200, "unexpected '<'"},
		{"nothing", status200(``), 200, "ends too early"},
		{"half an answer", status200(`{"messages":["`), 0, "ends too early"},
		{"crash", func(r *http.Request) (*http.Response, error) { return harness.Respond(r, 500, "crash"), nil }, 500, ""},
		{"redirect", func(r *http.Request) (*http.Response, error) { return harness.Respond(r, 302, ""), nil }, 302, ""},
		{"network", func(*http.Request) (*http.Response, error) { return nil, errBroken }, 0, "broken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				spy := h.Spy()
				s := h.Connected(&phoenix.SocketOptions{HTTPClient: spy.Client()})
				c := h.Joined(s, "room:1", nil)
				h.Until(time.Second)
				push := h.GoPush(t.Context(), c, "silent", nil)
				once := false
				spy.Answering("GET", func(r *http.Request, _ string) (*http.Response, error) {
					if once {
						return nil, nil //nolint:nilnil // it is the server's
					}
					once = true
					return test.answer(r)
				})
				// The poll that waits brings nothing; the next one is answered.
				err := h.WantLost(s, c, 10*time.Second, nil)
				harness.WantPushError(t, (<-push).Err, true, phoenix.ErrConnectionLost)
				if test.status != 0 {
					harness.WantPollError(t, err, "GET", test.status)
				}
				if !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "vsn") || strings.Contains(err.Error(), "SFM") {
					t.Errorf("lost: %v", err)
				}
			})
		})
	}
}

// A message is handed out when it is there, not when the answer is.
func TestMessagesAreHandedOutAsTheyCome(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		spy := h.Spy()
		s := h.Connected(&phoenix.SocketOptions{
			HTTPClient: spy.Client(), Transport: phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: 10500 * time.Millisecond}),
		})
		c := h.Joined(s, "room:1", nil)
		synctest.Wait()
		sub := c.Subscribe(nil)
		body, w := io.Pipe()
		once := false
		spy.Answering("GET", func(r *http.Request, _ string) (*http.Response, error) {
			if once {
				return nil, nil //nolint:nilnil // it is the server's
			}
			once = true
			resp := harness.Respond(r, 200, "")
			resp.Body, resp.ContentLength = body, -1
			return resp, nil
		})
		h.Srv.Broadcast("room:1", "first", nil) // ends the poll that waits
		go func() {
			write := func(part string) {
				_, _ = io.WriteString(w, part)
				time.Sleep(7 * time.Second) // each part is a sign of life
			}
			write(`{"messages":["[null,null,\"room:1\",\"se`)
			write(`cond\",{}]"`)
			write(`,"[null,null,\"room:1\",\"third\",{}]"]`)
			write(`,"status":200,` + aToken)
			_, _ = io.WriteString(w, "}")
			_ = w.Close()
		}()
		for _, want := range []struct {
			event string
			at    time.Duration
		}{{"first", 0}, {"second", 7 * time.Second}, {"third", 14 * time.Second}} {
			if m, err := sub.Next(t.Context()); err != nil || m.Event != want.event {
				t.Errorf("Next = %v, %v", m, err)
			}
			h.At(want.at)
		}
		h.Until(28 * time.Second)
		h.Srv.Broadcast("room:1", "fourth", nil)
		if m, err := sub.Next(t.Context()); err != nil || m.Event != "fourth" {
			t.Errorf("Next = %v, %v", m, err)
		}
		if n := s.Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Whoever answers polls by himself, without a wait, is not asked in a loop.
func TestEmptyAnswersThatComeAtOnceArePaced(t *testing.T) {
	for name, body := range map[string]string{"204": `{"messages":[],"status":204}`, "200": `{"messages":[],"status":200}`} {
		t.Run(name, func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				spy := h.Spy()
				conn := h.DialPoll(nil, spy.Client())
				spy.Answering("GET", func(r *http.Request, _ string) (*http.Response, error) {
					return harness.Respond(r, 200, body), nil
				})
				time.AfterFunc(950*time.Millisecond, func() { _ = conn.Close(t.Context(), 0, "") })
				if _, err := conn.ReadFrame(); err == nil {
					t.Error("ReadFrame of nothing")
				}
				h.At(950 * time.Millisecond)
				var at []time.Duration
				for _, r := range spy.Requests("GET")[1:] {
					at = append(at, r.At)
				}
				harness.WantTimes(t, at, 0, 100*time.Millisecond, 200*time.Millisecond, 300*time.Millisecond, 400*time.Millisecond, 500*time.Millisecond, 600*time.Millisecond, 700*time.Millisecond, 800*time.Millisecond, 900*time.Millisecond)
			})
		})
	}
}

func TestARequestWithoutProgressEndsTheSession(t *testing.T) {
	for _, test := range []struct {
		timeout, want time.Duration
	}{{0, 20 * time.Second}, {12 * time.Second, 12 * time.Second}, {time.Minute, time.Minute}} {
		t.Run(test.want.String(), func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(&phoenix.SocketOptions{Transport: phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: test.timeout})})
				c := h.Joined(s, "room:1", nil)
				h.Until(5 * time.Second)
				h.Conn().Blackhole()
				var ne interface{ Timeout() bool }
				// The poll began at the start.
				if err := h.WantLost(s, c, test.want, nil); !errors.As(err, &ne) || !ne.Timeout() || !strings.Contains(err.Error(), "for "+test.want.String()) {
					t.Errorf("lost: %v", err)
				}
			})
		})
	}
}

func TestWithoutATimeoutASilentSessionIsNeverGivenUp(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Transport: phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: -1})})
		h.Conn().Blackhole()
		h.Until(24 * time.Hour)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
	})
}

func TestAPostWithoutAnAnswerEndsTheSession(t *testing.T) {
	for _, test := range []struct {
		name string
		life []time.Duration // when messages come on the poll
		want time.Duration
	}{
		{"silence", nil, 25 * time.Second},
		{"signs of life", []time.Duration{15 * time.Second, 34 * time.Second}, 54 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				spy := h.Spy()
				s := h.Connected(&phoenix.SocketOptions{HTTPClient: spy.Client()})
				c := h.Joined(s, "room:1", nil)
				h.Until(5 * time.Second)
				spy.Answering("POST", func(r *http.Request, _ string) (*http.Response, error) { return nil, harness.Never(r) })
				posted := c.PushAsync(t.Context(), "echo", 1)
				synctest.Wait()
				kept := c.PushAsync(t.Context(), "echo", 2)
				for _, at := range test.life {
					time.AfterFunc(at-h.Now(), func() { h.Srv.Broadcast("room:1", "alive", nil) })
				}
				at, err := h.LossAt(s)
				if at != test.want {
					t.Errorf("lost at %v, want %v", at, test.want)
				}
				if !strings.Contains(err.Error(), "for 20s") || !strings.Contains(err.Error(), "POST") {
					t.Errorf("lost: %v", err)
				}
				spy.Answering("", nil)
				_, err = posted.Wait(t.Context())
				harness.WantPushError(t, err, true, err)
				_, err = kept.Wait(t.Context())
				harness.WantPushError(t, err, false, phoenix.ErrTimeout) // of 10 s
			})
		})
	}
}

func TestTheFirstPollIsBoundedByTheAttempt(t *testing.T) {
	for _, test := range []struct {
		name          string
		socket, polls time.Duration
		want          time.Duration
		err           string
	}{
		{"default", 0, 0, 10 * time.Second, "timed out after 10s while waiting for the server to open a long-poll session"},
		{"the socket's", 3 * time.Second, 0, 3 * time.Second, "timed out after 3s while waiting for the server to open a long-poll session"},
		{"long poll's", -1, 0, 20 * time.Second, "no answer and no other sign of life for 20s"},
		{"the shorter one", 0, 5 * time.Second, 5 * time.Second, "for 5s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				h.Srv.HangRequests(true)
				s := h.Socket(&phoenix.SocketOptions{
					Timeout: test.socket, Transport: phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: test.polls}),
				})
				events := h.WatchSocket(s)
				done := make(chan error, 1)
				go func() { done <- s.Connect(t.Context()) }()
				h.Until(test.want)
				h.Srv.HangRequests(false)
				if err := <-done; err != nil {
					t.Error(err)
				}
				h.At(test.want + time.Second)
				for _, ev := range events.List() {
					if ev.State == phoenix.SocketWaiting && !strings.Contains(ev.Err.Error(), test.err) {
						t.Errorf("the attempt failed with %v, want %q in it", ev.Err, test.err)
					}
				}
			})
		})
	}
}

// While a session is at a join/3 it does not notice a new poll, and after two
// seconds the server answers that with 410.
func TestSlowJoinsDoNotCostTheSession(t *testing.T) {
	for _, test := range []struct {
		name  string
		start time.Duration
		joins []string
		want  []time.Duration
	}{
		// A poll ends after 10 s without a message.
		{"one, with the end of a poll in it", 8 * time.Second, []string{"slow:5s"}, []time.Duration{13 * time.Second}},
		{"two, with the end of a poll in them", 8 * time.Second, []string{"slow:1:3s", "slow:2:2500ms"}, []time.Duration{13500 * time.Millisecond, 13500 * time.Millisecond}},
		// The first reply ends the poll. Since that join was slow, the next poll waits.
		{"three", time.Second, []string{"slow:1:3s", "slow:2:3s", "slow:3:3s"}, []time.Duration{4 * time.Second, 10 * time.Second, 10 * time.Second}},
		// But for 8 s at most, which is to say until 12 s.
		{
			"five", time.Second,
			[]string{"slow:1:3s", "slow:2:3s", "slow:3:3s", "slow:4:3s", "slow:5:3s"},
			[]time.Duration{4 * time.Second, 13 * time.Second, 13 * time.Second, 13 * time.Second, 16 * time.Second},
		},
		// The next poll need not wait for these.
		{"quick ones", time.Second, []string{"slow:1:1900ms", "slow:2:1900ms", "slow:3:1900ms"}, []time.Duration{2900 * time.Millisecond, 4800 * time.Millisecond, 6700 * time.Millisecond}},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				h.Srv.Handle("slow:*", harness.SlowChannel())
				spy := h.Spy()
				s := h.Connected(&phoenix.SocketOptions{HTTPClient: spy.Client()})
				c := h.Joined(s, "room:1", nil)
				h.Until(test.start - time.Second)
				// Let the joins travel together.
				spy.Answering("POST", func(*http.Request, string) (*http.Response, error) {
					spy.Answering("", nil)
					time.Sleep(time.Second)
					return nil, nil //nolint:nilnil // it is the server's
				})
				c.PushAsync(t.Context(), "silent", nil)
				synctest.Wait()
				var joins []<-chan harness.Outcome
				for _, topic := range test.joins {
					joins = append(joins, h.GoJoin(t.Context(), h.Channel(s, topic, nil)))
				}
				for i, join := range joins {
					harness.WantOK(t, <-join, test.want[i])
				}
				if n := s.Stats().Connects; n != 1 {
					t.Errorf("%d connections", n)
				}
				h.WantReceived("", "phx_leave", 0)
			})
		})
	}
}

func TestASlowJoinDoesNotHoldUpClose(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("slow:*", harness.SlowChannel())
		s := h.Connected(nil)
		h.Until(8 * time.Second)
		h.GoJoin(t.Context(), h.Channel(s, "slow:9s", nil))
		h.Until(11 * time.Second) // the poll ended at 10 s
		h.WantClosed(s)
		h.At(11 * time.Second)
	})
}

func TestAJoinLongerThanTheWindowCostsTheSession(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("slow:*", harness.SlowChannel())
		s := h.Connected(nil)
		c := h.Channel(s, "slow:10001ms", &phoenix.ChannelOptions{Timeout: time.Minute})
		go c.Join(t.Context())
		at, err := h.LossAt(s)
		harness.WantPollError(t, err, "POST", 408)
		if at != 10*time.Second {
			t.Errorf("lost at %v", at)
		}
		_ = s.Close()
	})
}

// What a session sends while nobody polls is kept for the next poll, until the
// server gives it up, which it looks for every 15 s.
func TestASessionThatIsNotPolledExpires(t *testing.T) {
	for _, test := range []struct {
		silence time.Duration
		expires bool
	}{{25 * time.Second, false}, {35 * time.Second, true}} {
		t.Run(test.silence.String(), func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				hold := make(chan struct{})
				s := h.Connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{FrameIn: func(f phoenix.Frame) {
					if strings.Contains(string(f.Data), "hold") {
						<-hold // and with it the reader
					}
				}}})
				c := h.Joined(s, "room:1", nil)
				sub := h.Record(c.Subscribe(nil))
				h.Until(time.Second)
				h.Srv.Broadcast("room:1", "hold", nil)
				h.Until(2 * time.Second)
				h.Srv.Broadcast("room:1", "kept", nil)
				h.Until(test.silence)
				close(hold)
				if !test.expires {
					h.Until(test.silence)
					harness.WantStrings(t, "subscription", sub.List(), "hold {}", "kept {}")
					return
				}
				harness.WantPollError(t, h.WantLost(s, c, test.silence+2*time.Second, nil), "GET", 410)
				harness.WantStrings(t, "subscription", sub.List(), "hold {}", "gap {}")
			})
		})
	}
}
