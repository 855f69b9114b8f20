package main_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/phoenixtest"
)

func TestListen(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	p := phx("listen", "room:1", "room:2", "room:1", "--event", "news", "--event", "data", "--count", "3", "--url", server.URL()).Start(t)
	p.Stderr.WaitFor("listening to room:2") // the last one
	server.Broadcast("room:1", "news", map[string]int{"n": 1})
	server.Broadcast("room:1", "other", nil)
	p.Stdout.WaitFor("\n")
	server.Broadcast("room:2", "data", phoenixtest.Binary{1, 2})
	p.Stdout.WaitFor("2 bytes")
	server.Broadcast("room:2", "news", phoenixtest.JSON(`"text"`))
	check(t, p.Wait(), 0, `room:1 news {"n":1}
room:2 data binary, 2 bytes: AQI=
room:2 news "text"
`)
}

// TestListenShowsGaps cuts the connection, crashes the channel, and ends it.
func TestListenShowsGaps(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			server := newServer(t, nil)
			p := phx("listen", "room:1", "--json="+map[string]string{"text": "false", "json": "true"}[format], "--url", server.URL()).Start(t)
			p.Stderr.WaitFor("listening")
			conn := server.ExpectConnect()
			conn.Cut()
			conn = server.ExpectConnect()
			conn.ExpectJoin("room:1")
			p.Stdout.WaitFor("gap")
			server.Broadcast("room:1", "news", map[string]int{"n": 1})
			p.Stdout.WaitFor("news")
			channel, ok := conn.Channel("room:1")
			if !ok {
				t.Fatal("not joined")
			}
			channel.Exit(phoenixtest.Stop())
			got := p.Wait()
			lines := strings.Split(strings.TrimSpace(got.Stdout), "\n")
			if got.Code != 1 || len(lines) != 3 {
				t.Fatalf("exit code %d, want 1; %s%s", got.Code, got.Stdout, got.Stderr)
			}
			if format == "text" {
				for i, want := range []string{"-- room:1 gap: messages may be missing: ", `room:1 news {"n":1}`, "-- room:1 ended: channel closed by the server"} {
					if !strings.HasPrefix(lines[i], want) {
						t.Errorf("line %d is %q, want %q", i, lines[i], want)
					}
				}
				return
			}
			var all [3]struct {
				Topic   string          `json:"topic"`
				Event   string          `json:"event"`
				Gap     string          `json:"gap"`
				Ended   string          `json:"ended"`
				Payload json.RawMessage `json:"payload"`
			}
			for i, line := range lines {
				if err := json.Unmarshal([]byte(line), &all[i]); err != nil {
					t.Fatalf("%v in %s", err, line)
				}
			}
			if all[0].Gap == "" || all[1].Event != "news" || string(all[1].Payload) != `{"n":1}` || all[2].Ended == "" || all[2].Topic != "room:1" {
				t.Errorf("got %v", all)
			}
		})
	}
}

func TestListenFor(t *testing.T) {
	t.Parallel()
	check(t, phx("listen", "room:1", "--for", "10ms", "--event", "never", "--url", newServer(t, nil).URL()).Run(t), 0, "")
}

// TestWithoutURL uses the demo server in the process, and says so.
func TestWithoutURL(t *testing.T) {
	t.Parallel()
	got := phx("listen", "clock:utc", "--join", `{"every_ms":5}`, "--count", "2").Run(t)
	check(t, got, 0, "clock:utc tick {\"n\":1}\nclock:utc tick {\"n\":2}\n")
	if !strings.Contains(got.Stderr, "using a demo server in this process, ws://127.0.0.1:") {
		t.Errorf("standard error %q", got.Stderr)
	}
}

// TestServe runs the demo server as a command, and uses what its application has.
func TestServe(t *testing.T) {
	t.Parallel()
	p := phx("serve", "--addr", "127.0.0.1:0").Start(t)
	p.Stdout.WaitFor("\n")
	url := strings.TrimSpace(p.Stdout.String())
	for _, tt := range []struct {
		args   string
		code   int
		stdout string
	}{
		{"push room:1 ping {\"a\":1}", 0, "{\"a\":1}\n"},
		{"push room:1 echo --binary --json xyz", 0, "{\"status\":\"ok\",\"binary\":\"eHl6\"}\n"},
		{"push room:1 slow {\"ms\":1}", 0, "{\"ms\":1}\n"},
		{"push room:1 binary {\"size\":3}", 0, "\x00\x01\x02"},
		{"push room:1 binary {\"size\":-3}", 3, "{\"reason\":\"size is no number of bytes up to 1048576\"}\n"},
		{"push room:1 error", 3, "{\"reason\":\"you asked for it\"}\n"},
		{"push room:1 other", 3, "{\"reason\":\"no event other\"}\n"},
		{"push room:1 status {\"status\":\"away\"}", 0, "{}\n"},
		{"push room:1 stop", 0, "{}\n"},
		{"push room:1 shout --timeout 200ms", 4, ""},
		{"push room:1 crash", 1, ""},
		{"push private:1 ping", 3, ""},
		{"push private:1 ping --join {\"token\":\"sesame\"}", 0, "{}\n"},
		{"listen clock:1 --join {\"every_ms\":5} --count 1", 0, "clock:1 tick {\"n\":1}\n"},
		{"listen room:1 --event presence_state --count 0 --for 10ms --join []", 3, ""},
	} {
		got := phx(append(strings.Fields(tt.args), "--url", url)...).Run(t)
		if got.Code != tt.code || got.Stdout != tt.stdout {
			t.Errorf("phx %s: exit code %d, want %d, standard output %q, want %q: %s", tt.args, got.Code, tt.code, got.Stdout, tt.stdout, got.Stderr)
		}
	}
	busy := phx("serve", "--addr", strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/socket")).Run(t)
	if busy.Code != 1 || !strings.Contains(busy.Stderr, "address already in use") {
		t.Errorf("a second server: %v", busy)
	}
	p.Interrupt()
	check(t, p.Wait(), 0, url+"\n")
}
