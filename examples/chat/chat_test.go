package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

const conversation = `Ann's screen                            Bob's screen
* joined room:lobby                     * joined room:lobby
> Hello, Bob!
ann: Hello, Bob!                        ann: Hello, Bob!
                                        > Hi, Ann! Ask the bot something.
bob: Hi, Ann! Ask the bot something.    bob: Hi, Ann! Ask the bot something.
> @bot Will it scale?
ann: @bot Will it scale?                ann: @bot Will it scale?
bot: ann, yes, in all its processes.    bot: ann, yes, in all its processes.
--- the server goes away ---
* away: connection lost                 * away: connection lost
> Bob? Do you read me?
> @bot Is anything lost?
--- the server is back ---
                                        * back; you may have missed something
* back; you may have missed something
ann: Bob? Do you read me?               ann: Bob? Do you read me?
ann: @bot Is anything lost?             ann: @bot Is anything lost?
bot: ann, no, and that is a feature.    bot: ann, no, and that is a feature.
                                        > I do, now that you are back.
bob: I do, now that you are back.       bob: I do, now that you are back.
* left room:lobby                       * left room:lobby
`

func TestConversation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), nil, strings.NewReader(""), &stdout, &stderr); err != nil {
			t.Errorf("run without flags and without a terminal: %v", err)
		}
		if diff := cmp.Diff(conversation, stdout.String()); diff != "" {
			t.Errorf("transcript (-want +got):\n%s", diff)
		}
		if stderr.Len() > 0 {
			t.Errorf("standard error: %s", &stderr)
		}
	})
}

func TestConversationShowsFrames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), []string{"-v"}, strings.NewReader(""), &stdout, &stderr); err != nil {
			t.Errorf("run -v: %v", err)
		}
		if diff := cmp.Diff(conversation, stdout.String()); diff != "" {
			t.Errorf("transcript (-want +got):\n%s", diff)
		}
		for _, want := range []string{
			`ann → ["2","3","room:lobby","shout",{"name":"ann","body":"Hello, Bob!"}]`,
			`bob ← [null,null,"room:lobby","shout",{"name":"ann","body":"Hello, Bob!"}]`,
			"ann × ",
		} {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("standard error lacks %s; it has:\n%s", want, &stderr)
			}
		}
	})
}

// TestConversationFails makes sure that a line that does not come is an error.
func TestConversationFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
			return m.Event == "shout" && strings.Contains(m.Payload.String(), "Do you read me?")
		})
		cfg := testConfig(srv)
		bot, err := startBot(t.Context(), cfg, srv.optionsFor("bot"))
		if err != nil {
			t.Fatal("startBot: ", err)
		}
		err = play(t.Context(), cfg, srv, bot, io.Discard)
		const want = `the screen of ann shows "ann: @bot Is anything lost?" where the script has "ann: Bob? Do you read me?"`
		if err == nil || err.Error() != want {
			t.Errorf("play with a shout lost: got error %v, want %s", err, want)
		}
		if err := bot.leave(t.Context()); err != nil {
			t.Error("bot.leave: ", err)
		}
	})
}

func TestTalk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		stdin, keyboard := io.Pipe()
		var stdout bytes.Buffer
		done := make(chan error, 1)
		go func() { done <- talk(t.Context(), testConfig(srv), srv.optionsFor("eve"), nil, stdin, &stdout) }()
		io.WriteString(keyboard, "hello\n\nan \x1b[31mescape\n")
		synctest.Wait()
		io.WriteString(keyboard, "/quit\nnot said\n")
		if err := <-done; err != nil {
			t.Errorf("talk: %v", err)
		}
		want := "* connecting to ws://phoenix.test/socket\n* joined room:lobby\neve: hello\neve: an [31mescape\n* left room:lobby\n"
		if diff := cmp.Diff(want, stdout.String()); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
}

