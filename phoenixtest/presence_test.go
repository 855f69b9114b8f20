package phoenixtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix/phoenixtest"
)

// presenceChannel tracks the user that a join names.
func presenceChannel() phoenixtest.Channel {
	type meta struct {
		Key  string         `json:"key"`
		Meta map[string]any `json:"meta"`
	}
	call := func(fn func(c *Context, m meta) error) func(*Context, Payload) Reply {
		return func(c *Context, p Payload) Reply {
			m := meta{Meta: map[string]any{}}
			if err := p.Decode(&m); err != nil {
				return phoenixtest.Crash()
			}
			if err := fn(c, m); err != nil {
				return phoenixtest.Error(map[string]string{"reason": err.Error()})
			}
			return phoenixtest.OK(nil)
		}
	}
	return phoenixtest.Channel{
		Join: func(c *Context, p Payload) Reply {
			var m meta
			if p.Decode(&m) == nil && m.Key != "" {
				c.Send(func(c *Context) {
					c.Track(m.Key, m.Meta)
					c.PresenceState()
				})
			}
			return phoenixtest.OK(nil)
		},
		Events: phoenixtest.Events{
			"track":   call(func(c *Context, m meta) error { return c.Track(m.Key, m.Meta) }),
			"update":  call(func(c *Context, m meta) error { return c.Update(m.Key, m.Meta) }),
			"untrack": call(func(c *Context, m meta) error { c.Untrack(m.Key); return nil }),
			"bad":     func(c *Context, p Payload) Reply { c.Track("k", p); return phoenixtest.OK(nil) },
			"func":    func(c *Context, _ Payload) Reply { c.Track("k", func() {}); return phoenixtest.OK(nil) },
		},
	}
}

