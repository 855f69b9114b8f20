package phoenixtest_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/phoenixtest"
)

// Each file in testdata/conformance is a conversation with a real Phoenix
// 1.8.12. Here the same client says the same things, and the answers have to
// be the same.

type line struct {
	Op           string   `json:"op"`
	Conn         string   `json:"conn"`
	Path         string   `json:"path"`
	Subprotocols []string `json:"subprotocols"`
	Text         *string  `json:"text"`
	Binary       *string  `json:"binary"`
	MS           int      `json:"ms"`
	Code         int      `json:"code"`
	Status       int      `json:"status"`
}

func (l line) frame() string {
	if l.Binary != nil {
		return "binary " + *l.Binary
	}
	return *l.Text
}

// step is something that the client does, and what the server answered by
// connection.
type step struct {
	line
	want map[string][]string
}

func TestConformance(t *testing.T) {
	files, err := filepath.Glob("testdata/conformance/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run("memory/"+name, func(t *testing.T) {
			steps := readRecording(t, file)
			synctest.Test(t, func(t *testing.T) {
				(&replay{t: t, s: conformanceServer(t, phoenixtest.InMemory), settle: settleInBubble}).run(steps)
			})
		})
		t.Run("tcp/"+name, func(t *testing.T) {
			t.Parallel()
			(&replay{t: t, s: conformanceServer(t, phoenixtest.TCP), settle: settleByCount}).run(readRecording(t, file))
		})
	}
}

func conformanceServer(t *testing.T, network phoenixtest.Network) *phoenixtest.Server {
	s := phoenixtest.NewServer(t, conformanceOptions(network))
	conformanceApp(s)
	return s
}

func readRecording(t *testing.T, file string) []step {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		var answer string
		switch l.Op {
		case "recv":
			answer = l.frame()
		case "closed":
			answer = fmt.Sprintf("closed %d", l.Code)
		case "refused":
			answer = fmt.Sprintf("refused %d", l.Status)
		default:
			steps = append(steps, step{line: l, want: map[string][]string{}})
			continue
		}
		last := &steps[len(steps)-1]
		last.want[l.Conn] = append(last.want[l.Conn], answer)
	}
	return steps
}

type replay struct {
	t       *testing.T
	s       *phoenixtest.Server
	clients map[string]*client
	refused map[string][]string
	// settle waits until everything has been answered.
	settle func(r *replay, st step)
}

func (r *replay) run(steps []step) {
	r.clients = map[string]*client{}
	for i, st := range steps {
		r.refused = map[string][]string{}
		r.do(st)
		r.settle(r, st)
		got := r.answers()
		if diff := cmp.Diff(canonicalAll(st.want), canonicalAll(got)); diff != "" {
			r.t.Fatalf("step %d, %s %s: -want +got:\n%s", i+1, st.Op, st.Conn, diff)
		}
	}
}

func (r *replay) do(st step) {
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
			return
		}
		data, err := base64.StdEncoding.DecodeString(*st.Binary)
		if err != nil {
			r.t.Fatal(err)
		}
		c.sendBinary(r.t, data)
	case "close":
		r.clients[st.Conn].ws.Close(websocket.StatusNormalClosure, "") //nolint:errcheck // the close code is compared
	case "wait":
		time.Sleep(time.Duration(st.MS) * time.Millisecond)
	default:
		r.t.Fatalf("unknown step %q", st.Op)
	}
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

func canonicalAll(m map[string][]string) map[string][]string {
	out := make(map[string][]string, len(m))
	for name, frames := range m {
		for _, f := range frames {
			if c, ok := canonical(f); ok {
				f = c
			}
			out[name] = append(out[name], f)
		}
	}
	return out
}
