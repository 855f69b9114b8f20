package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/internal/memnet"
	"github.com/phxgo/phoenix/phoenixtest"
)

const topic = "room:lobby"

const script = `/healthz answers 200
guest: !help
bot: I know !roll 2d6, !remind 10m tea, !uptime and !help.
guest: !roll 2d6
bot: guest rolled N.
guest: !remind 100ms tea
bot: guest, I will.
bot: guest: tea!
--- the server goes away ---
/healthz answers 503
--- the server is back ---
/healthz answers 200
guest: !uptime
bot: guest, I have been up for 0s.
guest: !remind 1h cake
bot: guest, I will.
connects_ok is 2
disconnects is 1
joins_ok is 1
rejoins_ok is 1
commands is 5
reminders is 2
--- the bot is told to end ---
* the bot has left the room
* the bot has closed its connection
`

// testConfig is for a service in a bubble: its metrics are on a network in memory.
func testConfig(t *testing.T) config {
	t.Helper()
	lis := memnet.Listen("bot.test", 64<<10)
	transport := &http.Transport{DialContext: lis.DialContext}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		lis.Close()
	})
	return config{topic: topic, name: "bot", web: lis, logger: slog.New(slog.DiscardHandler), look: transport}
}

func TestScene(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout bytes.Buffer
		if err := embedded(t.Context(), testConfig(t), strings.NewReader(""), &stdout); err != nil {
			t.Errorf("embedded without a terminal: %v", err)
		}
		got := regexp.MustCompile(`rolled \d+`).ReplaceAllString(stdout.String(), "rolled N")
		if diff := cmp.Diff(script, got); diff != "" {
			t.Errorf("transcript (-want +got):\n%s", diff)
		}
	})
}

// TestSceneFails makes sure that the scene does not pass whatever happens.
func TestSceneFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*config)
		want   string
	}{
		"nobody may enter":  {func(cfg *config) { cfg.topic = "nowhere" }, "unmatched topic"},
		"the bot is silent": {func(cfg *config) { cfg.name = "guest" }, `waiting for "I know`},
		"no metrics":        {func(cfg *config) { cfg.look = nowhere{} }, "nowhere"},
		"the bot fails":     {func(cfg *config) { cfg.web.Close() }, "http: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := testConfig(t)
				tt.change(&cfg)
				err := embedded(t.Context(), cfg, strings.NewReader(""), io.Discard)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("embedded: got error %v, want %q", err, tt.want)
				}
			})
		})
	}
}

type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("nowhere") }

// A stage is a server and a service that runs on it.
type stage struct {
	t     *testing.T
	srv   *phoenixtest.Server
	bot   *service
	stop  context.CancelFunc
	ended chan error
	start time.Time
}

func onStage(t *testing.T, begin func(srv *phoenixtest.Server), f func(t *testing.T, st *stage)) {
	t.Helper()
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		begin(srv) // its routes come first
		srv.Handle("room:*", roomChannel())
		cfg := testConfig(t)
		cfg.url, cfg.options = srv.URL(), optionsFor(srv, cfg.name)
		bot, err := newService(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		st := &stage{t: t, srv: srv, bot: bot, stop: stop, ended: make(chan error, 1), start: time.Now()}
		go func() { st.ended <- bot.run(ctx) }()
		synctest.Wait()
		f(t, st)
		stop()
	})
}

func nothing(*phoenixtest.Server) {}

// asked has somebody say something in the room.
func (st *stage) asked(body string) {
	st.srv.Broadcast(topic, "line", line{From: "ann", Body: body})
	synctest.Wait()
}

// said returns what the bot has said.
func (st *stage) said() []string {
	synctest.Wait()
	var all []string
	for _, m := range st.srv.Received(topic, "say") {
		var l line
		if err := m.Payload.Decode(&l); err != nil {
			st.t.Error(err)
		}
		all = append(all, l.Body)
	}
	return all
}

func (st *stage) health() int {
	w := httptest.NewRecorder()
	st.bot.health(w, nil)
	return w.Code
}