// TestTalkDuringOutage makes sure that what is typed while the server is away
// arrives, and is told as lost if the server does not come back.
func TestTalkDuringOutage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		comes   bool
		want    []string // sorted: two goroutines tell about the end
		wantErr error
	}{
		{
			name: "short", comes: true,
			want: []string{
				"* away: connection lost", "* back; you may have missed something",
				"* connecting to ws://phoenix.test/socket", "* joined room:lobby", "* left room:lobby", "eve: hello?",
			},
		},
		{
			name: "long", wantErr: context.DeadlineExceeded,
			want: []string{
				"* away: connection lost",
				"* connecting to ws://phoenix.test/socket", "* joined room:lobby", "* left room:lobby",
				`not delivered: phoenix: push "shout" on "room:lobby": never sent: socket closed`,
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newServer(t)
				stdin, keyboard := io.Pipe()
				var stdout bytes.Buffer
				done := make(chan error, 1)
				go func() {
					done <- talk(t.Context(), testConfig(srv), srv.optionsFor("eve"), map[string]func(){"/up": srv.Up}, stdin, &stdout)
				}()
				synctest.Wait()
				srv.Down()
				synctest.Wait()
				io.WriteString(keyboard, "hello?\n")
				if tt.comes {
					io.WriteString(keyboard, "/up\n")
					time.Sleep(time.Second)
				}
				keyboard.Close()
				if err := <-done; !errors.Is(err, tt.wantErr) {
					t.Errorf("talk: got error %v, want %v", err, tt.wantErr)
				}
				got := strings.Split(strings.TrimSpace(stdout.String()), "\n")
				slices.Sort(got)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("output, sorted (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTalkEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		end     func(srv *server, interrupt func())
		wantErr string
	}{
		{"interrupted", func(_ *server, interrupt func()) { interrupt() }, ""},
		{"closed by the server", func(srv *server, _ func()) {
			room, ok := srv.Conns()[0].Channel("room:lobby")
			if ok {
				room.Exit(phoenixtest.Stop())
			}
		}, "the server closed the room"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newServer(t)
				stdin, keyboard := io.Pipe()
				defer keyboard.Close()
				var stdout bytes.Buffer
				ctx, interrupt := context.WithCancel(t.Context())
				defer interrupt()
				done := make(chan error, 1)
				go func() {
					done <- talk(ctx, testConfig(srv), srv.optionsFor("eve"), nil, stdin, &stdout)
				}()
				synctest.Wait()
				tt.end(srv, interrupt)
				if err := <-done; (err == nil) != (tt.wantErr == "") || err != nil && err.Error() != tt.wantErr {
					t.Errorf("talk: got error %v, want %q", err, tt.wantErr)
				}
				want := "* connecting to ws://phoenix.test/socket\n* joined room:lobby\n* left room:lobby\n"
				if tt.wantErr != "" {
					want = strings.Replace(want, "* left", "* phoenix: channel closed by the server\n* left", 1)
				}
				if stdout.String() != want {
					t.Errorf("output: got %q, want %q", &stdout, want)
				}
			})
		})
	}
}

func TestWrongToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		cfg := testConfig(srv)
		cfg.token = "guessed"
		opts := cfg.options()
		opts.HTTPClient = srv.HTTPClient()
		err := talk(t.Context(), cfg, opts, nil, strings.NewReader("hello\n"), io.Discard)
		var refused *phoenix.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden {
			t.Errorf("talk with a wrong token: got error %v, want a *HandshakeError with status 403", err)
		}
	})
}

// TestURL talks to a server over TCP, outside of a bubble.
func TestURL(t *testing.T) {
	t.Parallel()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	srv.Handle("room:*", roomChannel())
	var stdout, stderr bytes.Buffer
	args := []string{"-url", srv.URL(), "-topic", "room:attic", "-name", "eve"}
	if err := run(t.Context(), args, strings.NewReader("hello\n"), &stdout, &stderr); err != nil {
		t.Errorf("run -url: %v", err)
	}
	shouts := srv.Received("room:attic", "shout")
	if len(shouts) != 1 || shouts[0].Payload.String() != `{"name":"eve","body":"hello"}` {
		t.Errorf("the server received %v, want one shout: hello", shouts)
	}
	begin := "* connecting to " + srv.URL() + "\n* joined room:attic\n"
	end := "* left room:attic\n" // between them the shout, if it came back in time
	if got := stdout.String(); !strings.HasPrefix(got, begin) || !strings.HasSuffix(got, end) {
		t.Errorf("output: got %q, want it to begin with %q and to end with %q", got, begin, end)
	}
}

// What is piped in comes back before the program leaves, to the last line.
func TestPipedInputIsEchoedToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		srv.Delay(200*time.Millisecond, 200*time.Millisecond)
		var stdout strings.Builder
		err := talk(t.Context(), testConfig(srv), srv.optionsFor("eve"), nil, strings.NewReader("hello\nthe last line\n"), &stdout)
		if err != nil || !strings.Contains(stdout.String(), "the last line") {
			t.Errorf("talk = %v, printed %q", err, stdout.String())
		}
	})
}

func TestIsTerminal(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for name, stdin := range map[string]io.Reader{"the null device": null, "a pipe": r, "a reader": strings.NewReader("")} {
		if isTerminal(stdin) {
			t.Errorf("isTerminal says that %s is one", name)
		}
	}
}

func newServer(t *testing.T) *server {
	t.Helper()
	srv, err := startServer()
	if err != nil {
		t.Fatal("startServer: ", err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error("Close of the server: ", err)
		}
	})
	return srv
}

func testConfig(srv *server) config {
	return config{url: srv.URL(), topic: "room:lobby", name: "eve", frames: log.New(io.Discard, "", 0)}
}
