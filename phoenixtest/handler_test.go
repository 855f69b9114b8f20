package phoenixtest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/phoenixtest"
)

const readTimeout = time.Second

// mount serves s among other handlers, and returns how to dial it.
func mount(t *testing.T, s *phoenixtest.Server, tls bool) func() (*websocket.Conn, error) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/socket/", s)
	mux.HandleFunc("/other", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	web := httptest.NewUnstartedServer(mux)
	if tls {
		web.StartTLS()
	} else {
		web.Config.ReadTimeout = readTimeout
		web.Start()
	}
	t.Cleanup(web.Close)
	res, err := web.Client().Get(web.URL + "/other")
	if err != nil || res.StatusCode != http.StatusTeapot {
		t.Fatalf("%v, %v", res, err)
	}
	res.Body.Close()
	return func() (*websocket.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		url := "ws" + strings.TrimPrefix(web.URL, "http") + "/socket/websocket?vsn=2.0.0"
		ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: web.Client()})
		if err == nil {
			t.Cleanup(func() { ws.CloseNow() })
		}
		return ws, err
	}
}

func TestMountedHandler(t *testing.T) {
	for name, tls := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			s := phoenixtest.NewServer(t, nil)
			s.Handle("room:*", phoenixtest.Channel{})
			dial := mount(t, s, tls)
			ws, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			// The deadlines of the other server's requests are over.
			if !tls {
				time.Sleep(readTimeout + 100*time.Millisecond)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			ws.Write(ctx, websocket.MessageText, []byte(joinA))
			if _, data, err := ws.Read(ctx); err != nil || string(data) != joinedA {
				t.Fatalf("%s, %v", data, err)
			}
			s.ExpectConnect().Cut()
			if _, _, err := ws.Read(ctx); err == nil {
				t.Error("not cut")
			}
			s.Down()
			if _, err := dial(); err == nil {
				t.Error("connected while the server is down")
			}
			s.Up()
			ws, err = dial()
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
			if _, _, err := ws.Read(ctx); err == nil {
				t.Error("open after Close")
			}
			if _, err := dial(); err == nil || !strings.Contains(err.Error(), "503") {
				t.Errorf("dialed after Close: %v", err)
			}
		})
	}
}

func TestHandlerWithoutHijacking(t *testing.T) {
	s := phoenixtest.NewServer(t, nil)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/socket/websocket?vsn=2.0.0", nil)
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Key": {"x"}, "Sec-Websocket-Version": {"13"},
	}
	s.ServeHTTP(w, r)
	if w.Code != http.StatusHTTPVersionNotSupported {
		t.Errorf("status %d", w.Code)
	}
}
