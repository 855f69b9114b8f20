// Command screenshot makes the picture of examples/browserchat, with Chromium: two
// people and a bot, through an outage. Run it at the root of the repository.
//
//	go run ./internal/tools/screenshot
//
// writes docs/img/browserchat.png. It needs Debian's package chromium, or what
// $CHROMIUM names.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

//go:embed stage.js
var stage []byte

func main() {
	out := flag.String("o", "docs/img/browserchat.png", "the `file` to write")
	width := flag.Int("width", 1120, "of the window, in CSS `pixels`")
	height := flag.Int("height", 760, "of the window, in CSS `pixels`")
	scale := flag.Float64("scale", 1.25, "how many pixels a CSS pixel has")
	dark := flag.Bool("dark", false, "the dark mode")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := shoot(ctx, *out, *width, *height, *scale, *dark); err != nil {
		fmt.Fprintln(os.Stderr, "screenshot:", err)
		cancel()
		os.Exit(1) //nolint:gocritic // cancel was called
	}
}

func shoot(ctx context.Context, out string, width, height int, scale float64, dark bool) (err error) {
	tmp, err := os.MkdirTemp("", "screenshot")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	page, stop, err := startExample(ctx, filepath.Join(tmp, "browserchat"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	played := make(chan error, 1)
	url, stopProxy, err := startProxy(ctx, page, played)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopProxy()) }()

	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	args := []string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir=" + filepath.Join(tmp, "profile"), "--screenshot=" + out,
		fmt.Sprintf("--window-size=%d,%d", width, height),
		"--force-device-scale-factor=" + strconv.FormatFloat(scale, 'g', -1, 64),
	}
	if dark {
		args = append(args, "--blink-settings=preferredColorScheme=0")
	}
	chromium := exec.CommandContext(ctx, cmp.Or(os.Getenv("CHROMIUM"), "chromium"), append(args, url)...) //nolint:gosec // the tool's own arguments
	if text, err := chromium.CombinedOutput(); err != nil {
		return fmt.Errorf("chromium: %w\n%s", err, text)
	}
	select {
	case err := <-played:
		return err
	default:
		return errors.New("chromium did not wait for the end of the conversation")
	}
}

// startExample starts the example, and returns the address of its page.
func startExample(ctx context.Context, binary string) (page string, stop func() error, err error) {
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./examples/browserchat") //nolint:gosec // the tool's own arguments
	if text, err := build.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("go build: %w\n%s", err, text)
	}
	example := exec.CommandContext(ctx, binary, "-serve", "-addr", "127.0.0.1:0")
	example.Stderr = os.Stderr
	stdout, err := example.StdoutPipe()
	if err == nil {
		err = example.Start()
	}
	if err != nil {
		return "", nil, err
	}
	stop = func() error { return errors.Join(example.Process.Signal(os.Interrupt), example.Wait()) }
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return regexp.MustCompile(`http://\S+`).FindString(line), stop, nil
}

// startProxy serves the page with stage.js in it, and with an image that is there
// when the conversation is over: Chromium takes the picture of a page that is loaded.
func startProxy(ctx context.Context, page string, played chan<- error) (address string, stop func() error, err error) {
	target, err := url.Parse(page)
	if err != nil {
		return "", nil, err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Header.Del("Origin")
			p.Out.Header.Del("Accept-Encoding")
		},
		ModifyResponse: inject,
	}
	done := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("/stage.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(stage) // Chromium will tell
	})
	mux.HandleFunc("/hold.png", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusNotFound)
	})
	mux.HandleFunc("/done", func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err == nil && len(text) > 0 {
			err = errors.New(string(text))
		}
		played <- err
		close(done)
	})
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	return "http://" + lis.Addr().String() + "/", func() error { return errors.Join(server.Close(), errOf(served)) }, nil
}

func errOf(served <-chan error) error {
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// inject puts the script, and for the page that is shown the image, into the page.
func inject(res *http.Response) error {
	if res.Request.URL.Path != "/" {
		return nil
	}
	html, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	html = bytes.Replace(html, []byte("<script "), []byte(`<script src="stage.js"></script><script `), 1)
	if res.Request.URL.RawQuery == "" {
		html = bytes.Replace(html, []byte(`<dialog `), []byte(`<img src="hold.png" alt="" hidden><dialog `), 1)
	}
	res.Body = io.NopCloser(bytes.NewReader(html))
	res.ContentLength = int64(len(html))
	res.Header.Set("Content-Length", strconv.Itoa(len(html)))
	return nil
}
