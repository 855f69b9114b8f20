package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/phoenixtest"
)

const sceneText = `--- ann enters with a laptop
* ann is here
1 here
  ann      Ann Example      here (laptop)
--- bob enters with a laptop
* bob came, here (laptop)
--- bob enters with a phone
* bob is here with one more device, here (phone)
2 here
  ann      Ann Example      here (laptop)
  bob      Bob Example      here (laptop), here (phone)
* bob is now writing (laptop)
2 here
  ann      Ann Example      here (laptop)
  bob      Bob Example      here (phone), writing (laptop)
--- bob leaves with the phone
* bob went with a device, here (phone)
--- cleo enters with a tablet
* cleo came, here (tablet)
3 here
  ann      Ann Example      here (laptop)
  bob      Bob Example      writing (laptop)
  cleo     Cleo Example     here (tablet)
--- the server goes away
3 here, or not: the list is stale
  ann      Ann Example      here (laptop)
  bob      Bob Example      writing (laptop)
  cleo     Cleo Example     here (tablet)
--- bob leaves with the laptop
--- cleo leaves with the tablet
--- the server is back
* ann has been away and is back
* bob has gone meanwhile
* cleo has gone meanwhile
1 here
  ann      Ann Example      here (laptop)
--- cleo enters with a phone
* cleo came, here (phone)
--- cleo leaves with the phone
* cleo went
1 here
  ann      Ann Example      here (laptop)
`

func TestScene(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), nil, strings.NewReader(""), &stdout, &stderr); err != nil {
			t.Errorf("run without flags and without a terminal: %v", err)
		}
		if diff := cmp.Diff(sceneText, stdout.String()); diff != "" {
			t.Errorf("transcript (-want +got):\n%s", diff)
		}
		if stderr.Len() > 0 {
			t.Errorf("standard error: %s", &stderr)
		}
	})
}

// TestSceneFails makes sure that what is not told is an error.
func TestSceneFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &server{phoenixtest.NewServer(t, &phoenixtest.Options{FetchPresences: fetch})}
		deaf := roomChannel()
		deaf.Events = phoenixtest.Events{
			"status": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.OK(nil) },
		}
		srv.Handle("room:*", deaf)
		const want = `waiting until ann is told "bob is now writing (laptop)": context deadline exceeded`
		if err := play(t.Context(), testConfig(srv), srv, io.Discard); err == nil || err.Error() != want {
			t.Errorf("play with a status that is not tracked: got error %v, want %s", err, want)
		}
	})
}

// An attendance is a run of attend, and what can be done to it.
type attendance struct {
	srv       *server
	keyboard  *io.PipeWriter
	stdout    *bytes.Buffer
	interrupt func()
	done      chan error
}

func attending(t *testing.T, do func(t *testing.T, v *attendance)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stdin, keyboard := io.Pipe()
		defer keyboard.Close()
		v := &attendance{newServer(t), keyboard, &bytes.Buffer{}, cancel, make(chan error, 1)}
		commands := map[string]func(){"/down": v.srv.Down, "/up": v.srv.Up}
		go func() { v.done <- attend(ctx, testConfig(v.srv), v.srv.options(), commands, stdin, v.stdout) }()
		synctest.Wait()
		do(t, v)
	})
}

func (v *attendance) types(line string) {
	io.WriteString(v.keyboard, line+"\n")
	time.Sleep(time.Second)
	synctest.Wait()
}

