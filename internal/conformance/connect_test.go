package conformance_test

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/internal/conformance"
	"github.com/phxgo/phoenix/phoenixtest"
)

// joinedAs connects, joins and returns the answer.
func joinedAs(t *testing.T, s *phoenixtest.Server, query string, subprotocols ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ws, res, err := websocket.Dial(ctx, s.URL()+"/websocket?vsn=2.0.0&"+query, &websocket.DialOptions{
		HTTPClient: s.HTTPClient(), Subprotocols: subprotocols,
	})
	if err != nil {
		return res.Status
	}
	defer ws.CloseNow()
	if err := ws.Write(ctx, websocket.MessageText, []byte(`["1","1","room:a","phx_join",{}]`)); err != nil {
		t.Fatal(err)
	}
	_, data, err := ws.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestConnectWithTokens(t *testing.T) {
	token, err := conformance.SignUser("ann", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	old, err := conformance.SignUser("ann", time.Now().Add(-25*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	future, err := conformance.SignUser("ann", time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(token string) []string {
		return []string{"phoenix", "base64url.bearer.phx." + base64.RawStdEncoding.EncodeToString([]byte(token))}
	}
	const ann = `"user":"ann"`
	for name, test := range map[string]struct {
		profile      phoenixtest.Profile
		query        string
		subprotocols []string
		want         string
	}{
		"param":               {"", "user=bob&user_token=" + token, nil, ann},
		"subprotocol":         {"", "user=bob", bearer(token), ann},
		"param first":         {"", "user_token=" + token, bearer("bad"), ann},
		"no token in 1.7":     {phoenixtest.Phoenix1724, "user=bob", bearer(token), `"user":"bob"`},
		"expired":             {"", "user_token=" + old, nil, "403 Forbidden"},
		"bad":                 {"", "user_token=", nil, "403 Forbidden"},
		"bad in subprotocol":  {"", "user=bob", bearer("bad"), "403 Forbidden"},
		"empty token":         {"", "user=bob", bearer(""), "403 Forbidden"},
		"nobody":              {"", "", nil, `"user":"anon"`},
		"of the future":       {"", "user_token=" + future, nil, "403 Forbidden"},
		"a list of users":     {"", "user[]=ann", nil, ann},
		"a list of lists":     {"", "user[][]=an&user[][]=n", nil, ann},
		"a user that is none": {"", "user[a]=bob", nil, "500 Internal Server Error"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := conformance.Start(phoenixtest.Options{Profile: test.profile})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if got := joinedAs(t, s, test.query, test.subprotocols...); !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestLongPollWithAuthToken(t *testing.T) {
	s, err := conformance.Start(phoenixtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	token, err := conformance.SignUser("ann", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{token: `"status":410`, "bad": `{"status":403}`, "": `{"status":403}`} {
		url := strings.Replace(s.URL(), "ws://", "http://", 1) + "/longpoll?vsn=2.0.0"
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Phoenix-AuthToken", given)
		res, err := s.HTTPClient().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("got %s, %v, want %s", body, err, want)
		}
	}
	if conns := s.Conns(); len(conns) != 1 || conns[0].ID() != "user_socket:ann" {
		t.Errorf("connections: %v", conns)
	}
}