// end tells the bot to end, and checks that it does so after some time.
func (st *stage) end(after time.Duration) error {
	st.t.Helper()
	told := time.Now()
	st.stop()
	err := <-st.ended
	if got := time.Since(told); got != after {
		st.t.Errorf("the bot has ended after %v, want %v", got, after)
	}
	return err
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"!help":                                  usage,
		"!help me":                               usage,
		"!roll 2d1":                              "ann rolled 2.",
		" !roll  100d1 ":                         "ann rolled 100.",
		"!roll":                                  "ann, I roll dice like 2d6.",
		"!roll 2":                                "ann, I roll dice like 2d6.",
		"!roll d6":                               "ann, I roll dice like 2d6.",
		"!roll 0d6":                              "ann, I roll dice like 2d6.",
		"!roll 101d6":                            "ann, I roll dice like 2d6.",
		"!roll 1d0":                              "ann, I roll dice like 2d6.",
		"!roll 1d1001":                           "ann, I roll dice like 2d6.",
		"!uptime":                                "ann, I have been up for 0s.",
		"!remind 10m tea":                        "ann, I will.",
		"!remind":                                "ann, I remind like this: !remind 10m tea",
		"!remind 10m":                            "ann, I remind like this: !remind 10m tea",
		"!remind soon tea":                       "ann, I remind like this: !remind 10m tea",
		"!remind -1s tea":                        "ann, I remind like this: !remind 10m tea",
		"!remind 25h tea":                        "ann, I remind like this: !remind 10m tea",
		"!remind 1s " + strings.Repeat("x", 201): "ann, I remind like this: !remind 10m tea",
		"!helpful":                               "",
		"help":                                   "",
		"":                                       "",
	} {
		t.Run(body, func(t *testing.T) {
			onStage(t, nothing, func(t *testing.T, st *stage) {
				st.asked(body)
				if got := strings.Join(st.said(), "; "); got != want {
					t.Errorf("%q: got %q, want %q", body, got, want)
				}
			})
		})
	}
}

func TestTheBotDoesNotAnswerItselfNorWhatIsNoLine(t *testing.T) {
	onStage(t, nothing, func(t *testing.T, st *stage) {
		st.srv.Broadcast(topic, "line", line{From: "bot", Body: "!help"})
		st.srv.Broadcast(topic, "line", "!help")
		st.srv.Broadcast(topic, "noise", line{From: "ann", Body: "!help"})
		if got := st.said(); len(got) > 0 {
			t.Errorf("the bot has said %q", got)
		}
	})
}

func TestRemindersComeInTime(t *testing.T) {
	onStage(t, nothing, func(t *testing.T, st *stage) {
		st.asked("!remind 2h tea")
		st.asked("!remind 1h cake")
		time.Sleep(time.Hour)
		if got := st.said(); len(got) != 3 || got[2] != "ann: cake!" {
			t.Errorf("after an hour: %q", got)
		}
		time.Sleep(time.Hour)
		if got := st.said(); len(got) != 4 || got[3] != "ann: tea!" {
			t.Errorf("after two hours: %q", got)
		}
		if err := st.end(0); err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// TestServiceWaitsForItsServer starts the bot before the server.
func TestServiceWaitsForItsServer(t *testing.T) {
	onStage(t, (*phoenixtest.Server).Down, func(t *testing.T, st *stage) {
		time.Sleep(time.Minute)
		if got := st.health(); got != http.StatusServiceUnavailable {
			t.Errorf("health without a server: %d", got)
		}
		st.srv.Up()
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if got := st.health(); got != http.StatusOK {
			t.Errorf("health: %d", got)
		}
	})
}

func TestServiceMayBeToldToEndBeforeThereIsAServer(t *testing.T) {
	onStage(t, (*phoenixtest.Server).Down, func(t *testing.T, st *stage) {
		if err := st.end(0); err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func TestServiceFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		begin func(srv *phoenixtest.Server)
		act   func(st *stage)
		want  string
	}{
		"it is refused": {func(srv *phoenixtest.Server) {
			srv.RefuseNext(1, http.StatusForbidden, nil, "")
		}, func(*stage) {}, "room: phoenix: the server answered the handshake with HTTP status 403"},
		"it may not join": {func(srv *phoenixtest.Server) {
			srv.Handle(topic, phoenixtest.Channel{Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.Error(map[string]string{"reason": "full"})
			}})
		}, func(*stage) {}, `room: phoenix: join on "room:lobby": status "error": full`},
		"the room is closed": {nothing, func(st *stage) {
			room, _ := st.srv.Conns()[0].Channel(topic)
			room.Exit(phoenixtest.Stop())
		}, "worker: phoenix: channel closed by the server"},
		"the port is gone": {nothing, func(st *stage) { st.bot.web.Close() }, "http: "},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, tt.begin, func(t *testing.T, st *stage) {
				tt.act(st)
				if err := <-st.ended; err == nil || !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("run: got error %v, want %q", err, tt.want)
				}
			})
		})
	}
}