func (v *attendance) check(t *testing.T, wantErr string, want ...string) {
	t.Helper()
	if err := <-v.done; (err == nil) != (wantErr == "") || err != nil && err.Error() != wantErr {
		t.Errorf("attend: got error %v, want %q", err, wantErr)
	}
	if diff := cmp.Diff(strings.Join(want, "\n")+"\n", v.stdout.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestAttend(t *testing.T) {
	attending(t, func(t *testing.T, v *attendance) {
		v.types("reading")
		v.types("/down")
		v.types("writing") // waits, and is what the rejoin says, too
		v.types("/up")
		v.types("/quit")
		v.check(t, "",
			"* connecting to ws://phoenix.test/socket",
			"1 here", "  eve      Eve Example      here (terminal)",
			"* eve is now reading (terminal)",
			"* /down", "1 here, or not: the list is stale",
			"* /up",
			"* eve has been away and is back",
			"1 here", "  eve      Eve Example      writing (terminal)",
			"* eve is now writing (terminal)")
	})
}

func TestAttendEnds(t *testing.T) {
	here := []string{"* connecting to ws://phoenix.test/socket", "1 here", "  eve      Eve Example      here (terminal)"}
	t.Run("with stdin", func(t *testing.T) {
		attending(t, func(t *testing.T, v *attendance) {
			v.keyboard.Close()
			v.check(t, "", here...)
		})
	})
	t.Run("interrupted", func(t *testing.T) {
		attending(t, func(t *testing.T, v *attendance) {
			v.interrupt()
			v.check(t, "", here...)
		})
	})
	t.Run("closed by the server", func(t *testing.T) {
		attending(t, func(t *testing.T, v *attendance) {
			if room, ok := v.srv.Conns()[0].Channel("room:lobby"); ok {
				room.Exit(phoenixtest.Stop())
			}
			v.check(t, "the room is closed: phoenix: channel closed by the server", here...)
		})
	})
	t.Run("during an outage", func(t *testing.T) {
		attending(t, func(t *testing.T, v *attendance) {
			v.types("/down")
			v.types("lost")
			v.keyboard.Close()
			v.check(t, "phoenix: context deadline exceeded", append(here, "* /down", "1 here, or not: the list is stale",
				`* phoenix: push "status" on "room:lobby": never sent: socket closed`)...)
		})
	})
}

// TestVisitors makes sure that they come, go, and are gone in the end.
func TestVisitors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		cfg := testConfig(srv)
		c, err := newClient(cfg, srv.options())
		if err != nil {
			t.Fatal(err)
		}
		came, went := map[string]int{}, map[string]int{}
		c.presence.OnJoin(func(ch change) { came[ch.Key]++ })
		c.presence.OnLeave(func(ch change) { went[ch.Key]++ })
		if err := c.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		visitors := startVisitors(ctx, cfg, srv)
		time.Sleep(10 * time.Minute)
		srv.Down()
		time.Sleep(time.Minute)
		srv.Up()
		time.Sleep(10 * time.Minute)
		cancel()
		visitors.Wait()
		synctest.Wait()
		if c.presence.Len() != 1 {
			t.Errorf("left over: %v", lines(c.presence.Snapshot()))
		}
		for _, name := range []string{"ann", "bob", "cleo"} {
			if came[name] < 10 || went[name] < 10 {
				t.Errorf("%s came %d times and went %d times in 20 minutes", name, came[name], went[name])
			}
		}
		if err := c.leave(t.Context()); err != nil {
			t.Error(err)
		}
		<-c.socket.Done()
	})
}

// TestScreen looks at what a terminal shows.
func TestScreen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		c, err := newClient(testConfig(srv), srv.options())
		if err != nil {
			t.Fatal(err)
		}
		tty := &terminal{}
		s := newScreen(tty, c.presence.Snapshot, "room:\x1b[31mlobby", []string{"/quit"})
		tty.want(t, "room:[31mlobby: type a status, or /quit", ">")
		s.note("connecting")
		if err := c.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.list()
		io.WriteString(tty, "busy\n") // is echoed
		s.note("eve is here")
		tty.want(t, "room:[31mlobby: type a status, or /quit", "> busy", "",
			"1 here", "  eve      Eve Example      here (terminal)", "", "00:00:00 connecting", "00:00:00 eve is here")
		s.lineRead()
		room, _ := srv.Conns()[0].Channel("room:lobby")
		for i := range 12 {
			if err := room.Track("guest"+strconv.Itoa(i), meta{"new", "\x1b[2Jphone"}); err != nil {
				t.Fatal(err)
			}
			s.note("note " + strconv.Itoa(i))
		}
		synctest.Wait()
		s.list()
		want := []string{"room:[31mlobby: type a status, or /quit", ">", "", "13 here", "  eve      Eve Example      here (terminal)"}
		for _, i := range []int{0, 1, 10, 11, 2, 3, 4, 5, 6} {
			n := strconv.Itoa(i)
			want = append(want, "  guest"+(n + "   ")[:max(3, len(n))]+" "+("Guest" + n + " Example    ")[:16]+" new ([2Jphone)")
		}
		want = append(want, "  … and 3 more", "")
		for i := 6; i < 12; i++ {
			want = append(want, "00:00:00 note "+strconv.Itoa(i))
		}
		tty.want(t, want...)
		for i := range 12 {
			room.Untrack("guest" + strconv.Itoa(i))
		}
		synctest.Wait()
		s.list()
		want = append(append([]string{want[0], want[1], "", "1 here", want[4]}, want[15:]...), "")
		tty.want(t, want[:len(want)-1]...)
		s.close()
		io.WriteString(tty, "$ ")
		tty.want(t, append(want, "$")...)
		if err := c.leave(t.Context()); err != nil {
			t.Error(err)
		}
		<-c.socket.Done()
	})
}

// A terminal understands what a screen sends.
type terminal struct {
	rows     [][]rune
	row, col int
	saved    [2]int
}

