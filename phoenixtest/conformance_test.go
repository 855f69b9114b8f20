package phoenixtest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix/internal/conformance"
	"github.com/phxgo/phoenix/phoenixtest"
)

// Each file in testdata/conformance is a conversation with a real Phoenix. Here
// the same client says the same things, and the answers have to be the same.
// What an older release answered differently is in a directory of its own; for
// everything else the releases answered alike.

const recordings = "testdata/conformance/"

// recordingsOf returns the files of a release by name: its own, and those of
// 1.8.12 for the rest. Only own ones if the release is not the default.
func recordingsOf(t *testing.T, release phoenixtest.Profile, inherit bool) map[string]string {
	t.Helper()
	dirs := []string{recordings + "recordings"}
	if release != phoenixtest.Phoenix1812 {
		dirs = append(dirs, recordings+"recordings-"+string(release))
		if !inherit {
			dirs = dirs[1:]
		}
	}
	files := map[string]string{}
	for _, dir := range dirs {
		found, err := filepath.Glob(dir + "/*.jsonl")
		if err != nil || len(found) == 0 {
			t.Fatalf("no recordings in %s: %v", dir, err)
		}
		for _, file := range found {
			files[strings.TrimSuffix(filepath.Base(file), ".jsonl")] = file
		}
	}
	return files
}

func releases() []phoenixtest.Profile {
	return []phoenixtest.Profile{phoenixtest.Phoenix1724, phoenixtest.Phoenix189, phoenixtest.Phoenix1812}
}

// In memory every recording is replayed against every release that answers it
// alike.
func TestConformanceInMemory(t *testing.T) {
	for _, release := range releases() {
		for name, file := range recordingsOf(t, release, true) {
			t.Run(string(release)+"/"+name, func(t *testing.T) {
				steps := readRecording(t, file)
				if release == phoenixtest.Phoenix1724 && usesAuthToken(steps) {
					t.Skip("1.7 has no auth token")
				}
				synctest.Test(t, func(t *testing.T) {
					opts := phoenixtest.Options{Profile: release}
					newReplay(t, opts, settleInBubble).run(steps)
				})
			})
		}
	}
}

// Over TCP it is real time that passes, so that all are replayed at once.
func TestConformanceOverTCP(t *testing.T) {
	var wg sync.WaitGroup
	for _, release := range releases() {
		for name, file := range recordingsOf(t, release, false) {
			wg.Go(func() {
				t.Run(string(release)+"/"+name, func(t *testing.T) {
					opts := phoenixtest.Options{Profile: release, Network: phoenixtest.TCP}
					newReplay(t, opts, settleByCount).run(readRecording(t, file))
				})
			})
		}
	}
	wg.Wait()
}

func newReplay(t *testing.T, opts phoenixtest.Options, settle func(*replay, step)) *replay {
	s := phoenixtest.NewServer(t, conformance.Options(opts))
	conformance.Mount(s)
	return &replay{t: t, s: s, settle: settle, clients: map[string]*client{}}
}

type line struct {
	Op           string            `json:"op"`
	Conn         string            `json:"conn"`
	Path         string            `json:"path"`
	Subprotocols []string          `json:"subprotocols"`
	Text         *string           `json:"text"`
	Binary       *string           `json:"binary"`
	MS           int               `json:"ms"`
	Code         int               `json:"code"`
	Status       int               `json:"status"`
	Method       string            `json:"method"`
	Header       map[string]string `json:"header"`
	Body         string            `json:"body"`
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
	want     map[string][]string
	response *response
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
		case "response":
			steps[len(steps)-1].response = &response{Status: l.Status, Header: l.Header, Body: l.Body}
			continue
		default:
			steps = append(steps, step{line: l, want: map[string][]string{}})
			continue
		}
		last := &steps[len(steps)-1]
		last.want[l.Conn] = append(last.want[l.Conn], answer)
	}
	return steps
}

func usesAuthToken(steps []step) bool {
	return slices.ContainsFunc(steps, func(st step) bool {
		return len(st.Subprotocols) > 0 || st.Header["x-phoenix-authtoken"] != ""
	})
}

func TestRecordingsAreComplete(t *testing.T) {
	want := map[string]int{"recordings": 73, "recordings-1.7.24": 9, "recordings-1.8.9": 7}
	for dir, n := range want {
		entries, err := os.ReadDir(recordings + dir)
		if errors.Is(err, fs.ErrNotExist) || len(entries) != n {
			t.Errorf("%d recordings in %s, want %d", len(entries), dir, n)
		}
	}
}
