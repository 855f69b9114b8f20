//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// buildWasm builds the program in wasm/, and returns a directory with it and with
// what Go's distribution has to run it.
func buildWasm(t *testing.T) string {
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "client.wasm"), "./wasm")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	glue, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		t.Fatal(runtime.Version(), ": ", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "wasm_exec.js"), glue, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startGoInNode starts Node by its full path: under the name "node" net/http uses
// no Fetch API (net/http/roundtrip_js.go).
func startGoInNode(t *testing.T, s *stage) *inspector {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	if node, err = filepath.Abs(node); err != nil {
		t.Fatal(err)
	}
	return runNode(t, node, "js/wasm_node.mjs", modules(t), s.wasm)
}

func startGoInChromium(t *testing.T, s *stage) *inspector {
	return runChromium(t, s, `import("/js/wasm_page.mjs").then(() => true)`)
}
