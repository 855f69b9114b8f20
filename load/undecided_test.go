package load_test

import (
	"testing"
	"time"

	"github.com/phxgo/phoenix/load"
	"github.com/phxgo/phoenix/phoenixtest"
)

// Messages of pushes that nobody answered may not have been broadcast: they are not
// called lost.
func TestUndecided(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		go func() {
			time.Sleep(8 * time.Second)
			for _, c := range server.Conns() {
				c.Blackhole()
			}
		}()
		r := run(t, on(server, load.Scenario{User: shouting("shout", true), Users: 3, Rate: 10, Duration: 10 * time.Second}))
		if d := r.Delivery; d.Published != 100 || d.Lost != 0 || d.Undecided < 36 || d.Undecided > 44 || d.Received+d.Undecided != 200 {
			t.Errorf("%+v", d)
		}
	})
}

// A user that leaves right after a message was sent to it has not lost it.
func TestLeavingReceivers(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		server.Delay(50*time.Millisecond, 50*time.Millisecond)
		r := run(t, on(server, load.Scenario{
			User: shouting("whisper", false), Think: 20 * time.Millisecond,
			Stages: []load.Stage{{For: time.Second, To: 10}, {For: 10 * time.Second, To: 1}},
		}))
		if d := r.Delivery; d.Lost != 0 || d.Undecided == 0 || d.Received+d.Undecided != d.Expected {
			t.Errorf("%+v", d)
		}
	})
}
