package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/phoenixtest"
)

const transcript = ` 25 events. Now the connections are cut.
 75 events. Now the server goes away and comes back.
125 events. Now the server restarts, and says so with code 1012.
175 events. Now the channels crash, and the connections do not.
225 events. Now the network is dead, and nobody says so.
275 events.

Who asks for what was missed has got 275 of 275, in order, none twice.
Who just listens has got N of 275.
Who published lost 6 replies, repeated those pushes, and nothing is in the feed twice.
`

func TestDemo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), nil, strings.NewReader(""), &stdout, &stderr); err != nil {
			t.Errorf("run without flags: %v", err)
		}
		got := regexp.MustCompile(`listens has got \d+ of`).ReplaceAllString(stdout.String(), "listens has got N of")
		if diff := cmp.Diff(transcript, got); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
		if stderr.Len() > 0 {
			t.Errorf("standard error: %s", &stderr)
		}
	})
}

// TestDemoFails makes sure that the demo does not pass whatever happens.
func TestDemoFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		sabotage func(srv *phoenixtest.Server)
		want     string
	}{
		"nobody may come back": {func(srv *phoenixtest.Server) {
			srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool { return m.Event == "phx_join" && m.Ref != "2" })
		}, "context deadline exceeded"},
		"nobody may join": {func(srv *phoenixtest.Server) { srv.Script(topic) }, "context deadline exceeded"},
		"nobody is there": {(*phoenixtest.Server).Down, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
				tt.sabotage(srv)
				err := runDemo(t.Context(), srv, topic, io.Discard)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("runDemo: got error %v, want %q", err, tt.want)
				}
			})
		})
	}
}

// TestDocsShowThisCode makes sure that docs/delivery.md shows the code that is
// tested here.
func TestDocsShowThisCode(t *testing.T) {
	t.Parallel()
	var source string
	for _, file := range []string{"follower.go", "publisher.go"} {
		source += readFile(t, file)
	}
	blocks := strings.Split(readFile(t, "../../docs/delivery.md"), "```go\n")[1:]
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		code = strings.TrimPrefix(code, "import \"sync/atomic\"\n\n")
		if !strings.Contains(source, code) {
			t.Errorf("docs/delivery.md has code that is not that of this example:\n%s", code)
		}
	}
	if len(blocks) != 4 {
		t.Errorf("%d blocks in docs/delivery.md, want 4", len(blocks))
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
