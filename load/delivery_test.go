package load_test

import (
	"context"
	"testing"
	"time"

	"github.com/phxgo/phoenix/load"
	"github.com/phxgo/phoenix/phoenixtest"
)

// shouting joins a room, listens and publishes.
func shouting(event string, reply bool) func(ctx context.Context, u *load.User) error {
	return func(ctx context.Context, u *load.User) error {
		room, err := u.Join(ctx, "room:lobby", &load.JoinOptions{Listen: []string{"shout"}})
		if err != nil {
			return err
		}
		return u.Each(ctx, func(ctx context.Context) error {
			payload := map[string]string{"body": "hello"}
			if reply {
				_, err := room.Publish(ctx, event, payload)
				return err
			}
			return room.PublishCast(ctx, event, payload)
		})
	}
}

// Every message is counted at every other member, with or without an echo.
func TestDelivery(t *testing.T) {
	for _, c := range []struct {
		event string
		reply bool
	}{{"shout", true}, {"whisper", false}} {
		t.Run(c.event, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *phoenixtest.Server) {
				server.Delay(5*time.Millisecond, 5*time.Millisecond)
				r := run(t, on(server, load.Scenario{User: shouting(c.event, c.reply), Users: 10, Rate: 50, Duration: 10 * time.Second}))
				d := r.Delivery
				if d == nil || d.Published != 500 || d.Expected != 4500 || d.Received != 4500 || d.Lost+d.Gap+d.Dropped+d.Undecided+d.OutOfOrder+d.Duplicates+d.Foreign != 0 {
					t.Fatalf("%+v", d)
				}
				if l := r.Latency["delivery"]; l.Count != 4500 || l.Min.Round(time.Millisecond) != 5*time.Millisecond || l.Max.Round(time.Millisecond) != 5*time.Millisecond {
					t.Errorf("delivery: %+v", l)
				}
			})
		})
	}
}

// A server that loses messages: each one is named, and none that was not lost.
func TestLost(t *testing.T) {
	type lost struct {
		seq      uint64
		receiver int
	}
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		var missing []lost
		n := 0
		server.Handle("lossy:*", phoenixtest.Channel{
			Join: func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				var who struct{ ID int }
				if err := p.Decode(&who); err != nil {
					return phoenixtest.Error(nil)
				}
				c.Assign("id", who.ID)
				return phoenixtest.OK(nil)
			},
			Events: phoenixtest.Events{"shout": func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				c.BroadcastFrom("shout", p)
				return phoenixtest.OK(nil)
			}},
			Intercept: map[string]func(*phoenixtest.Context, phoenixtest.Payload){
				"shout": func(c *phoenixtest.Context, p phoenixtest.Payload) {
					id, _ := c.Get("id").(int)
					if id == 7 { // one of the receivers gets all but each hundredth
						if n++; n%100 == 0 {
							missing = append(missing, lost{load.SeqOf(p.Bytes()), id})
							return
						}
					}
					c.Push("shout", p)
				},
			},
		})
		r := run(t, on(server, load.Scenario{
			Users: 10, Rate: 100, Duration: 10 * time.Second,
			User: func(ctx context.Context, u *load.User) error {
				room, err := u.Join(ctx, "lossy:1", &load.JoinOptions{Params: map[string]int{"id": u.ID()}, Listen: []string{"shout"}})
				if err != nil {
					return err
				}
				return u.Each(ctx, func(ctx context.Context) error {
					_, err := room.Publish(ctx, "shout", nil)
					return err
				})
			},
		}))
		d := r.Delivery
		if d.Lost != int64(len(missing)) || len(missing) != 9 || d.Expected != 9000 || d.Received != 8991 || d.Undecided+d.Gap+d.OutOfOrder != 0 {
			t.Fatalf("%d are missing: %+v", len(missing), d)
		}
		for i, m := range d.Missing {
			if m.Seq != missing[i].seq || m.Receiver != 7 || m.Topic != "lossy:1" || m.Publisher == 7 || m.Publisher == 0 {
				t.Errorf("named %+v, missing %+v", m, missing[i])
			}
		}
		if len(r.Warnings) != 1 || r.Warnings[0].Code != "lost" {
			t.Errorf("warnings %v", r.Warnings)
		}
	})
}

