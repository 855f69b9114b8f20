package phoenix_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func wantInputError(t *testing.T, what string, err error, field string) {
	t.Helper()
	var ie *phoenix.InputError
	if !errors.As(err, &ie) || ie.Field != field || ie.Reason == "" || !strings.HasPrefix(err.Error(), "phoenix: ") {
		t.Errorf("%s: %v, want an InputError for %s", what, err, field)
	}
}

func TestABadEndpointIsAnInputError(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{
		"", " ", "/socket", "example.com/socket", "localhost", "ws:", "ws://", "ws:///socket", "ws://:4000/socket",
		"wss:example.com/socket", "ftp://example.com", "wsx://example.com", "file:///socket", "ws ://example.com",
		"://example.com", "ws://exa mple.com", "ws://example.com:port", "ws://[::1", "ws://example.com/%zz", "ws://example.com/\x7f",
		"ws://example.com/\n", "ws://user:pa ss@example.com/", "mailto:a@example.com", "localhost:4000/socket",
	} {
		s, err := phoenix.NewSocket(endpoint, nil)
		if s != nil {
			t.Errorf("NewSocket(%q) made a socket", endpoint)
		}
		wantInputError(t, "NewSocket("+endpoint+")", err, "endpoint")
	}
}

func TestAnEndpointWithoutASchemeIsToldSo(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"example.com/socket", "localhost:4000/socket", "127.0.0.1:4000/socket", "[::1]:4000"} {
		if _, err := phoenix.NewSocket(endpoint, nil); err == nil || !strings.Contains(err.Error(), "no scheme") {
			t.Errorf("NewSocket(%q): %v", endpoint, err)
		}
	}
}

func TestTheErrorForABadEndpointHoldsNoSecret(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{
		"ftp://user:hunter2@example.com/?token=hunter2", "ws://example.com/%zz?token=hunter2", "ws://example.com:port/?token=hunter2",
		"//example.com/?token=hunter2", "ws://user:hunter2@/?token=hunter2", "ws://example.com/\n?token=hunter2",
	} {
		_, err := phoenix.NewSocket(endpoint, nil)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("NewSocket(%q): %v", endpoint, err)
		}
	}
}

func TestEndpointsThatCanBeUsed(t *testing.T) {
	t.Parallel()
	for endpoint, path := range map[string]string{
		"ws://phoenix.test/socket":           "/socket/websocket",
		"ws://phoenix.test/socket/":          "/socket/websocket",
		"ws://phoenix.test/socket///":        "/socket/websocket",
		"http://phoenix.test/socket":         "/socket/websocket",
		"ws://phoenix.test/socket/websocket": "/socket/websocket",
		"ws://phoenix.test/socket#fragment":  "/socket/websocket",
		"ws://phoenix.test":                  "/websocket",
		"ws://phoenix.test/a%2Fb":            "/a%2Fb/websocket",
		"ws://[::1]:4000/socket":             "/socket/websocket",
		"WS://phoenix.test/socket":           "/socket/websocket",
	} {
		var got string
		client := &http.Client{Transport: harness.RoundTripper(func(r *http.Request) (*http.Response, error) {
			got = r.URL.EscapedPath()
			return nil, errors.New("no network")
		})}
		s, err := phoenix.NewSocket(endpoint, &phoenix.SocketOptions{HTTPClient: client, RetryIf: func(error) bool { return false }})
		if err != nil {
			t.Errorf("NewSocket(%q): %v", endpoint, err)
			continue
		}
		if err := s.Connect(t.Context()); err == nil || got != path {
			t.Errorf("%s: connects to %s (%v), want %s", endpoint, got, err, path)
		}
		s.Close()
	}
}

type nameless struct{ phoenix.Serializer }

func (nameless) Version() string { return "" }

func TestABadOptionIsAnInputErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	params := func(context.Context) (url.Values, error) { return nil, nil }
	header := func(context.Context) (http.Header, error) { return nil, nil }
	for field, opts := range map[string]*phoenix.SocketOptions{
		"SocketOptions.HeartbeatTimeout": {HeartbeatTimeout: -1},
		"SocketOptions.WriteTimeout":     {WriteTimeout: -time.Second},
		"SocketOptions.ParamsFunc":       {Params: url.Values{}, ParamsFunc: params},
		"SocketOptions.HeaderFunc":       {Header: http.Header{}, HeaderFunc: header},
		"SocketOptions.Serializer":       {Serializer: nameless{phoenix.V2()}},
	} {
		_, err := phoenix.NewSocket("ws://phoenix.test/socket", opts)
		wantInputError(t, "NewSocket", err, field)
	}
	s, err := phoenix.NewSocket("ws://phoenix.test/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Channel("room:1", &phoenix.ChannelOptions{
		Params: 1, ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) { return nil, nil },
	})
	wantInputError(t, "Channel", err, "ChannelOptions.ParamsFunc")
	for _, params := range []any{make(chan int), []byte("{}"), json.RawMessage("{"), math.NaN()} {
		_, err = s.Channel("room:1", &phoenix.ChannelOptions{Params: params})
		wantInputError(t, "Channel with bad Params", err, "ChannelOptions.Params")
		if !strings.Contains(err.Error(), "ChannelOptions.Params") {
			t.Errorf("%v does not name ChannelOptions.Params", err)
		}
	}
	for _, topic := range []string{"", "phoenix", "\xff", "room:\xc3"} {
		_, err := s.Channel(topic, nil)
		wantInputError(t, "Channel", err, "topic")
	}
	if got := s.Channels(); len(got) != 0 {
		t.Errorf("%d channels are registered after errors", len(got))
	}
}

func TestAPushThatCannotBeSentFailsBeforeAnythingIsWritten(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{MaxMessageSize: 10_000})
		c := h.Joined(s, "room:1", nil)
		long := h.Joined(s, "room:"+strings.Repeat("é", 126), nil)
		before := len(h.Srv.Received("", ""))
		for _, tc := range []struct {
			name, field string
			c           *phoenix.Channel
			event       string
			payload     any
		}{
			{"no event", "event", c, "", nil},
			{"event not UTF-8", "event", c, "e\xff", nil},
			{"phx_join", "event", c, "phx_join", nil},
			{"phx_leave", "event", c, "phx_leave", nil},
			{"phx_reply", "event", c, "phx_reply", nil},
			{"phx_close", "event", c, "phx_close", nil},
			{"phx_error", "event", c, "phx_error", nil},
			{"chan", "payload", c, "echo", make(chan int)},
			{"[]byte", "payload", c, "echo", []byte("{}")},
			{"RawMessage", "payload", c, "echo", json.RawMessage("{}]")},
			{"Payload", "payload", c, "echo", phoenix.NewPayload([]byte("{}]"), false)},
			{"long event of a binary", "event", c, strings.Repeat("e", 256), phoenix.Binary("x")},
			{"long topic of a binary", "topic", long, "echo", phoenix.Binary("x")},
		} {
			_, err := tc.c.Push(t.Context(), tc.event, tc.payload)
			checkUnsent(t, "Push of "+tc.name, err, tc.field)
			_, err = tc.c.PushAsync(t.Context(), tc.event, tc.payload).Wait(t.Context())
			checkUnsent(t, "PushAsync of "+tc.name, err, tc.field)
			checkUnsent(t, "Cast of "+tc.name, tc.c.Cast(t.Context(), tc.event, tc.payload), tc.field)
		}
		for _, payload := range []any{
			json.RawMessage(`"` + strings.Repeat("a", 10_000) + `"`), strings.Repeat("a", 10_000), phoenix.Binary(make([]byte, 10_001)),
		} {
			_, err := c.Push(t.Context(), "echo", payload)
			if !errors.Is(err, phoenix.ErrMessageTooBig) || !phoenix.SafeToRetry(err) {
				t.Errorf("Push of a payload over MaxMessageSize: %v", err)
			}
		}
		if got := len(h.Srv.Received("", "")); got != before {
			t.Errorf("the server got %d messages", got-before)
		}
		// Nobody is worse for it.
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Errorf("Push: %v", err)
		}
		if _, err := long.Push(t.Context(), strings.Repeat("e", 300), 1); !errors.Is(err, phoenix.ErrChannelCrashed) {
			t.Errorf("Push of a long event as text: %v, want what the server makes of it", err)
		}
		if got := s.Stats().Connects; got != 1 {
			t.Errorf("%d connections, want 1", got)
		}
	})
}

func checkUnsent(t *testing.T, what string, err error, field string) {
	t.Helper()
	var pe *phoenix.PushError
	if !errors.As(err, &pe) || pe.Sent || !phoenix.SafeToRetry(err) {
		t.Errorf("%s: %v, want a PushError that was not sent", what, err)
		return
	}
	wantInputError(t, what, err, field)
}