// wantBlank is client.want with the refs of presences replaced.
func wantBlank(t *testing.T, c *client, want ...string) {
	t.Helper()
	synctest.Wait()
	got := c.wait(0)
	blank, wanted := &normalizer{}, &normalizer{}
	for i := range got {
		got[i] = blank.text(got[i], false)
	}
	for i := range want {
		want[i] = wanted.text(want[i], false)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	blank.check(t)
}

func TestPresenceOfOneKeyOnTwoConnections(t *testing.T) {
	bubble(t, presenceChannel(), func(t *testing.T, s *phoenixtest.Server) {
		a, b := open(t, s), open(t, s)
		a.send(t, `["1","1","room:a","phx_join",{"key":"u","meta":{"n":1}}]`)
		wantBlank(t, a, joinedA,
			`[null,null,"room:a","presence_diff",{"joins":{"u":{"metas":[{"n":1,"phx_ref":"1"}]}},"leaves":{}}]`,
			`["1",null,"room:a","presence_state",{"u":{"metas":[{"n":1,"phx_ref":"1"}]}}]`)
		a.forget()
		b.send(t, `["7","7","room:a","phx_join",{"key":"u","meta":{"n":2}}]`)
		wantBlank(t, b, `["7","7","room:a","phx_reply",{"response":{},"status":"ok"}]`,
			`[null,null,"room:a","presence_diff",{"joins":{"u":{"metas":[{"n":2,"phx_ref":"1"}]}},"leaves":{}}]`,
			`["7",null,"room:a","presence_state",{"u":{"metas":[{"n":1,"phx_ref":"2"},{"n":2,"phx_ref":"1"}]}}]`)
		b.forget()
		wantBlank(t, a, `[null,null,"room:a","presence_diff",{"joins":{"u":{"metas":[{"n":2,"phx_ref":"1"}]}},"leaves":{}}]`)
		a.forget()
		b.send(t, `["7","8","room:a","update",{"key":"u","meta":{"n":3,"phx_ref":"mine","phx_ref_prev":"too"}}]`)
		wantBlank(t, a, `[null,null,"room:a","presence_diff",{"joins":{"u":{"metas":[`+
			`{"n":3,"phx_ref":"1","phx_ref_prev":"2"}]}},"leaves":{"u":{"metas":[{"n":2,"phx_ref":"2"}]}}}]`)
		if got := s.Presences("room:a")["u"].Metas; len(got) != 2 || !strings.HasPrefix(got[1].String(), `{"n":3,"phx_ref":"`) {
			t.Errorf("present: %v", got)
		}
		a.forget()
		b.ws.CloseNow()
		wantBlank(t, a, `[null,null,"room:a","presence_diff",{"joins":{},"leaves":{"u":{"metas":[{"n":3,"phx_ref":"1","phx_ref_prev":"2"}]}}}]`)
		a.forget()
		a.send(t, `["1","2","room:a","untrack",{"key":"u"}]`)
		wantBlank(t, a, `[null,null,"room:a","presence_diff",{"joins":{},"leaves":{"u":{"metas":[{"n":1,"phx_ref":"1"}]}}}]`,
			`["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]`)
		if got := s.Presences("room:a"); got == nil || len(got) != 0 {
			t.Errorf("present: %v", got)
		}
	})
}

// All that a channel tracks leaves in one diff, after its phx_close.
func TestPresencesEndWithTheChannel(t *testing.T) {
	bubble(t, presenceChannel(), func(t *testing.T, s *phoenixtest.Server) {
		a, b := open(t, s), open(t, s)
		a.send(t, joinA)
		b.send(t, joinA)
		for _, key := range []string{"y", "x"} {
			b.send(t, `["1","2","room:a","track",{"key":"`+key+`"}]`)
		}
		synctest.Wait()
		a.forget()
		b.forget()
		b.send(t, `["1","3","room:a","phx_leave",{}]`)
		wantBlank(t, b, `["1","3","room:a","phx_reply",{"response":{},"status":"ok"}]`, closedA)
		wantBlank(t, a, `[null,null,"room:a","presence_diff",{"joins":{},"leaves":{"x":{"metas":[{"phx_ref":"1"}]},"y":{"metas":[{"phx_ref":"2"}]}}}]`)
	})
}

// The leave of a channel that a second join replaces never reaches the client
// that joined twice.
func TestPresenceOfASecondJoin(t *testing.T) {
	bubble(t, presenceChannel(), func(t *testing.T, s *phoenixtest.Server) {
		a := open(t, s)
		a.send(t, `["1","1","room:a","phx_join",{"key":"u","meta":{"n":1}}]`)
		a.wait(3)
		a.forget()
		a.send(t, `["2","2","room:a","phx_join",{"key":"u","meta":{"n":2}}]`)
		wantBlank(t, a, `["2","2","room:a","phx_reply",{"response":{},"status":"ok"}]`, closedA,
			`[null,null,"room:a","presence_diff",{"joins":{"u":{"metas":[{"n":2,"phx_ref":"1"}]}},"leaves":{}}]`,
			`["2",null,"room:a","presence_state",{"u":{"metas":[{"n":2,"phx_ref":"1"}]}}]`)
	})
}

func TestPresenceMistakes(t *testing.T) {
	bubble(t, presenceChannel(), func(t *testing.T, s *phoenixtest.Server) {
		a := open(t, s)
		a.send(t, joinA)
		a.send(t, `["1","2","room:a","untrack",{"key":"u"}]`)
		a.send(t, `["1","3","room:a","update",{"key":"u"}]`)
		a.send(t, `["1","4","room:a","track",{"key":"u"}]`)
		synctest.Wait()
		conn, _ := s.Conns()[0].Channel("room:a")
		if err := conn.Track("u", nil); !errors.Is(err, phoenixtest.ErrTracked) {
			t.Errorf("tracked twice: %v", err)
		}
		if err := conn.Update("v", nil); !errors.Is(err, phoenixtest.ErrNotTracked) {
			t.Errorf("updated what is not there: %v", err)
		}
		a.forget()
		for _, event := range []string{"bad", "func"} {
			a.send(t, `["1","1","room:a","phx_join",{}]`)
			a.wait(1)
			a.forget()
			a.send(t, `["1","5","room:a","`+event+`",[]]`)
			synctest.Wait()
			if got := a.wait(1); got[len(got)-1] != crashedA {
				t.Errorf("%s: got %q", event, got)
			}
			a.forget()
		}
		if err := conn.Track("w", nil); err != nil || len(s.Presences("room:a")) != 0 {
			t.Errorf("a channel that has ended is present: %v", err)
		}
		if err := conn.Update("w", nil); err != nil {
			t.Error(err)
		}
	})
}

func TestFetchPresences(t *testing.T) {
	mode := "add"
	fetch := func(topic string, all map[string]phoenixtest.Presence) map[string]phoenixtest.Presence {
		switch mode {
		case "panic":
			panic("no database")
		case "exit":
			runtime.Goexit()
		case "none":
			return nil
		case "bad":
			return map[string]phoenixtest.Presence{"k": {Fields: map[string]any{"f": func() {}}}}
		}
		for key, p := range all {
			p.Fields = map[string]any{"name": strings.ToUpper(key), "topic": topic, "metas": "never"}
			all[key] = p
		}
		delete(all, "hidden")
		return all
	}
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, &phoenixtest.Options{FetchPresences: fetch})
		s.Handle("room:*", presenceChannel())
		a := open(t, s)
		a.send(t, joinA)
		a.wait(1)
		a.forget()
		ch, _ := s.Conns()[0].Channel("room:a")
		for _, key := range []string{"u", "hidden"} {
			if err := ch.Track(key, nil); err != nil {
				t.Error(err)
			}
		}
		ch.PresenceState()
		const u = `"u":{"metas":[{"phx_ref":"1"}],"name":"U","topic":"room:a"}`
		wantBlank(t, a, `[null,null,"room:a","presence_diff",{"joins":{`+u+`},"leaves":{}}]`,
			`[null,null,"room:a","presence_diff",{"joins":{},"leaves":{}}]`, `["1",null,"room:a","presence_state",{`+u+`}]`)
		a.forget()
		for i, m := range []string{"panic", "exit", "bad"} {
			mode = m
			done := make(chan struct{})
			go func() {
				defer close(done)
				ch.Track(fmt.Sprint(i), nil)
			}()
			<-done
		}
		mode = "none"
		ch.Untrack("u")
		wantBlank(t, a, `[null,null,"room:a","presence_diff",{"joins":{},"leaves":{}}]`)
	})
}

