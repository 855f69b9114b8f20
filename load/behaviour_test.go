package load_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/load"
	"github.com/phxgo/phoenix/phoenixtest"
)

// Stamps travel in binary data, and wherever a function puts them.
func TestPublishedPayloads(t *testing.T) {
	for name, payload := range map[string]any{
		"nothing":    nil,
		"an object":  map[string]any{"body": "hi"},
		"empty":      struct{}{},
		"binary":     phoenix.Binary{0, 1, 2},
		"a function": func(stamp string) any { return map[string]any{"deep": []string{"in", stamp}} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *phoenixtest.Server) {
				var last phoenix.Payload
				r := run(t, on(server, load.Scenario{Users: 3, Rate: 10, Duration: 10 * time.Second, User: func(ctx context.Context, u *load.User) error {
					opts := &load.JoinOptions{Listen: []string{"shout"}}
					if u.ID() == 2 {
						opts.OnMessage = func(m *phoenix.Message) { last = m.Payload }
					}
					room, err := u.Join(ctx, "room:lobby", opts)
					if err != nil {
						return err
					}
					return u.Each(ctx, func(ctx context.Context) error {
						_, err := room.Publish(ctx, "shout", payload)
						return err
					})
				}}))
				if d := r.Delivery; d == nil || d.Published != 100 || d.Received != 200 || d.Lost != 0 {
					t.Errorf("%+v", d)
				}
				if _, binary := payload.(phoenix.Binary); last.IsBinary() != binary {
					t.Errorf("received %v", last)
				}
			})
		})
	}
}

// What cannot carry a stamp is refused, and does not count as published: also an
// object in which the server would find another value in the place of the stamp.
func TestUnstampable(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, `{"a": "load"}`: true, `{"a": {"load": 1}}`: true, `[1]`: false, `1`: false, `{"a": 1, "load": 1}`: false,
	} {
		if err := load.Stampable([]byte(text)); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		r := run(t, on(server, load.Scenario{Users: 1, Rate: 1, Duration: 5 * time.Second, User: func(ctx context.Context, u *load.User) error {
			room, err := u.Join(ctx, "room:lobby", nil)
			if err != nil {
				return err
			}
			return u.Each(ctx, func(ctx context.Context) error {
				return room.PublishCast(ctx, "shout", []int{1})
			})
		}}))
		if r.Errors["other"] == nil || r.Errors["other"].Count != 5 || r.Delivery != nil {
			t.Errorf("errors %v, %+v", r.Errors, r.Delivery)
		}
	})
}

// A slow user reads late, and only that one.
func TestSlowUsers(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		r := run(t, on(server, load.Scenario{
			User: shouting("whisper", false), Users: 10, Rate: 200, Duration: 20 * time.Second,
			Slow: 100 * time.Millisecond, SlowShare: 0.3,
		}))
		l := r.Latency["delivery"]
		h, err := l.Histogram()
		if err != nil {
			t.Fatal(err)
		}
		if share := h.Share(50 * time.Millisecond); share < 0.1 || share > 0.2 || l.Max < 90*time.Millisecond || l.P50 > 20*time.Millisecond {
			t.Errorf("%.2f are late, p50 %v, max %v", share, l.P50, l.Max)
		}
		if r.Delivery.Lost != 0 || r.ErrorCount() != 0 {
			t.Errorf("%+v, errors %v", r.Delivery, r.Errors)
		}
	})
}

// A function that does not call Each is run again and again in the closed model.
func TestSessions(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		r := run(t, on(server, load.Scenario{Users: 1, Think: time.Second, Ramp: time.Nanosecond, Duration: 20 * time.Second, User: func(ctx context.Context, u *load.User) error {
			room, err := u.Join(ctx, "room:lobby", nil)
			if err != nil {
				return err
			}
			if err := u.Wait(ctx, time.Second); err != nil {
				return err
			}
			return room.Leave(ctx)
		}}))
		if r.Counts.Users != 10 || r.Counts.Joins != 10 || r.Counts.PeakUsers != 1 || r.ErrorCount() != 0 || r.Counts.Failed != 0 {
			t.Errorf("%+v, errors %v", r.Counts, r.Errors)
		}
	})
}

