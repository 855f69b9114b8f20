package phoenix_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestWhatWaitsForAHookThatBlocksIsBoundedAndCounted(t *testing.T) {
	const pushes, limit = 10_000, 4096
	for name, size := range map[string]int{"in number": 10, "in bytes": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, h *harness) {
				reply := phoenixtest.OK(phoenixtest.JSON(`"` + strings.Repeat("x", size) + `"`))
				h.srv.Handle("big", phoenixtest.Channel{Events: phoenixtest.Events{
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
				log := &logRecorder{}
				s := h.connected(&phoenix.SocketOptions{
					Logger: slog.New(log),
					Trace: &phoenix.Trace{PushDone: func(context.Context, phoenix.PushDoneInfo) {
						<-release
						told.Add(1)
					}},
				})
				c := h.joined(s, "big", nil)
				start := h.now()
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
				if took := h.now() - start; took > 100*time.Millisecond {
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
				all := log.list()
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
