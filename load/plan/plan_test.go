package plan_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/load"
	"github.com/phxgo/phoenix/load/plan"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/token"
)

const secret = "a secret of at least twenty bytes"

func env(name string) string {
	if name == "SECRET" {
		return secret
	}
	return ""
}

// A seen is what a server was told.
type seen struct {
	mu     sync.Mutex
	params []string
	tokens []string
	joins  []string
	pushes map[string][]string
}

// serve starts a server in virtual time that notes what it is told, and runs a plan
// against it.
func serve(t *testing.T, text string) (*load.Report, *seen) {
	t.Helper()
	s := &seen{pushes: make(map[string][]string)}
	var r *load.Report
	phoenixtest.Bubble(t, &phoenixtest.Options{FrameLog: -1, AuthToken: true, Connect: func(info *phoenixtest.ConnectInfo) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.params = append(s.params, info.Params.Get("name"))
		s.tokens = append(s.tokens, info.AuthToken+info.Params.Get("token"))
		return nil
	}}, func(t *testing.T, server *phoenixtest.Server) {
		server.Handle("*", phoenixtest.Channel{
			Join: func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.joins = append(s.joins, c.Topic()+" "+p.String())
				c.Send(func(c *phoenixtest.Context) { c.PresenceState() })
				return phoenixtest.OK(nil)
			},
			Default: func(c *phoenixtest.Context, event string, p phoenixtest.Payload) phoenixtest.Reply {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.pushes[event] = append(s.pushes[event], p.String())
				switch event {
				case "shout", "tell":
					c.Broadcast("shout", p)
				}
				if event == "tell" {
					return phoenixtest.NoReply()
				}
				return phoenixtest.OK(nil)
			},
		})
		p, err := plan.Read(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		p.URL = server.URL()
		sc, err := p.Scenario(&phoenix.SocketOptions{HTTPClient: server.HTTPClient()}, env)
		if err != nil {
			t.Fatal(err)
		}
		if r, err = load.Run(t.Context(), sc); err != nil {
			t.Fatal(err)
		}
	})
	return r, s
}

