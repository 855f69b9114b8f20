package phoenix_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
)

func TestEveryEndThatWeDidNotAskForReconnects(t *testing.T) {
	for _, test := range []struct {
		name   string
		code   int // 0 cuts
		spread time.Duration
	}{
		{"1000", 1000, 0},
		{"1001", 1001, 0},
		{"1002", 1002, 0},
		{"1005", 1005, 0},
		{"1009", 1009, 0},
		{"1011", 1011, 0},
		{"1012", 1012, time.Second},
		{"4000", 4000, 0},
		{"cut", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *harness) {
				var times recorder[time.Duration]
				s := h.connected(&phoenix.SocketOptions{Trace: h.attemptsIn(&times)})
				c := h.joined(s, "room:1", nil)
				events := h.watchSocket(s)
				h.until(20 * time.Second)
				reason := "because"
				switch test.code {
				case 0:
					h.conn().Cut()
				case 1005:
					reason = ""
					fallthrough
				default:
					h.conn().Close(test.code, reason)
				}
				h.until(25 * time.Second)
				wantSocketState(t, s, phoenix.SocketOpen)
				if got := c.State(); got != phoenix.ChannelJoined {
					t.Errorf("the channel is %v", got)
				}
				at := times.list()
				if len(at) != 2 || at[1] < 21*time.Second || at[1] > 21*time.Second+test.spread {
					t.Errorf("attempts are at %v", at)
				}
				if test.code != 0 {
					wantClose(t, events.list()[1].Err, test.code, reason)
				}
			})
		})
	}
}

func TestTheJitterOf1012IsSpread(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		distinct := map[time.Duration]bool{}
		for range 20 {
			s := h.connected(nil)
			start := h.now()
			h.conn().Close(1012, "")
			for ev := range s.Events(t.Context()) {
				if ev.State == phoenix.SocketWaiting {
					distinct[ev.RetryAt.Sub(h.start)-start] = true
				}
				if ev.State == phoenix.SocketOpen && len(distinct) > 0 && s.Stats().Connects == 2 {
					break
				}
			}
			_ = s.Close()
			synctest.Wait()
		}
		if len(distinct) < 15 {
			t.Errorf("delays are %v", distinct)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		value  func(h *harness) string
		want   time.Duration
	}{
		{"seconds", 503, func(*harness) string { return "7" }, 7 * time.Second},
		{"429", 429, func(*harness) string { return "7" }, 7 * time.Second},
		{"date", 503, func(h *harness) string {
			return h.start.Add(9 * time.Second).UTC().Format(http.TimeFormat)
		}, 9 * time.Second},
		{"past date", 503, func(h *harness) string {
			return h.start.Add(-9 * time.Second).UTC().Format(http.TimeFormat)
		}, time.Second},
		{"shorter than the backoff", 503, func(*harness) string { return "0" }, time.Second},
		{"nonsense", 503, func(*harness) string { return "soon" }, time.Second},
		{"negative", 503, func(*harness) string { return "-5" }, time.Second},
		{"a year", 503, func(*harness) string { return "31536000" }, time.Hour},
		{"more than a number holds", 503, func(*harness) string { return "99999999999999999999" }, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				h.srv.RefuseNext(1, test.status, http.Header{"Retry-After": {test.value(h)}}, "")
				h.connected(nil)
				h.at(test.want)
			})
		})
	}
}

func TestOnceOpenARefusalIsRetried(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 410} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				var times recorder[time.Duration]
				s := h.connected(&phoenix.SocketOptions{Trace: h.attemptsIn(&times)})
				h.srv.RefuseNext(2, status, nil, "")
				h.conn().Cut()
				h.until(10 * time.Second)
				wantSocketState(t, s, phoenix.SocketOpen)
				wantTimes(t, times.list(), 0, 1*time.Second, 2*time.Second, 3*time.Second)
			})
		})
	}
}

func TestAConnectAfterADisconnectIsAFirstOneAgain(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.srv.RefuseNext(1, 403, nil, "")
		wantStatus(t, s.Connect(t.Context()), 403)
		h.at(0)
	})
}

func TestRetryIfDecidesWhichFailuresAreRetried(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		var asked recorder[error]
		var no atomic.Bool
		s := h.socket(&phoenix.SocketOptions{RetryIf: func(err error) bool {
			asked.add(err)
			return !no.Load()
		}})
		h.srv.RefuseNext(1, 403, nil, "")
		if err := s.Connect(t.Context()); err != nil {
			t.Fatalf("a 403 that RetryIf retries ends Connect: %v", err)
		}
		h.at(time.Second)
		no.Store(true)
		c := h.joined(s, "room:1", nil)
		h.conn().Close(4001, "banned")
		synctest.Wait()
		wantSocketState(t, s, phoenix.SocketDisconnected)
		all := asked.list()
		if len(all) != 2 {
			t.Fatalf("RetryIf was asked about %v", all)
		}
		wantStatus(t, all[0], 403)
		wantClose(t, all[1], 4001, "banned")

		h.srv.RefuseNext(1, 503, nil, "")
		wantStatus(t, s.Connect(t.Context()), 503)
		h.at(time.Second)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Errorf("the channel did not rejoin: %v", err)
		}
	})
}

func TestRetryIfIsNotAskedAboutOurOwnEnds(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var asked recorder[error]
		retryIf := func(err error) bool { asked.add(err); return false }
		s := h.connected(&phoenix.SocketOptions{RetryIf: retryIf})
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = h.connected(&phoenix.SocketOptions{RetryIf: retryIf})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if all := asked.list(); len(all) != 0 {
			t.Errorf("RetryIf was asked about %v", all)
		}
		h.at(0)
	})
}

func TestACertificateThatDoesNotVerifyEndsAFirstConnect(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		bad := &tls.CertificateVerificationError{Err: errors.New("expired")}
		client := &http.Client{Transport: roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, bad })}
		err := h.socket(&phoenix.SocketOptions{HTTPClient: client}).Connect(t.Context())
		h.at(0)
		if got := (*tls.CertificateVerificationError)(nil); !errors.As(err, &got) {
			t.Errorf("Connect = %v", err)
		}
	})
}
