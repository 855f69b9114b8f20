package xk6phoenix_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
	xk6phoenix "github.com/phxgo/xk6-phoenix"
)

// TestIteration is a whole iteration, with all that it leaves in the metrics.
func TestIteration(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		said := v.iterate(`
			const socket = new Socket(url, {params: {client: 'k6'}, tags: {team: 'red'}});
			socket.onClose((e) => say(e));
			await socket.connect();
			const room = socket.channel('room:42', {name: ''});
			const joined = await room.join();
			say(joined.status, joined.response, typeof joined.duration, room.topic);
			const pong = await room.push('ping', {n: [1, 'é']}, {tags: {step: 'one'}});
			say(pong.status, pong.response);
			say((await room.push('error')).response);
			const all = await Promise.all([1, 2, 3].map((n) => room.push('ping', {n})));
			say(all.map((r) => r.response.n));
			room.send('shout', {id: 7});
			const shout = await room.receive('shout');
			say(shout.status, shout.event, shout.payload);
			say((await room.leave()).status);
			await socket.close();
			say('end');
		`)
		wantSaid(t, said,
			`"ok"`, `{"topic":"room:42"}`, `"number"`, `"room:42"`,
			`"ok"`, `{"n":[1,"é"]}`, `{"reason":"you asked for it"}`, `[1,2,3]`,
			`"ok"`, `"shout"`, `{"id":7}`, `"ok"`, `{"error":""}`, `"end"`)
		synctest.Wait()
		for metric, want := range map[string]string{
			"phoenix_joins":         `{"red room:* ":1}`,
			"phoenix_join_failed":   `{"red room:* ":0}`,
			"phoenix_msgs_sent":     `{"red room:* error":1,"red room:* ping":4,"red room:* shout":1}`,
			"phoenix_msgs_received": `{"red room:* shout":1}`,
			"phoenix_push_failed":   `{"red room:* error":1,"red room:* ping":0}`,
		} {
			if got := asJSON(t, v.sums(metric, "team", "topic", "event")); got != want {
				t.Errorf("%s: %s, want %s", metric, got, want)
			}
		}
		if got := asJSON(t, v.sums("phoenix_push_failed", "status", "step")); got != `{"error ":1,"ok ":0,"ok one":0}` {
			t.Error("phoenix_push_failed by status and step:", got)
		}
		endpoint, _, _ := strings.Cut(server.URL(), "?")
		if got := asJSON(t, v.sums("ws_sessions", "url", "name", "status")); got != asJSON(t, map[string]int{endpoint + " " + endpoint + " 101": 1}) {
			t.Error("ws_sessions:", got)
		}
		for metric, want := range map[string]int{
			"phoenix_connecting": 1, "phoenix_join_duration": 1, "phoenix_push_duration": 5,
			"ws_connecting": 1, "ws_session_duration": 1,
		} {
			if got := v.values(metric); len(got) != want {
				t.Errorf("%s has %v, want %d values", metric, got, want)
			}
		}
		// A heartbeat, a join, five pushes, a message and a leave go out.
		if got := asJSON(t, v.sums("ws_msgs_sent")); got != `{"":9}` {
			t.Error("ws_msgs_sent:", got)
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, s := range v.got {
			if s.Metric.Name == "phoenix_push_duration" && s.Metadata["phoenix_topic"] != "room:42" {
				t.Errorf("the metadata of a push is %v", s.Metadata)
			}
		}
	})
}

// TestConnectFails has the ways in which connect rejects.
func TestConnectFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		server.RefuseNext(1, 403, nil, "no")
		said := v.iterate(`
			const socket = new Socket(url + '?token=secret');
			try { await socket.connect(); } catch (e) { say(e.status, e.message.includes('secret')); }
			await socket.connect(); // another attempt may succeed
			say('connected');
			await socket.close();
		`)
		wantSaid(t, said, `403`, `false`, `"connected"`)
		server.HangUpgrades(true)
		start := time.Now()
		said = v.iterate(`
			try { await new Socket(url, {timeout: '3s'}).connect(); } catch (e) { say(e.status); }
		`)
		wantSaid(t, said, `0`)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %v, want the timeout of 3s", took)
		}
		synctest.Wait()
		if got := asJSON(t, v.sums("ws_sessions", "status")); got != `{"":1,"101":1,"403":1}` {
			t.Error("ws_sessions:", got)
		}
	})
}

