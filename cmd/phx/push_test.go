package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/phoenixtest"
)

func TestPush(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	file := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(file, []byte("{\n\"from\":\"file\"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"no payload":    {"", []string{"echo"}, "{}\n"},
		"JSON":          {"", []string{"echo", `{"a":[1,"x"]}`}, `{"a":[1,"x"]}` + "\n"},
		"a file":        {"", []string{"echo", "@" + file}, `{"from":"file"}` + "\n"},
		"stdin":         {`{"from":"stdin"}`, []string{"echo", "-"}, `{"from":"stdin"}` + "\n"},
		"as JSON":       {"", []string{"echo", `{"a":1}`, "--json"}, `{"status":"ok","response":{"a":1}}` + "\n"},
		"repeated":      {"", []string{"echo", `{}`, "--repeat", "3", "--every", "1ms"}, "{}\n{}\n{}\n"},
		"binary":        {"\x00\x01\xff", []string{"echo", "-", "--binary"}, "\x00\x01\xff"},
		"binary JSON":   {"\x00\x01\xff", []string{"echo", "-", "--binary", "--json"}, `{"status":"ok","binary":"AAH/"}` + "\n"},
		"cast":          {"", []string{"echo", `{}`, "--cast"}, ""},
		"over longpoll": {"", []string{"echo", `{"a":1}`, "--transport", "longpoll"}, `{"a":1}` + "\n"},
		"vsn 1":         {"", []string{"echo", `{"a":1}`, "--vsn", "1.0.0"}, `{"a":1}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := phx(append([]string{"push", "room:1", "--url", server.URL()}, tt.args...)...)
			cmd.Stdin = tt.stdin
			check(t, cmd.Run(t), 0, tt.want)
		})
	}
	check(t, phx("push", "room:1", "no", "--json", "--url", server.URL()).Run(t), 3, `{"status":"error","response":{"reason":"no"}}`+"\n")
}

// TestPushSendsTheJoinParams has the server look at them, and at what comes with the
// connection.
func TestPushSendsTheJoinParams(t *testing.T) {
	t.Parallel()
	var got phoenixtest.ConnectInfo
	server := newServer(t, &phoenixtest.Options{Connect: func(info *phoenixtest.ConnectInfo) error {
		got = phoenixtest.ConnectInfo{Params: info.Params, Header: info.Header.Clone(), Vsn: info.Vsn}
		return nil
	}})
	p := phx("push", "room:1", "echo", "--join", `{"since":7}`, "--param", "user=ann", "--param", "a=b=c",
		"--header", "X-Trace:  1", "--origin", "https://example.com", "--url", server.URL()).Start(t)
	server.ExpectConnect().ExpectJoin("room:1", phoenixtest.Equal(map[string]int{"since": 7}))
	check(t, p.Wait(), 0, "{}\n")
	if got.Params.Get("user") != "ann" || got.Params.Get("a") != "b=c" || got.Header.Get("X-Trace") != "1" ||
		got.Header.Get("Origin") != "https://example.com" || got.Vsn != "2.0.0" {
		t.Errorf("the server got %v", got)
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	for _, transport := range []string{"websocket", "longpoll", "fallback"} {
		got := phx("ping", "--count", "3", "--every", "1ms", "--json", "--transport", transport, "--url", server.URL()).Run(t)
		lines := strings.Split(strings.TrimSpace(got.Stdout), "\n")
		var summary struct {
			Count     int     `json:"count"`
			P50       float64 `json:"p50_ms"`
			Max       float64 `json:"max_ms"`
			Transport string  `json:"transport"`
			Vsn       string  `json:"vsn"`
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &summary); err != nil {
			t.Fatalf("%v: %v", err, got)
		}
		want := strings.Replace(transport, "fallback", "websocket", 1)
		if got.Code != 0 || len(lines) != 4 || summary.Count != 3 || summary.P50 <= 0 || summary.Max < summary.P50 ||
			summary.Transport != want || summary.Vsn != "2.0.0" {
			t.Errorf("%s: %v", transport, got)
		}
	}
	server.BlockUpgrade(true)
	got := phx("ping", "--count", "1", "--transport", "fallback", "--url", server.URL()).Run(t)
	if got.Code != 0 || !strings.Contains(got.Stdout, "1 heartbeats over longpoll, vsn 2.0.0") {
		t.Errorf("behind a proxy: %v", got)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := phx("version").Run(t)
	if got.Code != 0 || !strings.HasPrefix(got.Stdout, "phx ") || !strings.Contains(got.Stdout, "phoenix") {
		t.Errorf("got %v", got)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := phx("completion", shell).Run(t); got.Code != 0 || !strings.Contains(got.Stdout, "phx") {
			t.Errorf("%s: %v", shell, got)
		}
	}
}

// What is secret in the URL is masked where the server repeats it.
func TestTraceMasksSecretsOfTheURL(t *testing.T) {
	t.Parallel()
	url := strings.Replace(newServer(t, nil).URL(), "ws://", "ws://ann:hunter1-of-ann@", 1) + "?token=hunter2-of-ann&lang=english"
	got := phx("push", "room:1", "echo", `{"a":"hunter1-of-ann","b":"hunter2-of-ann","c":"english"}`, "--trace", "--url", url).Run(t)
	if got.Code != 0 || strings.Contains(got.Stderr, "hunter") || !strings.Contains(got.Stderr, `{"a":"[masked]","b":"[masked]","c":"english"}`) {
		t.Errorf("%v", got)
	}
}