func TestPlan(t *testing.T) {
	r, s := serve(t, `
name: A test
users: 4
rate: 100
duration: 10s
params: {name: "user-{{.User}}"}
token: {secret_env: SECRET, salt: user socket, as: auth, max_age: 1h}
channels:
  - topic: "room:{{.Group 2}}"
    params: {who: "{{.User}}", list: [1, "{{.Channel}}"], fixed: true}
    presence: true
  - {topic: "own:{{.User}}-{{.Channel}}", count: 2}
pushes:
  - {event: ping, weight: 6, payload: {n: "{{.Turn}}"}}
  - {event: raw, weight: 1, payload: '{"n": {{.User}}}'}
  - {event: bin, weight: 1, binary: 8}
  - {event: shout, weight: 1, broadcast: shout}
  - {event: tell, weight: 1, broadcast: shout, reply: false}
`)
	if r.Name != "A test" || r.ErrorCount() != 0 || r.Counts.Turns != 1000 || r.Counts.Joins != 12 || r.Latency["presence"].Count != 4 {
		t.Errorf("%+v, errors %v", r.Counts, r.Errors)
	}
	slices.Sort(s.params)
	if !slices.Equal(s.params, []string{"user-1", "user-2", "user-3", "user-4"}) {
		t.Errorf("params %q", s.params)
	}
	signer, err := token.NewSigner(secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range s.tokens {
		if id, err := token.VerifyFor[int](signer, "user socket", tok, token.Infinity); err != nil || id < 1 || id > 4 {
			t.Errorf("token of %d: %v", id, err)
		}
	}
	for _, want := range []string{`room:1 {"fixed":true,"list":[1,"1"],"who":"1"}`, `room:2 {"fixed":true,"list":[1,"1"],"who":"4"}`, "own:3-2 {}", "own:3-3 {}"} {
		if !slices.Contains(s.joins, want) {
			t.Errorf("no join %q in %q", want, s.joins)
		}
	}
	if n := len(s.pushes["ping"]); n < 520 || n > 680 || !json.Valid([]byte(s.pushes["ping"][0])) {
		t.Errorf("%d pings of 1000 pushes, such as %s", n, s.pushes["ping"][0])
	}
	if s.pushes["raw"][0] != `{"n": 1}` && !strings.HasPrefix(s.pushes["raw"][0], `{"n": `) || s.pushes["bin"][0] != "abcdefgh" {
		t.Errorf("raw %s, binary %s", s.pushes["raw"][0], s.pushes["bin"][0])
	}
	published := len(s.pushes["shout"]) + len(s.pushes["tell"])
	if d := r.Delivery; d.Published != int64(published) || d.Lost != 0 || d.Received == 0 || d.Received != d.Expected {
		t.Errorf("%+v of %d", d, published)
	}
}

// Of ten users nine only listen, and the one pushes everything.
func TestListeners(t *testing.T) {
	r, s := serve(t, `
users: 10
rate: 10
duration: 10s
listeners: 90%
token: {secret_env: SECRET, salt: s, as: join, name: key, data: "u{{.User}}"}
channels: [{topic: lobby}]
pushes: [{event: shout, broadcast: shout}]
`)
	if d := r.Delivery; d == nil || d.Published != 100 || d.Expected != 900 || d.Received != 900 {
		t.Errorf("%+v", d)
	}
	if len(s.joins) != 10 || !strings.HasPrefix(s.joins[0], `lobby {"key":"`) {
		t.Errorf("joins %q", s.joins)
	}
}

// Without pushes the users only stay.
func TestIdle(t *testing.T) {
	r, _ := serve(t, "users: 5\nduration: 10s\nchannels: [{topic: lobby}]\ntoken: {secret_env: SECRET, salt: s}")
	if r.Counts.Users != 5 || r.Counts.Joins != 5 || r.Counts.Turns != 0 || r.Elapsed != 10*time.Second {
		t.Errorf("%+v", r.Counts)
	}
}

func TestBadPlans(t *testing.T) {
	for text, want := range map[string]string{
		"users: many":                          "[1:8]",
		"usrs: 1":                              `unknown field "usrs"`,
		"stages: [30s]":                        "no stage such as 30s:1000",
		"jitter: 200%":                         "no part such as 10%",
		"users: 1":                             "joins no channel",
		"channels: [{}]":                       "channel 1 has no topic",
		`channels: [{topic: "room:{{.Usr}}"}]`: "the template of the topic of channel 1",
		`channels: [{topic: "room:{{"}]`:       "the template of the topic of channel 1",
		"channels: [{topic: a, count: 101}]":   "allows 100",
		"channels: [{topic: a}]\npushes: [{}]": "push 1 has no event",
		"channels: [{topic: a}]\npushes: [{event: e, weight: -1}]":                             "weight",
		"channels: [{topic: a}]\npushes: [{event: e, binary: -1}]":                             "binary is a number of bytes",
		"channels: [{topic: a}]\npushes: [{event: e, binary: 1, payload: {}}]":                 "choose one",
		"channels: [{topic: a}]\npushes: [{event: e, payload: 'no JSON'}]":                     "not JSON",
		"channels: [{topic: a}]\ntoken: {salt: s}":                                             "secret_env is missing",
		"channels: [{topic: a}]\ntoken: {secret_env: SECRET}":                                  "salt is missing",
		"channels: [{topic: a}]\ntoken: {secret_env: NONE, salt: s}":                           "NONE is not set",
		"channels: [{topic: a}]\ntoken: {secret_env: SECRET, salt: s, as: x}":                  "token.as must be",
		"channels: [{topic: a}]\ntoken: {secret_env: SECRET, salt: s, data: x, integer: true}": "no integer",
		"channels: [{topic: a}]\npushes: [{event: e, payload: {load: 1}, broadcast: e}]":       "must not have a field",
		"channels: [{topic: a}]\npushes: [{event: e, payload: [1], broadcast: e}]":             "push 1 (e)",
		"channels: [{topic: a}]\nrate: -1":                                                     "not negative",
	} {
		p, err := plan.Read(strings.NewReader(text))
		if err == nil {
			p.URL = "ws://localhost:4000/socket"
			_, err = p.Scenario(nil, env)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// The file in the documentation can be read, and has every field.
func TestDocumentedFile(t *testing.T) {
	page, err := os.ReadFile("../scenario.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := bytes.Cut(page, []byte("```yaml\n"))
	text, _, ok2 := bytes.Cut(rest, []byte("```"))
	if !ok || !ok2 {
		t.Fatal("scenario.md has no file in it")
	}
	p, err := plan.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Scenario(nil, func(string) string { return secret })
	if err != nil {
		t.Fatal(err)
	}
	if s.Users == 0 || s.Rate == 0 || len(s.Stages) == 0 || p.Token == nil || len(p.Channels) == 0 || len(p.Pushes) == 0 || len(p.FailIf) == 0 {
		t.Errorf("%+v", p)
	}
}

func TestDemo(t *testing.T) {
	p := plan.Demo()
	p.URL = "ws://localhost:4000/socket"
	s, err := p.Scenario(nil, env)
	if err != nil {
		t.Fatal(err)
	}
	if length := s.Length(); length > 15*time.Second {
		t.Errorf("the demo takes %v", length)
	}
}