// TestTwice calls what is under way already: both calls get the one outcome.
func TestTwice(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		server.RefuseNext(1, 503, nil, "")
		said := v.iterate(`
			const socket = new Socket(url);
			say((await Promise.allSettled([socket.connect(), socket.connect()])).map((r) => r.reason.status));
			await Promise.all([socket.connect(), socket.connect()]);
			const room = socket.channel('room:1');
			say((await Promise.all([room.join(), room.join()])).map((r) => r.status));
			const no = socket.channel('private:1');
			say((await Promise.all([no.join(), no.join()])).map((r) => r.status));
			await Promise.all([socket.close(), socket.close()]);
			await socket.close();
		`)
		wantSaid(t, said, `[503,503]`, `["ok","ok"]`, `["error","error"]`)
		if n := len(closeCodes(server)); n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// TestOptions has what the constructor refuses.
func TestOptions(t *testing.T) {
	t.Parallel()
	v := newVU(t, new(xk6phoenix.RootModule))
	v.throws(map[string]string{
		`new Socket()`:                                     "the first argument is the URL",
		`new Socket('nowhere')`:                            "endpoint",
		`new Socket('http://x', 5)`:                        "want an object",
		`new Socket('ws://x', {timeout: 'soon'})`:          `timeout: want a duration such as "5s"`,
		`new Socket('ws://x', {timeout: 0})`:               "timeout: want more than 0",
		`new Socket('ws://x', {heartbeatInterval: NaN})`:   "heartbeatInterval: NaN is no duration",
		`new Socket('ws://x', {vsn: '3.0.0'})`:             `vsn: want "2.0.0" or "1.0.0"`,
		`new Socket('ws://x', {transport: 'pigeon'})`:      `transport: want "websocket"`,
		`new Socket('ws://x', {persist: 1})`:               "persist: want true or false",
		`new Socket('ws://x', {params: {a: {}}})`:          "a: want a string, a number or a boolean",
		`new Socket('ws://x', {headers: {Upgrade: 'x'}})`:  "Upgrade",
		`new Socket('ws://x', {topicTag: 'room'})`:         "topicTag: want a function",
		`new Socket('ws://x', {topics: 1})`:                `unknown option "topics"`,
		`new Socket('ws://x').connect()`:                   "it does no I/O in the init context",
		`new Socket('ws://x').channel('r:1').push('ping')`: "it does no I/O in the init context",
	})
}

// TestArguments has the calls that throw: what a script gets wrong is no outcome.
func TestArguments(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, _ *phoenixtest.Server) {
		said := v.iterate(`
			const socket = new Socket(url);
			await socket.connect();
			const room = socket.channel('room:1');
			await room.join();
			for (const call of [
				() => room.push('ping', {}, {timeuot: 1}),
				() => room.push('phx_join', {}),
				() => room.push('', {}),
				() => room.push('ping', () => 1),
				() => room.push('ping', [1], {stamp: true}),
				() => room.send('phx_leave'),
				() => room.on('shout'),
				() => room.receive('shout', {where: 5}),
				() => socket.onClose(1),
				() => socket.channel(''). join(),
			]) {
				try { call(); say('nothing thrown by ' + call); } catch (e) { say(e.name); }
			}
			await socket.close();
		`)
		for _, name := range said {
			if name != `"GoError"` {
				t.Error(name)
			}
		}
		if len(said) != 10 {
			t.Errorf("%d calls were made", len(said))
		}
	})
}

// TestLost is a connection that the server ends: what is under way is closed, and so
// is the socket, which no longer holds up the iteration.
func TestLost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		v.set("cutAll", cutAll(server))
		said := v.iterate(`
			const ends = [];
			const socket = new Socket(url);
			socket.onClose((e) => ends.push(e.error !== ''));
			await socket.connect();
			const room = socket.channel('room:1');
			say((await room.join()).status);
			const waiting = room.receive('shout');
			const silent = room.push('silence');
			cutAll();
			const [r, m] = await Promise.all([silent, waiting]);
			say(r.status, r.error.includes('connection lost'), m.status);
			say((await room.push('ping')).status, room.send('shout'), (await room.join()).status);
			await socket.close();
			await socket.connect(); // anew, with the same channels
			say((await room.join()).status, (await room.push('ping')).status);
			await socket.close();
			say(ends);
		`)
		wantSaid(t, said, `"ok"`, `"closed"`, `true`, `"closed"`, `"closed"`, `false`, `"closed"`, `"ok"`, `"ok"`, `[true,false]`)
	})
}

