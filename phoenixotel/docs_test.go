package phoenixotel_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixtest"
)

// TestThePageHasEachMetric compares the table of metrics with those of a socket to which
// everything has happened.
func TestThePageHasEachMetric(t *testing.T) {
	page, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Metrics\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z._]+)`").FindAllStringSubmatch(section, -1) {
		told = append(told, row[1])
	}
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		socket := connected(t, server, phoenix.SocketOptions{Trace: phoenixotel.Trace(&tel.opts), RejoinBackoff: phoenix.Steps(time.Second)})
		observer, err := phoenixotel.Observe(&tel.opts, socket)
		if err != nil {
			t.Fatal(err)
		}
		defer observer.Close()
		c := joined(t, socket, "room:1")
		c.On("shout", func(*phoenix.Message) {})
		c.Push(t.Context(), "ping", nil)
		server.Broadcast("room:1", "shout", nil)
		server.Conns()[0].SendRaw(phoenixtest.OpText, []byte("no message"))
		time.Sleep(time.Second)
		server.Conns()[0].Cut()
		time.Sleep(10 * time.Second)
		exported := map[string]bool{}
		for series := range tel.metrics() {
			name, _, _ := strings.Cut(series, "{")
			exported[name] = true
		}
		slices.Sort(told)
		if got := slices.Sorted(maps.Keys(exported)); !slices.Equal(got, told) {
			t.Errorf("exported %q, the page has %q", got, told)
		}
	})
}
