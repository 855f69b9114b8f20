package demo_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
)

// echo prints what is typed.
func echo(ctx context.Context, app *demo.App) error {
	for line := range app.Lines(ctx) {
		app.Printf("echo %s", line)
	}
	return nil
}

func TestLines(t *testing.T) {
	t.Parallel()
	script := []demo.Step{{Type: "a", Until: "echo a"}, {Type: "/down 1s"}, {Type: "/quit"}, {Type: "b"}}
	failing := errors.New("failing")
	for name, tt := range map[string]struct {
		cfg    demo.Config
		script []demo.Step
		want   string
		err    string
	}{
		"typed":           {demo.Config{Stdin: strings.NewReader("x\n\ny\x1b[1m\n/quit\nz\n")}, script, "echo x\necho y[1m\n", ""},
		"nothing typed":   {demo.Config{}, script, "> a\necho a\n> /down 1s\n> /quit\n", ""},
		"no script":       {demo.Config{}, nil, "", ""},
		"elsewhere":       {demo.Config{URL: "ws://example.com/socket"}, script, "", ""},
		"commands":        {demo.Config{Stdin: strings.NewReader("/down\n/up\n/down 1m\n/down soon\n")}, nil, "! for how long? /down 2s\n", ""},
		"not ours":        {demo.Config{URL: "ws://example.com/socket", Stdin: strings.NewReader("/down\n")}, nil, "echo /down\n", ""},
		"a line is late":  {demo.Config{}, []demo.Step{{Type: "a", Until: "b"}}, "> a\necho a\n", `script: no line with "b" within 15s`},
		"a line is typed": {demo.Config{}, []demo.Step{{Type: "a", Until: "> a"}}, "> a\necho a\n", `script: no line with "> a" within 15s`},
		"a step fails": {demo.Config{}, []demo.Step{
			{Do: func(context.Context, *demo.App) error { return failing }}, {Type: "a"},
		}, "", "failing"},
		"cannot read": {demo.Config{Stdin: iotest.ErrReader(failing)}, nil, "", "failing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var stdout bytes.Buffer
				tt.cfg.Stdout = &stdout
				err := demo.Example{Run: echo, Script: tt.script}.Exec(t.Context(), tt.cfg)
				if got := stdout.String(); got != tt.want {
					t.Errorf("output %q, want %q", got, tt.want)
				}
				if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
					t.Errorf("got error %v, want %q", err, tt.err)
				}
			})
		})
	}
}

// TestLinesEndWithContext has the script wait for what does not come.
func TestLinesEndWithContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := demo.Example{Run: echo, Script: []demo.Step{{Until: "never"}}}.Exec(ctx, demo.Config{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v, want that of the ctx", err)
		}
	})
}

// TestSockets connects to the server inside the program, and has it go away for a
// while.
func TestSockets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		err := demo.Example{Run: func(ctx context.Context, app *demo.App) error {
			socket, err := phoenix.NewSocket(app.URL, app.SocketOptions())
			if err != nil {
				return err
			}
			if err := socket.Connect(ctx); err != nil {
				return err
			}
			app.Down(time.Minute)
			synctest.Wait()
			if socket.State() == phoenix.SocketOpen {
				t.Error("the server is down, and the socket open")
			}
			time.Sleep(61 * time.Second)
			if socket.State() != phoenix.SocketOpen {
				t.Error("the server is up, and the socket not open")
			}
			return demo.Leave(ctx, socket)
		}}.Exec(t.Context(), demo.Config{Verbose: true, Stderr: &stderr})
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(stderr.String(), "frame") {
			t.Errorf("the log has no frames: %s", &stderr)
		}
	})
}

// TestServerElsewhere logs what is wrong with it.
func TestServerElsewhere(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	ex := demo.Example{Run: func(ctx context.Context, app *demo.App) error {
		socket, err := phoenix.NewSocket(app.URL, app.SocketOptions())
		if err != nil {
			return err
		}
		defer socket.Close()
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		return socket.Connect(ctx)
	}}
	err := ex.Exec(t.Context(), demo.Config{URL: "ws://127.0.0.1:1/socket", Token: "secret", Stderr: &stderr})
	if err == nil || !strings.Contains(stderr.String(), "connection refused") {
		t.Errorf("error %v, log %q", err, &stderr)
	}
}

// TestHistogramIsCumulative compares with the text format of Prometheus: a bucket
// has all that is not above its limit.
func TestHistogramIsCumulative(t *testing.T) {
	t.Parallel()
	var h demo.Histogram
	for _, d := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond, 50 * time.Millisecond, 3 * time.Second, time.Minute} {
		h.Observe(d)
	}
	var got strings.Builder
	h.Write(&got, "reply_seconds")
	const want = `# TYPE reply_seconds histogram
reply_seconds_bucket{le="0.001"} 2
reply_seconds_bucket{le="0.01"} 3
reply_seconds_bucket{le="0.1"} 4
reply_seconds_bucket{le="1"} 4
reply_seconds_bucket{le="10"} 5
reply_seconds_bucket{le="+Inf"} 6
reply_seconds_sum 63.053
reply_seconds_count 6
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}