// TestEndFinishesWhatWasBegun tells the bot to end while a reply is awaited.
func TestEndFinishesWhatWasBegun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		takes, want time.Duration
		err         error
	}{
		"in time":      {2 * time.Second, 2 * time.Second, nil},
		"for too long": {time.Hour, grace, errHasty},
	} {
		t.Run(name, func(t *testing.T) {
			slow := func(srv *phoenixtest.Server) {
				srv.Handle(topic, phoenixtest.Channel{Events: phoenixtest.Events{
					"say": func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
						c.Sleep(tt.takes)
						return phoenixtest.OK(nil)
					},
				}})
			}
			onStage(t, slow, func(t *testing.T, st *stage) {
				st.asked("!help")
				if err := st.end(tt.want); !errors.Is(err, tt.err) {
					t.Errorf("run: got error %v, want %v", err, tt.err)
				}
				if got := st.bot.metrics.vars.Get("pushes_ok"); (got != nil) != (tt.err == nil) {
					t.Errorf("pushes_ok is %v", got)
				}
				// What is asked now is nobody's any more.
				st.asked("!help")
				if got := st.said(); len(got) != 1 {
					t.Errorf("the bot has said %q", got)
				}
			})
		})
	}
}

// TestEndDuringAnOutage has nothing to wait for, but what waits to be said.
func TestEndDuringAnOutage(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		asked string
		back  time.Duration // after the end was told; 0: never
		want  time.Duration
		err   error
		said  int
	}{
		"idle":                          {"!help", 0, 0, nil, 1},
		"with something to be said":     {"!remind 1m tea", 0, grace, errHasty, 1},
		"with something that gets said": {"!remind 1m tea", 1950 * time.Millisecond, 1960 * time.Millisecond, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, nothing, func(t *testing.T, st *stage) {
				st.asked(tt.asked)
				st.srv.Down()
				time.Sleep(time.Minute + time.Second)
				if tt.back > 0 {
					time.AfterFunc(tt.back, st.srv.Up) // between two attempts to connect
				}
				if err := st.end(tt.want); !errors.Is(err, tt.err) {
					t.Errorf("run: got error %v, want %v", err, tt.err)
				}
				if got := st.said(); len(got) != tt.said {
					t.Errorf("the bot has said %q", got)
				}
			})
		})
	}
}

func TestASlowWorkerDoesNotHoldUpTheOthers(t *testing.T) {
	slow := func(srv *phoenixtest.Server) {
		srv.Handle(topic, phoenixtest.Channel{Events: phoenixtest.Events{
			"say": func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				if strings.Contains(p.String(), "rolled") {
					return phoenixtest.NoReply() // and so that worker waits
				}
				return phoenixtest.OK(nil)
			},
		}})
	}
	onStage(t, slow, func(t *testing.T, st *stage) {
		for range workers - 1 {
			st.asked("!roll 1d1")
		}
		st.asked("!help")
		if got := st.said(); len(got) != workers || got[workers-1] != usage {
			t.Errorf("the bot has said %q", got)
		}
		time.Sleep(10 * time.Second) // Timeout
		st.asked("!help")
		if got := st.said(); len(got) != workers+1 {
			t.Errorf("the bot has said %q", got)
		}
	})
}
