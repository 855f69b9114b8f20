package transport_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// The recordings of long polls with a real Phoenix are played to the client: it
// does what the recorded one did, gets the recorded answers, and has to make of
// them what they mean. (That phoenixtest gives the same answers is tested there.)

type pollStep struct {
	Op     string            `json:"op"`
	Method string            `json:"method"`
	Path   string            `json:"path"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
	Status int               `json:"status"`
}

// A recordedPoll is a request with its answer.
type recordedPoll struct {
	request, answer pollStep
	body            struct {
		Status   int      `json:"status"`
		Token    string   `json:"token"`
		Messages []string `json:"messages"`
	}
}

func readPolls(t *testing.T, file string) []recordedPoll {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []recordedPoll
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var step pollStep
		if err := json.Unmarshal(lines.Bytes(), &step); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		switch step.Op {
		case "http":
			all = append(all, recordedPoll{request: step})
		case "response":
			p := &all[len(all)-1]
			p.answer = step
			_ = json.Unmarshal([]byte(step.Body), &p.body) // the body of a 500 is none
		}
	}
	return all
}

// A playback answers requests of the client as the recording says, those of each
// method in their order.
type playback struct {
	t     *testing.T
	mu    sync.Mutex
	polls []recordedPoll
	token string
}

func (p *playback) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	next, ok := p.take(r.Method)
	if !ok {
		return nil, harness.Never(r)
	}
	p.compare(r, string(body), next)
	resp := harness.Respond(r, next.answer.Status, next.answer.Body)
	for name, value := range next.answer.Header {
		resp.Header.Set(name, value)
	}
	return resp, nil
}

func (p *playback) take(method string) (recordedPoll, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.polls, func(poll recordedPoll) bool { return poll.request.Method == method })
	if i < 0 {
		return recordedPoll{}, false
	}
	next := p.polls[i]
	p.polls = slices.Delete(p.polls, i, i+1)
	return next, true
}

// compare checks that the client asks as the recorded one did.
func (p *playback) compare(r *http.Request, body string, want recordedPoll) {
	u, err := url.Parse(want.request.Path)
	if err != nil {
		p.t.Error(err)
		return
	}
	p.mu.Lock()
	token := p.token
	if p.token == "" { // that of another session is not used
		p.token = want.body.Token
	}
	p.mu.Unlock()
	params := u.Query()
	if params.Get("token") == "${token}" || want.request.Header["x-phoenix-longpoll-token"] != "" || token != "" {
		params.Set("token", token) // which we send in both places, and on every request
	}
	if r.URL.Path != u.Path || r.URL.Query().Encode() != params.Encode() || r.Header.Get("X-Phoenix-Longpoll-Token") != token {
		p.t.Errorf("%s %v, want %v with token %s", r.Method, r.URL, u, token)
	}
	if body != want.request.Body {
		p.t.Errorf("posted %q, want %q", body, want.request.Body)
	}
	if typ := want.request.Header["content-type"]; typ != "" && r.Header.Get("Content-Type") != typ {
		p.t.Errorf("posted %s, want %s", r.Header.Get("Content-Type"), typ)
	}
}

// framesOf makes frames of the lines of a recorded POST; false if no client of
// ours would send them.
func framesOf(p recordedPoll) ([]phoenix.Frame, bool) {
	if p.request.Header["content-type"] != "application/x-ndjson" {
		return nil, false
	}
	var all []phoenix.Frame
	for line := range strings.SplitSeq(p.request.Body, "\n") {
		if strings.HasPrefix(line, "[") {
			all = append(all, harness.Texts(line)...)
			continue
		}
		data, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(data) == 0 {
			return nil, false
		}
		all = append(all, phoenix.Frame{Data: data, Binary: true})
	}
	return all, true
}

func TestRecordedLongPolls(t *testing.T) {
	files, err := filepath.Glob("../phoenixtest/testdata/conformance/recordings*/longpoll_*.jsonl")
	if err != nil || len(files) < 14 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".jsonl"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { playPolls(t, readPolls(t, file)) })
		})
	}
}

func playPolls(t *testing.T, polls []recordedPoll) {
	t.Helper()
	// What our client never does is left out, with its answers: other methods,
	// batches of another form, a POST without a session.
	polls = slices.DeleteFunc(polls, func(p recordedPoll) bool {
		_, ours := framesOf(p)
		return p.request.Method != http.MethodGet && (p.request.Method != http.MethodPost || !ours)
	})
	i := slices.IndexFunc(polls, func(p recordedPoll) bool { return p.request.Method == http.MethodGet })
	if i < 0 {
		return
	}
	polls = polls[i:]
	first := polls[0]
	play := &playback{t: t, polls: slices.Clone(polls)}
	u, err := url.Parse("http://phoenix.test" + strings.Replace(first.request.Path, "/longpoll", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := phoenix.LongPoll(nil).Dial(t.Context(), &transport.DialRequest{
		URL: u, Header: http.Header{}, HTTPClient: &http.Client{Transport: play}, MaxMessageSize: 1 << 20,
	})
	if first.body.Status != http.StatusGone {
		harness.WantStatus(t, err, first.body.Status)
		return
	}
	if err != nil {
		t.Fatal(err)
	}

	// What the polls bring, up to the one that ends the session.
	var want []string
	wantEnd := 0
	for _, p := range polls[1:] {
		if p.request.Method == http.MethodGet && wantEnd == 0 {
			want = append(want, p.body.Messages...)
			if p.body.Status != http.StatusOK && p.body.Status != http.StatusNoContent {
				wantEnd = p.body.Status
			}
		}
	}
	ended := make(chan error, 1)
	var got []string
	go func() {
		for {
			f, err := conn.ReadFrame()
			if err != nil {
				ended <- err
				return
			}
			if f.Binary != (f.Data[0] != '[') {
				t.Errorf("%q: binary %v", f.Data, f.Binary)
			}
			got = append(got, string(f.Data))
		}
	}()
	for _, p := range polls[1:] {
		if p.request.Method != http.MethodPost {
			continue
		}
		frames, _ := framesOf(p)
		n, err := conn.WriteFrames(frames, time.Time{})
		if p.answer.Status == http.StatusOK && p.body.Status == http.StatusOK {
			if err != nil || n != len(frames) {
				t.Errorf("WriteFrames = %d, %v", n, err)
			}
			continue
		}
		status, unsure := p.body.Status, len(frames)
		if p.answer.Status != http.StatusOK {
			status = p.answer.Status
		}
		if status == http.StatusGone {
			unsure = 0
		}
		if harness.WantPollError(t, err, "POST", status); n != unsure {
			t.Errorf("WriteFrames = %d, %v; want %d", n, err, unsure)
		}
	}
	synctest.Wait()
	time.Sleep(time.Second) // for polls that are paced
	if wantEnd == 0 {
		_ = conn.Close(context.Background(), 0, "")
	}
	err = <-ended
	if pe := (*phoenix.PollError)(nil); errors.As(err, &pe) != (wantEnd != 0) || pe != nil && pe.StatusCode != wantEnd {
		t.Errorf("the session ended with %v, want %d", err, wantEnd)
	}
	_ = conn.Close(context.Background(), 0, "")
	harness.WantItems(t, "messages", got, want...)
}