// An error of a user's own function is counted once, and the user begins again.
func TestFunctionThatFails(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		r := run(t, on(server, load.Scenario{Users: 1, Ramp: time.Nanosecond, Duration: 10*time.Second - time.Millisecond, User: func(ctx context.Context, u *load.User) error {
			if err := u.Connect(ctx); err != nil {
				return err
			}
			return errors.New("my own")
		}}))
		if e := r.Errors["other"]; e == nil || e.Count != 10 || e.Examples[0].Text != "my own" || r.Counts.Failed != 10 {
			t.Errorf("%+v, errors %v", r.Counts, r.Errors)
		}
	})
}

// More turns than may be under way are not begun, and the report says so.
func TestOverrun(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		server.Handle("deaf:*", phoenixtest.Channel{Default: func(*phoenixtest.Context, string, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.NoReply()
		}})
		patient := func(*load.User) *phoenix.SocketOptions { return &phoenix.SocketOptions{Timeout: time.Minute} }
		r := run(t, on(server, load.Scenario{Users: 1, Rate: 10, MaxTurns: 20, Duration: 5 * time.Second, Socket: patient, User: func(ctx context.Context, u *load.User) error {
			room, err := u.Join(ctx, "deaf:1", nil)
			if err != nil {
				return err
			}
			return u.Each(ctx, func(ctx context.Context) error {
				_, err := room.Push(ctx, "x", nil)
				return err
			})
		}}))
		if e := r.Errors["overrun"]; e == nil || e.Count != 30 || r.Counts.Unfinished != 20 {
			t.Errorf("%+v, errors %v", r.Counts, r.Errors)
		}
		codes := map[string]bool{}
		for _, w := range r.Warnings {
			codes[w.Code] = true
		}
		if !codes["overrun"] || !codes["unfinished"] {
			t.Errorf("warnings %v", r.Warnings)
		}
	})
}

// A generator that is too busy says so, and marks what it has measured meanwhile.
func TestBusyGenerator(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		s := on(server, load.Scenario{User: pinging, Users: 1, Rate: 10, Duration: 10 * time.Second})
		r := run(t, s.Busy(3*time.Second, 6*time.Second))
		m := r.Machines[0]
		if m.Suspect != 3 || m.PeakCPU < 0.99 || r.Latency["push"].Suspect < 29 || r.Latency["push"].Suspect > 31 {
			t.Errorf("%d of %d intervals, CPU %v, %d pushes", m.Suspect, m.Intervals, m.PeakCPU, r.Latency["push"].Suspect)
		}
		if len(r.Warnings) != 1 || r.Warnings[0].Code != "generator" {
			t.Errorf("warnings %v", r.Warnings)
		}
		if got := r.Series.Samples[4].Suspect; len(got) != 1 || got[0] != "cpu" {
			t.Errorf("suspect because of %v", got)
		}
	})
}

// Progress is told once a second, with what is going on.
func TestProgress(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		var all []load.Progress
		s := load.Scenario{User: pinging, Users: 10, Rate: 100, Stages: []load.Stage{{For: 5 * time.Second, To: 100}, {For: 5 * time.Second, To: 200}}}
		s.Progress = func(p load.Progress) { all = append(all, p) }
		run(t, on(server, s))
		if len(all) < 10 || len(all) > 12 {
			t.Fatalf("told %d times", len(all))
		}
		p := all[6]
		if p.Phase != "load" || p.Stage != 2 || p.Stages != 2 || p.Users != 10 || p.Target != 10 || p.Length != 10*time.Second ||
			p.PushRate < 120 || p.PushRate > 150 || p.Push.Count == 0 || p.Push.P50 < 9*time.Millisecond {
			t.Errorf("%+v", p)
		}
	})
}
