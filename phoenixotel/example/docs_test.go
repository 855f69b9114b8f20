package example_test

import (
	"os"
	"strings"
	"testing"
)

func TestThePageShowsTheCollectorInFull(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("collector/collector.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+string(file)+"```\n") {
		t.Error("docs/observability.md does not have collector/collector.go as it is: copy it there")
	}
}

func TestThePageNamesEachAlert(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		if !strings.Contains(string(page), "| `"+r.Alert+"` |") {
			t.Errorf("no row for %s", r.Alert)
		}
	}
}
