//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phxgo/phoenix/internal/conformance"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A stage is the HTTP server that a page comes from, with what the scenarios
// import, and through which they have something done to their Phoenix server.
type stage struct {
	*httptest.Server
	phoenix atomic.Pointer[phoenixtest.Server]
	wasm    string // the directory with the client of this module, or ""
}

func newStage(t *testing.T, wasm string) *stage {
	s := &stage{wasm: wasm}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><title>interop</title><link rel="icon" href="data:,">`)
	})
	mux.Handle("GET /js/", http.FileServer(http.Dir(".")))
	mux.Handle("GET /modules/", http.StripPrefix("/modules/", http.FileServer(http.Dir(modules(t)))))
	mux.Handle("GET /wasm/", http.StripPrefix("/wasm/", http.FileServer(http.Dir(wasm))))
	mux.HandleFunc("POST /server/{verb}", s.serveVerb)
	mux.HandleFunc("/elsewhere/", s.redirect)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// modules is the directory with the npm packages. It is outside of the
// repository, where `./...` would look into it.
func modules(t *testing.T) string {
	dir := os.Getenv("PHOENIX_INTEROP_MODULES")
	if dir == "" {
		t.Fatal("PHOENIX_INTEROP_MODULES has to name the node_modules that npm ci has made from interop/package.json; .ci/run interop does all of that")
	}
	if _, err := os.Stat(filepath.Join(dir, "phoenix", "package.json")); err != nil {
		t.Fatal("the npm package phoenix is not installed: ", err)
	}
	return dir
}

// open starts a Phoenix server for one scenario.
func (s *stage) open(t *testing.T) *phoenixtest.Server {
	srv := phoenixtest.NewServer(t, conformance.Options(phoenixtest.Options{Network: phoenixtest.TCP}))
	conformance.Mount(srv)
	s.phoenix.Store(srv)
	return srv
}

// redirect redirects to the Phoenix server, which is another host.
func (s *stage) redirect(w http.ResponseWriter, r *http.Request) {
	to := strings.Replace(s.phoenix.Load().URL(), "ws", "http", 1) + strings.TrimPrefix(r.URL.Path, "/elsewhere")
	http.Redirect(w, r, to+"?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
}

func (s *stage) serveVerb(w http.ResponseWriter, r *http.Request) {
	result, err := perform(s.phoenix.Load(), r.PathValue("verb"), r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(result)
}

// perform does what a scenario asks for.
func perform(srv *phoenixtest.Server, verb string, params url.Values) (any, error) {
	each := func(do func(*phoenixtest.Conn)) (any, error) {
		conns := srv.Conns()
		for _, c := range conns {
			do(c)
		}
		return len(conns), nil
	}
	switch verb {
	case "cut":
		return each((*phoenixtest.Conn).Cut)
	case "blackhole":
		return each((*phoenixtest.Conn).Blackhole)
	case "close":
		code, err := strconv.Atoi(params.Get("code"))
		if err != nil {
			return nil, err
		}
		return each(func(c *phoenixtest.Conn) { c.Close(code, params.Get("reason")) })
	case "stall":
		return each((*phoenixtest.Conn).Stall)
	case "closed":
		return closed(srv, params.Get("code"))
	case "down":
		srv.Down()
	case "up":
		srv.Up()
	case "hang":
		srv.HangRequests(true)
	case "lose":
		return each((*phoenixtest.Conn).LoseSession)
	case "refuse":
		srv.RefuseNext(1, http.StatusServiceUnavailable, nil, "")
	case "swallow":
		srv.SwallowFrames(true)
	case "expect":
		return expect(srv, params.Get("topic"), params.Get("event"))
	default:
		return nil, fmt.Errorf("no such verb")
	}
	return true, nil
}

// closed waits until a connection has ended with a code of the client's.
func closed(srv *phoenixtest.Server, code string) (any, error) {
	return eventually("a connection with close code "+code, func() any {
		for _, f := range srv.Frames() {
			if f.Kind == phoenixtest.ConnClosed && strconv.Itoa(f.Code) == code {
				return true
			}
		}
		return nil
	})
}

// A received message as a scenario sees it: binary data as base64.
type received struct {
	Binary  bool `json:"binary"`
	Payload any  `json:"payload"`
}

// expect returns the messages of a topic and an event once there are any. The
// client does not learn when what it has sent arrives, and neither does a test.
func expect(srv *phoenixtest.Server, topic, event string) (any, error) {
	return eventually(event+" in "+topic, func() any {
		var list []received
		for _, m := range srv.Received(topic, event) {
			r := received{Binary: m.Payload.IsBinary(), Payload: m.Payload}
			if r.Binary {
				r.Payload = m.Payload.Bytes()
			}
			list = append(list, r)
		}
		if len(list) == 0 {
			return nil
		}
		return list
	})
}

// eventually returns what look finds, once that is something.
func eventually(what string, look func() any) (any, error) {
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		if found := look(); found != nil {
			return found, nil
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return nil, fmt.Errorf("the server got no %s", what)
		}
	}
}
