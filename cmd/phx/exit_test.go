package main_test

import (
	"net"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/phoenixtest"
)

// TestExitCodes produces each of them.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	refusing := newServer(t, nil)
	refusing.RefuseNext(-1, 403, nil, "")
	mute := newServer(t, nil)
	mute.SwallowFrames(true)
	closed := closedPort(t)
	for name, tt := range map[string]struct {
		args   string
		code   int
		stderr string // a part
	}{
		"ok":                      {"push room:1 echo --url " + server.URL(), 0, ""},
		"a file that is not":      {"push room:1 echo @/does/not/exist --url " + server.URL(), 1, "no such file"},
		"no such command":         {"pusch", 2, `unknown command "pusch"`},
		"no such flag":            {"push --fast", 2, "unknown flag: --fast"},
		"too few arguments":       {"push room:1", 2, "TOPIC EVENT"},
		"no JSON":                 {"push room:1 echo {a:1} --url " + server.URL(), 2, "not JSON"},
		"no URL":                  {"push room:1 echo --url localhost", 2, "endpoint"},
		"bad transport":           {"ping --transport carrier", 2, "--transport is"},
		"bad vsn":                 {"ping --vsn 3", 2, "--vsn is"},
		"bad timeout":             {"ping --timeout -1s", 2, "--timeout must"},
		"two tokens":              {"ping --auth-token a --auth-token-env B", 2, "only one of"},
		"a param without a value": {"ping --param secret", 2, "number 1 is not of the form NAME=VALUE"},
		"a bad header":            {"ping --header secret", 2, "number 1 is not of the form 'NAME: VALUE'"},
		"no token variable":       {"ping --auth-token-env NOT_THERE", 2, "NOT_THERE is not set"},
		"an error reply":          {"push room:1 no --url " + server.URL(), 3, `status "error": no`},
		"a refused join":          {"push refused:1 echo --url " + server.URL(), 3, "unauthorized"},
		"no such topic":           {"listen nowhere --url " + server.URL(), 3, "unmatched topic"},
		"no reply":                {"push room:1 silent --timeout 200ms --url " + server.URL(), 4, "use --cast"},
		"refused":                 {"ping --url " + refusing.URL(), 5, "403"},
		"another path":            {"ping --url " + server.URL() + "et", 5, "404"},
		"nobody listens":          {"ping --url ws://" + closed + "/socket", 6, "connection refused"},
		"no such host":            {"ping --url ws://host.invalid/socket", 6, "no such host"},
		"frames are swallowed":    {"ping --timeout 200ms --url " + mute.URL(), 6, "heartbeat"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := phx(strings.Fields(tt.args)...).Run(t)
			if got.Code != tt.code || !strings.Contains(got.Stderr, tt.stderr) {
				t.Errorf("phx %s: exit code %d, want %d; standard error %q, want a part %q", tt.args, got.Code, tt.code, got.Stderr, tt.stderr)
			}
			if strings.Contains(got.Stderr, "secret") {
				t.Errorf("the error shows a secret: %s", got.Stderr)
			}
		})
	}
}

// closedPort returns an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().String()
}

// TestInterruptLeaves has Ctrl-C come while a command waits: the channel is left
// before the program ends.
func TestInterruptLeaves(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args string
		code int
	}{
		"push":   {"push room:1 silent --timeout 1m", 130},
		"listen": {"listen room:1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t, nil)
			p := phx(append(strings.Fields(tt.args), "--url", server.URL())...).Start(t)
			conn := server.ExpectConnect()
			conn.ExpectJoin("room:1")
			if name == "push" {
				conn.ExpectPush("room:1", "silent")
			} else {
				p.Stderr.WaitFor("listening")
			}
			p.Interrupt()
			conn.ExpectLeave("room:1")
			if got := p.Wait(); got.Code != tt.code {
				t.Errorf("exit code %d, want %d: %s", got.Code, tt.code, got.Stderr)
			}
		})
	}
}

// TestSecretsAreMasked looks for them in all that is printed.
func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	var seen string
	server := newServer(t, &phoenixtest.Options{AuthToken: true, Connect: func(info *phoenixtest.ConnectInfo) error {
		if info.AuthToken != secret || info.Params.Get("api_token") != secret || info.Header.Get("X-Token") != secret {
			seen = "not the secrets"
		}
		return nil
	}})
	cmd := phx("push", "room:1", "echo", `{"password":"`+secret+`","copy":"`+secret+`"}`, "--cast", "--trace", "--json",
		"--join", `{"token":"`+secret+`"}`, "--param", "api_token="+secret, "--header", "X-Token: "+secret,
		"--auth-token-cmd", "printf %s "+secret, "--url", server.URL())
	got := cmd.Run(t)
	check(t, got, 0, "")
	if strings.Contains(got.Stderr, secret) || !strings.Contains(got.Stderr, `{"password":"[masked]","copy":"[masked]"}`) {
		t.Errorf("standard error has the secret, or no frame:\n%s", got.Stderr)
	}
	if seen != "" {
		t.Error("the server got", seen)
	}
	server.RefuseNext(-1, 403, nil, "no "+secret)
	if got := cmd.Run(t); got.Code != 5 || strings.Contains(got.Stderr, secret) {
		t.Errorf("exit code %d, standard error %q", got.Code, got.Stderr)
	}
}