// TestReconnect is a socket that repairs itself, and says so in the metrics.
func TestReconnect(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		v.set("cutAll", cutAll(server))
		said := v.iterate(`
			const socket = new Socket(url, {reconnect: true});
			await socket.connect();
			const room = socket.channel('room:1');
			await room.join();
			say((await room.push('ping')).status);
			const silent = room.push('silence');
			cutAll();
			say((await silent).status);
			say((await room.join()).status); // waits until it is joined again
			say((await room.push('ping')).status);
			await socket.close();
		`)
		wantSaid(t, said, `"ok"`, `"closed"`, `"ok"`, `"ok"`)
		synctest.Wait()
		for metric, want := range map[string]string{
			"phoenix_reconnects":  `{"":1}`,
			"phoenix_gaps":        `{"":1}`,
			"phoenix_joins":       `{"":1,"true":1}`,
			"phoenix_join_failed": `{"":0,"true":0}`,
		} {
			if got := asJSON(t, v.sums(metric, "rejoin")); got != want {
				t.Errorf("%s: %s, want %s", metric, got, want)
			}
		}
	})
}

// TestInterrupt is the end of a VU in the midst of an iteration: a goodbye to the
// server, no code of the script's any more, and no sample lost.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		time.AfterFunc(2*time.Second, v.stop)
		if err := v.try(`
			const socket = new Socket(url);
			await socket.connect();
			const room = socket.channel('room:1');
			await room.join();
			room.push('silence').then(() => say('the script went on'));
			await room.receive('nothing');
			say('the script went on');
		`); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, v.said)
		synctest.Wait()
		if open := server.Conns(); len(open) != 0 {
			t.Errorf("%d connections are open", len(open))
		}
		if codes := closeCodes(server); !slices.Equal(codes, []int{1000}) {
			t.Errorf("the server saw close codes %v", codes)
		}
		if got := v.values("ws_session_duration"); len(got) != 1 || got[0] != 2000 {
			t.Errorf("ws_session_duration is %v, want 2000 ms", got)
		}
		if got := v.values("phoenix_push_failed"); len(got) != 0 {
			t.Errorf("the push that was cut off counts: %v", got)
		}
	})
}

// closeCodes returns the codes with which connections were closed.
func closeCodes(server *phoenixtest.Server) []int {
	var codes []int
	for _, f := range server.Frames() {
		if f.Kind == phoenixtest.ConnClosed {
			codes = append(codes, f.Code)
		}
	}
	return codes
}

// TestException is an exception in a handler: it ends the iteration.
func TestException(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		err := v.try(`
			const socket = new Socket(url);
			await socket.connect();
			const room = socket.channel('room:1');
			await room.join();
			room.on('shout', () => { throw new Error('in a handler'); });
			room.send('shout');
			await room.receive('nothing');
		`)
		if err == nil || !strings.Contains(err.Error(), "in a handler") {
			t.Errorf("the iteration ended with %v", err)
		}
		synctest.Wait()
		if open := server.Conns(); len(open) != 0 {
			t.Errorf("%d connections are open", len(open))
		}
		// The VU goes on.
		wantSaid(t, v.iterate(`say('next')`), `"next"`)
	})
}

// TestTransports has both transports and both versions of the protocol.
func TestTransports(t *testing.T) {
	t.Parallel()
	for _, options := range []string{`{vsn: '1.0.0'}`, `{transport: 'longpoll'}`, `{transport: 'fallback', timeout: '20s'}`, `{heartbeatInterval: -1}`} {
		t.Run(options, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
				wantSaid(t, v.iterate(`
					const socket = new Socket(url, `+options+`);
					await socket.connect();
					const room = socket.channel('room:1');
					await room.join();
					say((await room.push('ping', {n: 1})).response.n);
					await socket.close();
				`), `1`)
			})
		})
	}
}
