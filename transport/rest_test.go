//go:build !js

package transport

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/internal/durations"
)

func TestARequestOfALongPollHasTimeToBeReadAfterAStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &pollConn{timeout: 20 * time.Second}
		for _, stopped := range []time.Duration{0, time.Minute} {
			start := time.Now()
			r := c.newRequest(t.Context(), "GET")
			r.mu.Lock()
			r.due = r.due.Add(-stopped) // the timer fires that much too late
			r.mu.Unlock()
			<-r.ctx.Done()
			want := 20 * time.Second
			if stopped > 0 {
				want += durations.Grace
			}
			if took := time.Since(start); took != want {
				t.Errorf("stopped for %v, the request ends after %v, want %v", stopped, took, want)
			}
			r.end()
		}
	})
}

func TestAConnectionGivesItsMemoryBackWhenItRests(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	cork := newCorkConn(ours)
	ws := &softWSConn{wsConn{cork: cork}}
	ws.starts, cork.out = []int64{1}, []byte("x")[:0]
	ws.Rest()
	if ws.starts != nil || cork.out != nil {
		t.Error("a writer that has nothing to write keeps its memory")
	}
	cork.out = []byte("not sent")
	ws.Rest()
	if string(cork.out) != "not sent" {
		t.Error("what was not sent is lost")
	}
}
