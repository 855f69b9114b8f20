package phoenixtest_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix/phoenixtest"
)

// lines is a serializer of vsn 3.0.0: fields in lines of text behind a "+". Binary
// data is a binary frame of a kind of its own.
type lines struct {
	fail func(m phoenixtest.Message) error // called for what comes and goes; makes it incomparable
}

func (lines) Match(vsn string) bool { return vsn == "3.0.0" }

func (s lines) Decode(op phoenixtest.Opcode, data []byte) (phoenixtest.Message, error) {
	parts := strings.SplitN(string(data), "\n", 6)
	if len(parts) != 6 || parts[0] != "+" && parts[0] != "\x07" {
		return phoenixtest.Message{}, errors.New("not six lines")
	}
	m := phoenixtest.Message{
		JoinRef: phoenixtest.Ref(parts[1]), Ref: phoenixtest.Ref(parts[2]), Topic: parts[3], Event: parts[4],
		Payload: phoenixtest.JSON(parts[5]),
	}
	if op == phoenixtest.OpBinary {
		m.Payload = phoenixtest.BinaryPayload([]byte(parts[5]))
	}
	return m, s.fail(m)
}

func (s lines) Encode(m phoenixtest.ServerMessage) (phoenixtest.Opcode, []byte, error) {
	op, kind := phoenixtest.OpText, "+"
	if m.Payload.IsBinary() {
		op, kind = phoenixtest.OpBinary, "\x07"
	}
	text := strings.Join([]string{kind, string(m.JoinRef), string(m.Ref), m.Topic, m.Event + m.Status, m.Payload.String()}, "\n")
	return op, []byte(text), s.fail(m.Message)
}

func withLines(t *testing.T, fail func(phoenixtest.Message) error, fn func(t *testing.T, s *phoenixtest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, &phoenixtest.Options{Serializers: []phoenixtest.Serializer{lines{fail}}})
		s.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{
			"echo": echo,
			"push": func(c *Context, p Payload) Reply { c.Push("pushed", p); return phoenixtest.NoReply() },
			"stop": func(*Context, Payload) Reply { return phoenixtest.Stop() },
		}})
		fn(t, s)
	})
}

func noFailure(phoenixtest.Message) error { return nil }

func openLines(t *testing.T, s *phoenixtest.Server) *client {
	t.Helper()
	c, res, err := dial(t, s, "/socket/websocket?vsn=3.0.0")
	if err != nil {
		t.Fatalf("dial: %v, %v", res, err)
	}
	return c
}

func TestASerializerOfTheTestServesItsVersion(t *testing.T) {
	withLines(t, noFailure, func(t *testing.T, s *phoenixtest.Server) {
		c, modern := openLines(t, s), open(t, s)
		modern.send(t, joinA)
		modern.wait(1)
		modern.forget()
		c.send(t, "+\n1\n1\nroom:a\nphx_join\n{}")
		c.send(t, "+\n1\n2\nroom:a\necho\n[1]")
		c.sendBinary(t, []byte("\x07\n1\n3\nroom:a\necho\n\xff"))
		synctest.Wait()
		c.send(t, "+\n1\n4\nroom:a\npush\n{}")
		synctest.Wait()
		s.Broadcast("room:a", "news", 5)
		synctest.Wait()
		c.send(t, "+\n1\n5\nroom:a\nstop\n{}")
		synctest.Wait()
		c.send(t, "+\n\n6\nphoenix\nheartbeat\n{}")
		c.want(t,
			"+\n1\n1\nroom:a\nphx_replyok\n{}", "+\n1\n2\nroom:a\nphx_replyok\n[1]",
			"binary "+base64.StdEncoding.EncodeToString([]byte("\x07\n1\n3\nroom:a\nphx_replyok\n\xff")),
			"+\n1\n\nroom:a\npushed\n{}", "+\n\n\nroom:a\nnews\n5",
			"+\n1\n1\nroom:a\nphx_close\n{}", "+\n\n6\nphoenix\nphx_replyok\n{}")
		modern.want(t, `[null,null,"room:a","news",5]`)
		if got := s.Received("room:a", "echo"); len(got) != 2 || got[0].Ref != "2" || !got[1].Payload.IsBinary() {
			t.Errorf("received %v", got)
		}
	})
}

func TestASerializerOfTheTestServesLongPoll(t *testing.T) {
	withLines(t, noFailure, func(t *testing.T, s *phoenixtest.Server) {
		p := newPoller(t, s, "vsn=3.0.0")
		text := http.Header{"Content-Type": {"text/plain"}}
		p.do(http.MethodPost, text, "+\n1\n1\nroom:a\nphx_join\n{}").want(t, 200, 0)
		p.post(base64.StdEncoding.EncodeToString([]byte("\x07\n1\n2\nroom:a\necho\nx"))).want(t, 200, 0)
		synctest.Wait()
		p.get().want(t, 200, 0, "+\n1\n1\nroom:a\nphx_replyok\n{}", "\x07\n1\n2\nroom:a\nphx_replyok\nx")
	})
}

// An exception of the serializer's is one of who calls it.
func TestASerializerThatFails(t *testing.T) {
	for name, fail := range map[string]func() error{
		"with an error": func() error { return errors.New("no") },
		"with a panic":  func() error { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			failOn := ""
			withLines(t, func(m phoenixtest.Message) error {
				if m.Event == failOn {
					return fail()
				}
				return nil
			}, func(t *testing.T, s *phoenixtest.Server) {
				for _, event := range []string{"phx_reply", "phx_join"} {
					failOn = event
					c := openLines(t, s)
					c.send(t, "+\n1\n1\nroom:a\nphx_join\n{}")
					if got := c.code(); got != 1011 {
						t.Errorf("%s: closed with %d", event, got)
					}
				}
				failOn = "pushed"
				c := openLines(t, s)
				c.send(t, "+\n1\n1\nroom:a\nphx_join\n{}")
				c.send(t, "+\n1\n2\nroom:a\npush\n{}")
				c.want(t, "+\n1\n1\nroom:a\nphx_replyok\n{}", "+\n1\n1\nroom:a\nphx_error\n"+`{"reason":"channel_crash"}`)
			})
		})
	}
	withLines(t, noFailure, func(t *testing.T, s *phoenixtest.Server) {
		c := openLines(t, s)
		c.send(t, "+\n1\n1\nroom:a\nphx_join\nnot JSON")
		if got := c.code(); got != 1011 {
			t.Errorf("a payload that is not JSON: closed with %d", got)
		}
		checkDial(t, s, "/socket/websocket?vsn=3.1.0", 403)
	})
	if _, err := phoenixtest.Start(&phoenixtest.Options{Serializers: []phoenixtest.Serializer{nil}}); err == nil {
		t.Error("a nil serializer is taken")
	}
}
