package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
)

// TestSelfCheck runs the program as it runs without a terminal, on real sockets.
func TestSelfCheck(t *testing.T) {
	t.Parallel()
	var stdout strings.Builder
	if err := example.Exec(t.Context(), demo.Config{Stdout: &stdout}); err != nil {
		t.Fatalf("%v; it has printed:\n%s", err, &stdout)
	}
	for _, want := range []string{"the page is there\n", "Gopher: Welcome, Visitor!", "Gopher: I was away for 3."} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the output lacks %q; it is:\n%s", want, &stdout)
		}
	}
}

// TestHistory makes sure that who comes back gets what was said meanwhile.
func TestHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t)
		ann := enter(t, r, "ann", nil)
		pushSay(t, ann, "one", "1")
		pushSay(t, ann, "two", "2")
		if again := pushSay(t, ann, "two", "2"); again.Seq != 2 {
			t.Errorf("a message that is repeated: got number %d, want 2", again.Seq)
		}
		var got []string
		enter(t, r, "bob", func(m *phoenix.Message) {
			said, err := messagesOf(m)
			if err != nil {
				t.Error(err)
			}
			for _, one := range said {
				got = append(got, one.From.ID+": "+one.Body)
			}
		})
		synctest.Wait()
		pushSay(t, ann, "three", "3")
		synctest.Wait()
		if diff := cmp.Diff([]string{"ann: one", "ann: two", "ann: three"}, got); diff != "" {
			t.Errorf("what Bob gets (-want +got):\n%s", diff)
		}
	})
}

func TestPresence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t)
		ann := enter(t, r, "ann", nil)
		bob := enter(t, r, "bob", nil)
		if _, err := ann.Push(t.Context(), "rename", map[string]string{"name": " Anna "}); err != nil {
			t.Fatal("rename: ", err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"Anna", "bob"}, present(t, r)); diff != "" {
			t.Errorf("who is present (-want +got):\n%s", diff)
		}
		if err := bob.Leave(t.Context()); err != nil {
			t.Fatal("Leave: ", err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"Anna"}, present(t, r)); diff != "" {
			t.Errorf("who is present without Bob (-want +got):\n%s", diff)
		}
	})
}

// TestCut makes sure that everybody, the bot included, comes back by themselves,
// and that the bot answers what was asked while it was away.
func TestCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t)
		bot, err := startBot(t.Context(), backendOf(r), thinkingTime)
		if err != nil {
			t.Fatal(err)
		}
		defer bot.socket.Close()
		ann := enter(t, r, "ann", nil)
		synctest.Wait()
		r.cut(outageTime)
		r.cut(outageTime) // a second click changes nothing
		if got := present(t, r); len(got) > 0 {
			t.Errorf("during the outage %v are present", got)
		}
		pushSay(t, ann, "@bot are you there?", "1")
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff([]string{"Gopher", "ann"}, present(t, r)); diff != "" {
			t.Errorf("who is present after the outage (-want +got):\n%s", diff)
		}
		var said []string
		for _, m := range r.since(0) {
			if m.From.ID == "bot" {
				said = append(said, strings.Fields(m.Body)[0])
			}
		}
		slices.Sort(said)
		if diff := cmp.Diff([]string{"I", "Welcome,", "ann,"}, said); diff != "" {
			t.Errorf("the first words of what the bot said (-want +got):\n%s", diff)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, who := range map[string]person{
		"nobody":    {},
		"no name":   {ID: "x", Name: " "},
		"long name": {ID: "x", Name: strings.Repeat("x", maxName+1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				channel := channelOf(t, newRoom(t), who)
				if _, err := channel.Join(t.Context()); err == nil {
					t.Errorf("the room let %+v in", who)
				}
			})
		})
	}
}

// TestSite makes sure that the page has all it asks for, and asks nobody else.
func TestSite(t *testing.T) {
	t.Parallel()
	site, err := newSite(backendOf(newRoom(t)), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		site.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		return rec
	}
	if got := get("/").Header().Get("Content-Security-Policy"); got != "default-src 'self'" {
		t.Errorf("Content-Security-Policy of the page: %q", got)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(get("/").Body.String(), -1) {
		if rec := get("/" + m[1]); rec.Code != http.StatusOK {
			t.Errorf("the page asks for %s: status %d", m[1], rec.Code)
		}
	}
	foreign := regexp.MustCompile(`https?://`)
	fs.WalkDir(web, "web", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := web.ReadFile(path)
		if err == nil && foreign.MatchString(strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")) {
			t.Errorf("%s names a foreign address", path)
		}
		return err
	})

	req := httptest.NewRequest(http.MethodPost, "/cut", http.NoBody)
	req.Header.Set("Origin", "http://elsewhere.example")
	rec := httptest.NewRecorder()
	site.ServeHTTP(rec, req)
	if rec.Code != http.StatusForbidden {
		t.Errorf("a foreign page that presses the button: status %d, want 403", rec.Code)
	}
}

