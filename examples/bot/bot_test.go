package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
)

const asBot = "PHOENIX_EXAMPLE_BOT"

// TestMain lets the test binary be the bot, for TestSignals.
func TestMain(m *testing.M) {
	if os.Getenv(asBot) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const transcript = `* http://127.0.0.1:N/metrics
* the bot is here
> !roll
bot: you rolled N.
> /down 200ms
* the bot is here
> !roll
bot: you rolled N.
`

func TestScript(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if err := example.Exec(t.Context(), demo.Config{Stdout: &stdout, Stderr: &stderr}); err != nil {
		t.Errorf("%v; the log is:\n%s", err, &stderr)
	}
	got := regexp.MustCompile(`(:|rolled )\d+`).ReplaceAllString(stdout.String(), "${1}N")
	if diff := cmp.Diff(transcript, got); diff != "" {
		t.Errorf("transcript (-want +got):\n%s", diff)
	}
	for _, want := range []string{"level=INFO msg=ending", "component=phoenix"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &stderr)
		}
	}
}

// A stage is a bot that runs on a server elsewhere.
type stage struct {
	srv   *phoenixtest.Server
	asked chan struct{} // gets something when the bot begins to say something
	ended chan error
	stop  func()
}

// onStage starts a bot, and waits until it is in the room. say is the server's
// handler of what it says.
func onStage(t *testing.T, say func(c *phoenixtest.Context)) *stage {
	t.Helper()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	st := &stage{srv: srv, asked: make(chan struct{}, 10), ended: make(chan error, 1)}
	here := make(chan struct{}, 10)
	srv.Handle("room:*", phoenixtest.Channel{
		Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			c.Send(func(*phoenixtest.Context) { here <- struct{}{} })
			return phoenixtest.OK(nil)
		},
		Events: phoenixtest.Events{"say": func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			st.asked <- struct{}{}
			say(c)
			return phoenixtest.OK(nil)
		}},
	})
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	st.stop = stop
	out, stdout := io.Pipe()
	go func() { st.ended <- example.Exec(ctx, demo.Config{URL: srv.URL(), Stdout: stdout}) }()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasSuffix(line, "/metrics\n") {
		t.Fatalf("the bot has printed %q, %v", line, err)
	}
	<-here
	return st
}

func (st *stage) ask() { st.srv.Broadcast(*topic, "line", line{"ann", "!roll"}) }

func TestMetrics(t *testing.T) {
	t.Parallel()
	st := onStage(t, func(*phoenixtest.Context) {})
	st.srv.Broadcast(*topic, "line", line{"ann", "hello"}) // is not for the bot
	st.ask()
	<-st.asked
	st.stop()
	if err := <-st.ended; err != nil {
		t.Error(err)
	}
	if n := len(st.srv.Received(*topic, "say")); n != 1 {
		t.Errorf("the bot has said %d lines, want one", n)
	}

	var m metrics
	trace := m.trace()
	ctx := trace.PushStart(t.Context(), phoenix.PushStartInfo{})
	trace.PushDone(ctx, phoenix.PushDoneInfo{})
	trace.PushDone(ctx, phoenix.PushDoneInfo{Err: phoenix.ErrTimeout})
	trace.Disconnected(phoenix.ErrConnectionLost)
	var text strings.Builder
	m.write(&text)
	for _, want := range []string{
		"bot_outages_total 1\n", "bot_push_errors_total 1\n",
		"bot_reply_seconds_bucket{le=\"10\"} 1\nbot_reply_seconds_bucket{le=\"+Inf\"} 1\n", "bot_reply_seconds_count 1\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the metrics lack %q:\n%s", want, &text)
		}
	}
}

// TestHealth is 503 during an outage.
func TestHealth(t *testing.T) {
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		srv.Handle("room:*", phoenixtest.Channel{})
		socket, err := phoenix.NewSocket(srv.URL(), &phoenix.SocketOptions{HTTPClient: srv.HTTPClient()})
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		room, err := socket.Channel(*topic, nil)
		if err != nil {
			t.Fatal(err)
		}
		b := &bot{socket: socket, room: room}
		check := func(path string, want int) {
			t.Helper()
			synctest.Wait()
			w := httptest.NewRecorder()
			b.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
			if w.Code != want {
				t.Errorf("%s: status %d, want %d", path, w.Code, want)
			}
		}
		check("/healthz", http.StatusServiceUnavailable)
		if _, err := demo.Enter(t.Context(), room); err != nil {
			t.Fatal(err)
		}
		check("/healthz", http.StatusOK)
		srv.Down()
		check("/healthz", http.StatusServiceUnavailable)
		srv.Up()
		time.Sleep(time.Minute)
		check("/healthz", http.StatusOK)
		check("/metrics", http.StatusOK)
	})
}

// TestEndFinishesWhatWasBegun tells the bot to end while a reply is awaited.
func TestEndFinishesWhatWasBegun(t *testing.T) {
	t.Parallel()
	reply := make(chan struct{})
	st := onStage(t, func(*phoenixtest.Context) { <-reply })
	st.ask()
	<-st.asked
	st.stop()
	select {
	case err := <-st.ended:
		t.Fatalf("the bot has ended while a reply was awaited: %v", err)
	default:
	}
	close(reply)
	if err := <-st.ended; err != nil {
		t.Error(err)
	}
	if n := len(st.srv.Received(*topic, "phx_leave")); n != 1 {
		t.Errorf("the bot has left %d times, want once", n)
	}
}

func TestEndsByItself(t *testing.T) {
	t.Parallel()
	st := onStage(t, func(*phoenixtest.Context) {})
	room, _ := st.srv.Conns()[0].Channel(*topic)
	room.Exit(phoenixtest.Stop())
	if err := <-st.ended; err == nil || !strings.Contains(err.Error(), "the server has closed the room") {
		t.Errorf("got error %v", err)
	}
	refusing := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	err := example.Exec(t.Context(), demo.Config{URL: refusing.URL()})
	if err == nil || !strings.Contains(err.Error(), "unmatched topic") {
		t.Errorf("a room that is not there: got error %v", err)
	}
}

// TestSignals runs the program, and ends it as systemd and Kubernetes do: at once if
// nothing is under way, and at the end of the grace if a reply does not come.
func TestSignals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		sig   os.Signal
		reply phoenixtest.Reply
		want  string
	}{
		{syscall.SIGTERM, phoenixtest.OK(nil), ""},
		{os.Interrupt, phoenixtest.OK(nil), ""},
		{syscall.SIGTERM, phoenixtest.NoReply(), "error: the bot could not end in peace within 100ms"},
	} {
		srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
		asked := make(chan struct{}, 10)
		srv.Handle("room:*", phoenixtest.Channel{
			Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
				c.Send(func(c *phoenixtest.Context) { c.Push("line", line{"ann", "!roll"}) })
				return phoenixtest.OK(nil)
			},
			Events: phoenixtest.Events{"say": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
				asked <- struct{}{}
				return tt.reply
			}},
		})
		args := []string{"-url", srv.URL()}
		if tt.want != "" {
			args = append(args, "-grace", "100ms")
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
		cmd.Env = append(os.Environ(), asBot+"=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-asked
		if err := cmd.Process.Signal(tt.sig); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); (err == nil) != (tt.want == "") || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%v: %v, and the log is:\n%s", tt.sig, err, &stderr)
		}
	}
}