// The network loses one message in ten thousand, and the report names each.
func TestLossyNetwork(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		go func() {
			time.Sleep(2 * time.Second) // once all have joined
			server.Lose(0.0001)
			time.Sleep(20 * time.Second)
			server.Lose(0)
		}()
		r := run(t, on(server, load.Scenario{User: shouting("whisper", false), Users: 40, Rate: 100, Duration: 25 * time.Second}))
		d := r.Delivery
		if d.Published != 2500 || d.Expected != 97500 || d.Lost < 2 || d.Lost > 20 || d.Received+d.Lost != d.Expected || int64(len(d.Missing)) != d.Lost {
			t.Errorf("%+v", d)
		}
	})
}

// After a storm all users come back, and what they missed meanwhile is not called
// lost.
func TestStorm(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		r := run(t, on(server, load.Scenario{
			User: shouting("shout", true), Users: 20, Rate: 50, Duration: 30 * time.Second,
			Storms: []time.Duration{10 * time.Second},
		}))
		if len(r.Storms) != 1 {
			t.Fatalf("storms %+v", r.Storms)
		}
		s := r.Storms[0]
		if s.Cut != 20 || s.Back != 20 || s.Took < 100*time.Millisecond || s.Took > 2*time.Second {
			t.Errorf("%+v", s)
		}
		if l := r.Latency["back"]; l == nil || l.Count != 20 || l.Max < s.Took*999/1000 {
			t.Errorf("back: %+v, storm %+v", l, s)
		}
		if r.Counts.Reconnects != 20 || r.Counts.Rejoins != 20 || r.Errors["gap"].Count != 20 {
			t.Errorf("%+v, errors %v", r.Counts, r.Errors)
		}
		if d := r.Delivery; d.Lost != 0 || d.Gap == 0 {
			t.Errorf("%+v", d)
		}
	})
}

// Reordered messages are noticed, and are not lost.
func TestOutOfOrder(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		go func() {
			time.Sleep(2 * time.Second)
			server.Reorder(100 * time.Millisecond)
		}()
		r := run(t, on(server, load.Scenario{User: shouting("whisper", false), Users: 2, Rate: 50, Duration: 10 * time.Second}))
		if d := r.Delivery; d.Lost != 0 || d.OutOfOrder == 0 || d.Received != d.Expected || d.Expected != 500 {
			t.Errorf("%+v", d)
		}
	})
}

// Doubled messages are noticed.
func TestDuplicates(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		go func() {
			time.Sleep(2 * time.Second)
			server.Duplicate(1)
		}()
		r := run(t, on(server, load.Scenario{User: shouting("whisper", false), Users: 2, Rate: 50, Duration: 10 * time.Second}))
		if d := r.Delivery; d.Lost != 0 || d.Duplicates < 350 || d.Received != 500 {
			t.Errorf("%+v", d)
		}
	})
}

// What the server refuses, and what nobody answers, is counted by its kind, once.
func TestErrors(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		turn := 0
		r := run(t, on(server, load.Scenario{
			Users: 1, Think: 100 * time.Millisecond, Ramp: time.Nanosecond, Duration: 30 * time.Second,
			User: func(ctx context.Context, u *load.User) error {
				room, err := u.Join(ctx, "room:lobby", nil)
				if err != nil {
					return err
				}
				return u.Each(ctx, func(ctx context.Context) error {
					event := "refuse"
					if turn++; turn == 2 {
						event = "whisper" // no reply: 10 s until the timeout
					}
					_, err := room.Push(ctx, event, nil)
					return err
				})
			},
		}))
		if n := r.Errors["timeout"].Count; n != 1 {
			t.Errorf("%d timeouts", n)
		}
		if e := r.Errors["reply"]; e.Count != r.Counts.Turns-1 || len(e.Examples) != 1 || e.Examples[0].Count != e.Count {
			t.Errorf("%+v of %d turns", e, r.Counts.Turns)
		}
		if r.ErrorCount() != r.Counts.Turns || r.ErrorRate() < 0.98 || r.ErrorRate() > 1 {
			t.Errorf("%d errors, %v of %d operations", r.ErrorCount(), r.ErrorRate(), r.Counts.Operations)
		}
	})
}

// A server that refuses everybody ends the test soon.
func TestRefused(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		server.RefuseNext(-1, 403, nil, "")
		for name, s := range map[string]load.Scenario{
			"closed":   {Users: 5, Duration: time.Hour},
			"open":     {Users: 5, Rate: 10, Duration: time.Hour},
			"arrivals": {Arrivals: 10, Duration: time.Hour},
		} {
			s.User = pinging
			began := time.Now()
			r, err := load.Run(t.Context(), on(server, s))
			if err == nil || r != nil || time.Since(began) > 10*time.Second {
				t.Errorf("%s: report %v, error %v after %v", name, r, err, time.Since(began))
			}
		}
	})
}