// Many channels at once: each diff is consistent with those before it.
func TestPresenceRace(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		s.Handle("lobby", presenceChannel())
		watch := open(t, s)
		watch.send(t, `["1","1","lobby","phx_join",{}]`)
		watch.wait(1)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				c := open(t, s)
				c.send(t, fmt.Sprintf(`["1","1","lobby","phx_join",{"key":"u%d","meta":{}}]`, i%3))
				for range 10 {
					c.send(t, fmt.Sprintf(`["1","2","lobby","update",{"key":"u%d","meta":{}}]`, i%3))
				}
				c.send(t, `["1","3","lobby","phx_leave",{}]`)
				c.send(t, heartbeat)
			})
		}
		wg.Wait()
		// Eight joins, eighty updates, eight leaves.
		frames := watch.wait(1 + 8 + 80 + 8)
		present := map[string]bool{}
		for _, f := range frames[1:] {
			joins, leaves := refsOf(t, f)
			for _, ref := range leaves {
				if !present[ref] {
					t.Errorf("%s leaves without having come: %s", ref, f)
				}
				delete(present, ref)
			}
			for _, ref := range joins {
				present[ref] = true
			}
		}
		if len(present) != 0 || len(frames) != 97 {
			t.Errorf("%d frames, still present: %v", len(frames), present)
		}
	})
}

func refsOf(t *testing.T, frame string) (joins, leaves []string) {
	t.Helper()
	type entries map[string]struct {
		Metas []struct {
			Ref string `json:"phx_ref"`
		} `json:"metas"`
	}
	var diff struct{ Joins, Leaves entries }
	parts := []any{nil, nil, nil, nil, &diff}
	if err := json.Unmarshal([]byte(frame), &parts); err != nil {
		t.Fatal(err)
	}
	collect := func(all entries) (refs []string) {
		for _, e := range all {
			for _, m := range e.Metas {
				refs = append(refs, m.Ref)
			}
		}
		return refs
	}
	return collect(diff.Joins), collect(diff.Leaves)
}