// TestServerIsNotThere prints what is wrong at once, and ends.
func TestServerIsNotThere(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var stderr strings.Builder
	err := example.Exec(ctx, demo.Config{URL: "ws://127.0.0.1:1/socket", Stderr: &stderr})
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got error %v, want one that says why", err)
	}
	if !strings.Contains(stderr.String(), "connection refused") {
		t.Errorf("standard error: %q", &stderr)
	}
}

// TestTextCanBeRead makes sure that text and what is behind it differ by 4.5 to 1,
// as WCAG 2 wants it, in either mode.
func TestTextCanBeRead(t *testing.T) {
	t.Parallel()
	css, err := web.ReadFile("web/style.css")
	if err != nil {
		t.Fatal(err)
	}
	colours := map[string][2]string{"white": {"ffffff", "ffffff"}}
	for _, m := range regexp.MustCompile(`--(\w[\w-]*): light-dark\(#(\w{6}), #(\w{6})\)`).FindAllStringSubmatch(string(css), -1) {
		colours[m[1]] = [2]string{m[2], m[3]}
	}
	for text, behind := range map[string][]string{
		"text": {"page", "panel", "bubble", "bg"}, "soft": {"page", "panel"}, "faint": {"page", "panel"},
		"good": {"page"}, "warn": {"page", "panel"}, "bad": {"page", "panel"}, "white": {"mine", "mine-deep"},
	} {
		for _, back := range behind {
			for mode, name := range []string{"light", "dark"} {
				if ratio := contrast(t, colours[text][mode], colours[back][mode]); ratio < 4.5 {
					t.Errorf("%s mode: %s on %s has a contrast of %.2f to 1, want 4.5", name, text, back, ratio)
				}
			}
		}
	}
}

// contrast returns the ratio of the luminance of two colours.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(colour string) float64 {
		rgb, err := hex.DecodeString(colour)
		if err != nil || len(rgb) != 3 {
			t.Fatalf("no colour: %q", colour)
		}
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			c := float64(rgb[i]) / 255
			if c <= 0.04045 {
				c /= 12.92
			} else {
				c = math.Pow((c+0.055)/1.055, 2.4)
			}
			sum += weight * c
		}
		return sum + 0.05
	}
	la, lb := luminance(a), luminance(b)
	return max(la, lb) / min(la, lb)
}

// TestURL runs the page and the bot against a server that is not the program's own.
func TestURL(t *testing.T) {
	t.Parallel()
	elsewhere := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP, Path: "/live"})
	serveRoom(elsewhere)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- demo.Example{Run: func(ctx context.Context, app *demo.App) error { return run(ctx, app, "127.0.0.1:0") }}.
			Exec(ctx, demo.Config{URL: elsewhere.URL(), Stdout: stdout})
		stdout.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	page := regexp.MustCompile(`http://\S+`).FindString(line)
	if err != nil || page == "" {
		t.Fatalf("%q, %v", line, err)
	}

	socket, err := phoenix.NewSocket(page+"/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := socket.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	channel, err := socket.Channel(topic, &phoenix.ChannelOptions{Params: person{ID: "ann", Name: "Ann", Kind: "browser"}})
	if err != nil {
		t.Fatal(err)
	}
	messages := channel.Messages(ctx, "message")
	if _, err := channel.Join(ctx); err != nil {
		t.Fatal(err)
	}
	for m, err := range messages { // the bot welcomes her
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(m.Payload.String(), "Ann") {
			break
		}
	}

	res, err := http.Post(page+"/cut", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotImplemented {
		t.Errorf("the plug of a server elsewhere: status %d", res.StatusCode)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func newRoom(t *testing.T) *room {
	r := serveRoom(phoenixtest.NewServer(t, nil))
	t.Cleanup(r.close)
	return r
}

func backendOf(r *room) backend {
	return backend{url: r.URL(), cut: r.cut, opts: &phoenix.SocketOptions{HTTPClient: r.HTTPClient()}}
}

func channelOf(t *testing.T, r *room, who person) *phoenix.Channel {
	socket, err := phoenix.NewSocket(r.URL(), &phoenix.SocketOptions{HTTPClient: r.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	if err := socket.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	channel, err := socket.Channel(topic, &phoenix.ChannelOptions{Params: who})
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

// enter lets somebody into the room, who gives the messages to hear.
func enter(t *testing.T, r *room, id string, hear func(*phoenix.Message)) *phoenix.Channel {
	channel := channelOf(t, r, person{ID: id, Name: id, Kind: "go"})
	if hear != nil {
		channel.On("history", hear)
		channel.On("message", hear)
	}
	if _, err := channel.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return channel
}

func pushSay(t *testing.T, channel *phoenix.Channel, body, nonce string) message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m, err := phoenix.PushFor[message](ctx, channel, "say", map[string]string{"body": body, "nonce": nonce})
	if err != nil {
		t.Fatalf("say %q: %v", body, err)
	}
	return m
}

// present returns the names of who is present.
func present(t *testing.T, r *room) []string {
	var names []string
	for _, p := range r.Presences(topic) {
		for _, meta := range p.Metas {
			var who person
			if err := meta.Decode(&who); err != nil {
				t.Fatal(err)
			}
			names = append(names, who.Name)
		}
	}
	slices.Sort(names)
	return names
}