var escape = regexp.MustCompile(`^\x1b(?:\[([?0-9;]*)([a-zA-Z])|[78])`)

func (tt *terminal) Write(p []byte) (int, error) {
	for text := string(p); text != ""; {
		if m := escape.FindStringSubmatch(text); m != nil {
			tt.obey(m[0], m[1], m[2])
			text = text[len(m[0]):]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\n': // with a carriage return, as the terminal's driver makes of it
			tt.row, tt.col = tt.row+1, 0
		case '\r':
			tt.col = 0
		default:
			for len(tt.rows) <= tt.row {
				tt.rows = append(tt.rows, nil)
			}
			for len(tt.rows[tt.row]) <= tt.col {
				tt.rows[tt.row] = append(tt.rows[tt.row], ' ')
			}
			tt.rows[tt.row][tt.col] = r
			tt.col++
		}
	}
	return len(p), nil
}

func (tt *terminal) obey(all, args, command string) {
	switch command {
	case "":
		if all == "\x1b7" {
			tt.saved = [2]int{tt.row, tt.col}
		} else {
			tt.row, tt.col = tt.saved[0], tt.saved[1]
		}
	case "J":
		tt.rows = nil
	case "H":
		tt.row, tt.col = 0, 0
		if row, _, ok := strings.Cut(args, ";"); ok {
			n, _ := strconv.Atoi(row)
			tt.row = n - 1
		}
	case "K":
		if tt.row < len(tt.rows) {
			tt.rows[tt.row] = tt.rows[tt.row][:min(tt.col, len(tt.rows[tt.row]))]
		}
	}
}

var clock = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d`)

// want compares what is shown, without the time and without empty rows at the end.
func (tt *terminal) want(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, row := range tt.rows {
		got = append(got, clock.ReplaceAllString(strings.TrimRight(string(row), " "), "00:00:00"))
	}
	for len(got) > 0 && got[len(got)-1] == "" {
		got = got[:len(got)-1]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
}

func TestDescribesWhatOtherServersTrack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		c, err := newClient(testConfig(srv), srv.options())
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		note := func(ch change) { told = append(told, describe(ch)) }
		c.presence.OnJoin(note)
		c.presence.OnUpdate(note)
		if err := c.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		room, _ := srv.Conns()[0].Channel("room:lobby")
		diff := `{"joins":{"x":{"metas":[{"status":7,"phx_ref":"1"}]%s}},"leaves":{}}`
		for _, fields := range []string{``, `,"full_name":7`} {
			room.Push("presence_diff", json.RawMessage(strings.Replace(diff, "%s", fields, 1)))
		}
		synctest.Wait()
		want := []string{"eve is here", "x came, something else", "x has another name"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if got := lines(c.presence.Snapshot()); strings.Join(strings.Fields(got[2]), " ") != "x something else" {
			t.Errorf("shown: %q", got)
		}
		if err := c.leave(t.Context()); err != nil {
			t.Error(err)
		}
		<-c.socket.Done()
	})
}

// TestURL looks at a server over TCP, outside of a bubble.
func TestURL(t *testing.T) {
	t.Parallel()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	srv.Handle("room:*", roomChannel())
	var stdout, stderr bytes.Buffer
	args := []string{"-url", srv.URL(), "-topic", "room:attic", "-name", "eve", "-device", "pipe"}
	if err := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); err != nil {
		t.Errorf("run -url: %v", err)
	}
	want := "* connecting to " + srv.URL() + "\n1 here\n  eve                       here (pipe)\n"
	if got := stdout.String(); got != want {
		t.Errorf("output: got %q, want %q", got, want)
	}
	if err := run(t.Context(), []string{"-url", srv.URL(), "-name", ""}, strings.NewReader(""), &stdout, &stderr); err == nil {
		t.Error("joined without a name")
	}
	if err := run(t.Context(), []string{"-nonsense"}, strings.NewReader(""), &stdout, &stderr); err == nil {
		t.Error("no error for a flag that there is not")
	}
}

// TestNoState makes sure that a server that pushes no state is told from one that is
// slow.
func TestNoState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &server{phoenixtest.NewServer(t, nil)}
		srv.Handle("room:*", phoenixtest.Channel{})
		err := attend(t.Context(), testConfig(srv), srv.options(), nil, strings.NewReader(""), io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), "the server does not push presence_state after the join: ") {
			t.Errorf("attend: %v", err)
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
	for name, stream := range map[string]any{"the null device": null, "a pipe": r, "a reader": strings.NewReader("")} {
		if isTerminal(stream) {
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
	return config{url: srv.URL(), topic: "room:lobby", name: "eve", device: "terminal"}
}
