package phoenixtest_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/phoenixtest"
)

// response is what an HTTP request was answered with, as far as it is recorded.
type response struct {
	Status int
	Header map[string]string
	Body   string
}

type replay struct {
	t *testing.T
	s *phoenixtest.Server
	// settle waits until everything has been answered.
	settle  func(r *replay, st step)
	clients map[string]*client
	refused map[string][]string
	// token is the last long-poll token.
	token     string
	want, got normalizer
}

func (r *replay) run(steps []step) {
	for i, st := range steps {
		r.refused = map[string][]string{}
		res := r.do(st)
		r.settle(r, st)
		got := r.answers()
		if diff := cmp.Diff(r.want.all(st.want), r.got.all(got)); diff != "" {
			r.t.Fatalf("step %d, %s %s: -want +got:\n%s", i+1, st.Op, st.Conn, diff)
		}
		if st.response == nil {
			continue
		}
		if diff := cmp.Diff(r.want.response(st.response), r.got.response(res)); diff != "" {
			r.t.Fatalf("step %d, %s %s: -want +got:\n%s", i+1, st.Method, st.Path, diff)
		}
	}
	r.got.check(r.t)
}

func (r *replay) do(st step) *response {
	r.t.Helper()
	switch st.Op {
	case "connect":
		c, res, err := dial(r.t, r.s, st.Path, st.Subprotocols...)
		switch {
		case err == nil:
			r.clients[st.Conn] = c
		case res != nil:
			r.refused[st.Conn] = []string{fmt.Sprintf("refused %d", res.StatusCode)}
		default:
			r.t.Fatal(err)
		}
	case "send":
		c := r.clients[st.Conn]
		if st.Binary == nil {
			c.send(r.t, *st.Text)
			return nil
		}
		data, err := base64.StdEncoding.DecodeString(*st.Binary)
		if err != nil {
			r.t.Fatal(err)
		}
		c.sendBinary(r.t, data)
	case "close":
		r.clients[st.Conn].ws.Close(websocket.StatusNormalClosure, "")
	case "wait":
		time.Sleep(time.Duration(st.MS) * time.Millisecond)
	case "http":
		return r.http(st)
	default:
		r.t.Fatalf("unknown step %q", st.Op)
	}
	return nil
}

func (r *replay) http(st step) *response {
	r.t.Helper()
	fill := strings.NewReplacer("${token}", r.token)
	base, _, _ := strings.Cut(strings.Replace(r.s.URL(), "ws://", "http://", 1), "/socket")
	req, err := http.NewRequestWithContext(r.t.Context(), st.Method, base+fill.Replace(st.Path), strings.NewReader(fill.Replace(st.Body)))
	if err != nil {
		r.t.Fatal(err)
	}
	for k, v := range st.Header {
		req.Header.Set(k, fill.Replace(v))
	}
	res, err := r.s.HTTPClient().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	out := &response{Status: res.StatusCode, Header: map[string]string{}, Body: string(body)}
	for _, k := range []string{"content-type", "access-control-allow-origin"} {
		if v := res.Header.Get(k); v != "" {
			out.Header[k] = v
		}
	}
	if token := tokenIn(out.Body); token != "" {
		r.token = token
	}
	return out
}

// answers takes what the clients have got.
func (r *replay) answers() map[string][]string {
	all := maps.Clone(r.refused)
	for name, c := range r.clients {
		frames := slices.Clone(c.wait(0))
		c.forget()
		if !c.alive() {
			frames = append(frames, fmt.Sprintf("closed %d", c.code()))
			delete(r.clients, name)
		}
		if len(frames) > 0 {
			all[name] = frames
		}
	}
	return all
}

// settleInBubble waits for silence, as the recorder did.
func settleInBubble(r *replay, _ step) {
	for {
		before := r.s.Frames()
		time.Sleep(350 * time.Millisecond)
		synctest.Wait()
		if len(r.s.Frames()) == len(before) {
			return
		}
	}
}

// settleByCount waits for as many answers as there have to be: real silence
// takes too long.
func settleByCount(r *replay, st step) {
	for name, want := range st.want {
		c := r.clients[name]
		if c == nil {
			continue
		}
		if strings.HasPrefix(want[len(want)-1], "closed ") {
			<-c.ended
			continue
		}
		c.wait(len(want))
	}
}
