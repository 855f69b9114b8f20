//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"
)

// startNode returns an inspector of a Node process that has the scenarios.
func startNode(t *testing.T, _ *stage) *inspector {
	return runNode(t, "node", "js/node.mjs", modules(t))
}

func runNode(t *testing.T, name string, args ...string) *inspector {
	node := startProcess(t, nil, name, append([]string{"--inspect=127.0.0.1:0"}, args...)...)
	await(t, node.ready, nil, "the scenarios in Node")
	i, err := inspect(t.Context(), node.inspectorURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.close)
	return i
}

// startChromium returns an inspector of a page in Chromium that has the
// scenarios.
func startChromium(t *testing.T, s *stage) *inspector {
	return runChromium(t, s, `import("/js/browser.mjs").then(() => true)`)
}

// runChromium returns an inspector of a page that has evaluated an expression.
func runChromium(t *testing.T, s *stage, load string) *inspector {
	// Not t.TempDir: the browser's processes may write there for some moments after
	// its end, and are no children of ours to wait for. It is no reason to fail.
	profile, err := os.MkdirTemp("", "phoenix-interop-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 20 {
			os.RemoveAll(profile)
			time.Sleep(50 * time.Millisecond)
			if _, err := os.Stat(profile); err != nil {
				return
			}
		}
	})

	var browser *inspector
	stop := func() {
		if browser != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			browser.call(ctx, "Browser.close", struct{}{}, &struct{}{})
			browser.close()
		}
	}
	chromium := startProcess(
		t, stop, chromiumPath(t),
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--user-data-dir="+profile,
		"--remote-debugging-port=0", "about:blank",
	)
	if browser, err = inspect(t.Context(), chromium.inspectorURL); err != nil {
		t.Fatal(err)
	}
	page, err := inspect(t.Context(), pageURL(t, chromium.inspectorURL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(page.close)

	var navigated struct {
		Error string `json:"errorText"`
	}
	if err := page.call(t.Context(), "Page.navigate", map[string]any{"url": s.URL}, &navigated); err != nil || navigated.Error != "" {
		t.Fatalf("%s: %v %s", s.URL, err, navigated.Error)
	}
	if err := page.evaluate(t.Context(), load, nil); err != nil {
		t.Fatal(err)
	}
	return page
}

// chromiumPath finds the browser. CHROMIUM names another.
func chromiumPath(t *testing.T) string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium: install it, or name it in the variable CHROMIUM")
	return ""
}

// pageURL returns the address of the inspector of the one page that the browser
// has opened. It is that page, and not a new one, because the browser's idea of
// which of several is hidden decides whether phoenix.js reconnects.
func pageURL(t *testing.T, browserURL string) string {
	u, err := url.Parse(browserURL)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get("http://" + u.Host + "/json/list")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var targets []struct {
		Type string `json:"type"`
		URL  string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(res.Body).Decode(&targets); err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if target.Type == "page" {
			return target.URL
		}
	}
	t.Fatalf("the browser has no page: %v", targets)
	return ""
}