func TestPayloadsArriveAsTheyWereGiven(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		for _, tc := range []struct {
			payload any
			want    string
		}{
			{nil, `{}`},
			{json.RawMessage("{\r\n \"a\": [1,\n2]}\n"), `{"a":[1,2]}`},
			{json.RawMessage(`"\u00e9\n"`), `"\u00e9\n"`},
			{[]int(nil), `null`},
			{map[string]any{"<": "é\n"}, `{"\u003c":"é\n"}`},
			{phoenix.Payload{}, `{}`},
			{5, `5`},
		} {
			reply, err := c.Push(t.Context(), "echo", tc.payload)
			if err != nil || string(reply.Response.Bytes()) != tc.want {
				t.Errorf("Push(%v) = %v, %v, want %s", tc.payload, reply, err, tc.want)
			}
		}
		if h.Polls {
			return // what is binary the server cannot send
		}
		for _, b := range []string{"", "\x00", "\x00\xff\xfe{}"} {
			reply, err := c.Push(t.Context(), "echo", phoenix.Binary(b))
			if err != nil || !reply.Response.IsBinary() || string(reply.Response.Bytes()) != b {
				t.Errorf("Push(Binary(%q)) = %v, %v", b, reply, err)
			}
			// An answer can be sent back as it is.
			again, err := c.Push(t.Context(), "echo", reply.Response)
			if err != nil || !again.Response.IsBinary() || string(again.Response.Bytes()) != b {
				t.Errorf("Push of a binary Payload = %v, %v", again, err)
			}
		}
	})
}

func TestTopicsAndEventsMayHoldAnyCharacter(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		event := "e\"\\\n\x00é\u2028😀"
		h.Srv.Handle("odd*", phoenixtest.Channel{Events: phoenixtest.Events{
			event: func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				c.Push(event, p)
				return phoenixtest.OK(p)
			},
		}})
		s := h.Connected(nil)
		c := h.Channel(s, "odd:\"\\\n\x00é\u2028😀", nil)
		sub := c.Subscribe(nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		payloads := []any{1, phoenix.Binary("x")}
		if h.Polls {
			payloads = payloads[:1]
		}
		for _, payload := range payloads {
			if _, err := c.Push(t.Context(), event, payload); err != nil {
				t.Errorf("Push(%v): %v", payload, err)
			}
			if m, err := sub.Next(t.Context()); err != nil || m.Event != event || m.Topic != c.Topic() {
				t.Errorf("got %+v, %v", m, err)
			}
		}
	})
}

// A surrogate encodes itself as half a character.
type surrogate struct{}

func (surrogate) MarshalJSON() ([]byte, error) { return []byte(`"\udc00"`), nil }

func TestNothingLeavesThatPhoenixWouldEndTheConnectionOn(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		unfit := map[string]any{
			"surrogate":        json.RawMessage(`{"x":"\ud800"}`),
			"nested surrogate": map[string]any{"x": json.RawMessage(`"\ud800"`)},
			"number":           json.RawMessage(`{"x":1e999}`),
			"nested number":    map[string]any{"x": json.RawMessage(`1e999`)},
			"json.Number":      map[string]any{"x": json.Number("1e999")},
			"MarshalJSON":      []any{surrogate{}},
			"key":              map[string]any{"x": json.RawMessage(`{"\ud800":1}`)},
			"integer":          json.RawMessage(strings.Repeat("9", 1_500_000)),
			"Payload":          phoenix.NewPayload([]byte(`{"a":oops}`), false),
		}
		var params any
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		asked := h.Channel(s, "room:asked", &phoenix.ChannelOptions{ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
			return params, nil
		}})
		for name, payload := range unfit {
			_, err := c.Push(t.Context(), "echo", payload)
			wantInputError(t, name+", Push", err, "payload")
			_, err = c.PushAsync(t.Context(), "echo", payload).Wait(t.Context())
			wantInputError(t, name+", PushAsync", err, "payload")
			wantInputError(t, name+", Cast", c.Cast(t.Context(), "echo", payload), "payload")
		}
		unfit["binary"], unfit["binary Payload"] = phoenix.Binary("x"), phoenix.NewPayload(nil, true)
		for name, payload := range unfit {
			_, err := s.Channel("room:params", &phoenix.ChannelOptions{Params: payload})
			wantInputError(t, name+", Params", err, "ChannelOptions.Params")
			params = payload
			_, err = asked.Join(t.Context())
			var ie *phoenix.InputError
			if !errors.As(err, &ie) {
				t.Errorf("%s, ParamsFunc: %v, want an InputError", name, err)
			}
		}
		if got := len(h.Srv.Received("room:1", "echo")) + len(h.Srv.Received("room:asked", "phx_join")); got != 0 {
			t.Errorf("the server got %d messages", got)
		}
		if got := s.Stats().Connects; got != 1 || c.State() != phoenix.ChannelJoined {
			t.Errorf("%d connections, and the channel is %v", got, c.State())
		}
	})
}
