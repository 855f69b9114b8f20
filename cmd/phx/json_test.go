package main_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

// TestEveryCommandTakesJSON asks each command that prints data for its help.
func TestEveryCommandTakesJSON(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"serve", "join", "push", "listen", "presence", "load", "load merge", "ping", "doctor", "version", "context list",
		"token sign", "token verify", "token encrypt", "token decrypt",
	} {
		got := phx(append(strings.Fields(command), "--help")...).Run(t)
		if got.Code != 0 || !strings.Contains(got.Stdout, "--json") {
			t.Errorf("phx %s --help does not have --json: %v", command, got)
		}
	}
}

func TestVersionJSON(t *testing.T) {
	t.Parallel()
	got := phx("version", "--json").Run(t)
	var line struct {
		Phx     string `json:"phx"`
		Phoenix string `json:"phoenix"`
		Go      string `json:"go"`
		OS      string `json:"os"`
		Arch    string `json:"arch"`
	}
	dec := json.NewDecoder(strings.NewReader(got.Stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&line); err != nil || got.Code != 0 || strings.Count(got.Stdout, "\n") != 1 {
		t.Fatalf("%v: %v", err, got)
	}
	if line.Phx == "" || line.Phoenix == "" || line.Go != runtime.Version() || line.OS != runtime.GOOS || line.Arch != runtime.GOARCH {
		t.Errorf("got %+v", line)
	}
}

func TestServeJSON(t *testing.T) {
	t.Parallel()
	p := phx("serve", "--json", "--addr", "127.0.0.1:0").Start(t)
	p.Stdout.WaitFor("\n")
	var line struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal([]byte(p.Stdout.String()), &line); err != nil {
		t.Fatalf("%v in %q", err, p.Stdout)
	}
	check(t, phx("push", "room:1", "echo", `{"a":1}`, "--url", line.URL).Run(t), 0, "{\"a\":1}\n")
	p.Interrupt()
	if got := p.Wait(); got.Code != 0 || strings.Count(got.Stdout, "\n") != 1 {
		t.Errorf("got %v", got)
	}
}

func TestTokenJSON(t *testing.T) {
	t.Parallel()
	run := func(verb, arg string) string {
		t.Helper()
		cmd := phx("token", verb, "--json", "--salt", "s", arg)
		cmd.Env = []string{"SECRET_KEY_BASE=" + secretKeyBase}
		got := cmd.Run(t)
		if got.Code != 0 {
			t.Fatalf("phx %v: %v", cmd.Args, got)
		}
		return got.Stdout
	}
	for _, pair := range [][2]string{{"sign", "verify"}, {"encrypt", "decrypt"}} {
		var made struct {
			Token string `json:"token"`
		}
		out := run(pair[0], `{"id":42}`)
		if err := json.Unmarshal([]byte(out), &made); err != nil || made.Token == "" {
			t.Fatalf("%s: %v in %q", pair[0], err, out)
		}
		if got, want := run(pair[1], made.Token), `{"data":{"id":42}}`+"\n"; got != want {
			t.Errorf("%s prints %q, want %q", pair[1], got, want)
		}
	}
}

func TestContextListJSON(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	run := func(code int, stdout string, args ...string) {
		t.Helper()
		cmd := phx(append([]string{"context"}, args...)...)
		cmd.Home = home
		check(t, cmd.Run(t), code, stdout)
	}
	run(0, "", "list", "--json")
	run(0, "", "add", "a", "--url", "wss://user:hunter2@example.com/socket?key=hunter2", "--param", "user=hunter2",
		"--header", "X-Key: hunter2", "--auth-token-cmd", "echo hunter2", "--vsn", "1.0.0", "--transport", "longpoll")
	run(0, "", "add", "b", "--url", "ws://localhost/socket", "--auth-token-env", "TOKEN", "--insecure", "--origin", "https://example.com")
	run(0, "", "use", "b")
	run(0, `{"name":"a","current":false,"url":"wss://example.com/socket","params":["user"],"headers":["X-Key"],"auth_token":"command","vsn":"1.0.0","transport":"longpoll"}
{"name":"b","current":true,"url":"ws://localhost/socket","auth_token":"env","auth_token_env":"TOKEN","origin":"https://example.com","insecure":true}
`, "list", "--json")
}
