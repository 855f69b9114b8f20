package xk6phoenix_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
	xk6phoenix "github.com/phxgo/xk6-phoenix"
)

// TestCloseWhileConnectingEndsBoth closes a socket whose connect is under way: connect
// rejects, close is fulfilled, nothing counts as a failure, and the socket can connect
// again.
func TestCloseWhileConnectingEndsBoth(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		server.HangUpgrades(true)
		start := time.Now()
		said := v.iterate(`
			const socket = new Socket(url);
			const connecting = socket.connect().catch((e) => e.status);
			await socket.close();
			say('closed', await connecting);
		`)
		wantSaid(t, said, `"closed"`, `0`)
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		server.HangUpgrades(false)
		said = v.iterate(`
			const socket = new Socket(url);
			const connecting = socket.connect().catch((e) => e.status);
			await Promise.all([socket.close(), socket.close(), connecting]);
			await socket.connect();
			say('connected');
			await socket.close();
		`)
		wantSaid(t, said, `"connected"`)
		synctest.Wait()
		if got := asJSON(t, v.sums("ws_sessions", "status")); got != `{"101":1}` {
			t.Error("ws_sessions:", got)
		}
	})
}

// TestConnectionLostBeforeTheFirstHeartbeatRejects has a server that takes the
// connection and drops it.
func TestConnectionLostBeforeTheFirstHeartbeatRejects(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		server.SwallowFrames(true)
		time.AfterFunc(time.Second, cutAll(server))
		said := v.iterate(`
			const socket = new Socket(url);
			try { await socket.connect(); } catch (e) { say(e.status); }
			await socket.close();
		`)
		wantSaid(t, said, `0`)
	})
}

// TestJoinEndsWithItsTimeoutInAnOutage joins while a socket that reconnects finds no
// server.
func TestJoinEndsWithItsTimeoutInAnOutage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		v.set("outage", func() {
			server.HangUpgrades(true)
			cutAll(server)()
		})
		said := v.iterate(`
			const socket = new Socket(url, {reconnect: true, timeout: '4s'});
			await socket.connect();
			const room = socket.channel('room:1');
			await room.join();
			const silent = room.push('silence');
			outage();
			await silent;
			for (const channel of [room, socket.channel('room:2')]) {
				for (const o of [undefined, {timeout: '1s'}]) {
					const r = await channel.join(o);
					say(r.status, r.duration);
				}
			}
			await socket.close();
		`)
		wantSaid(t, said, `"timeout"`, `4000`, `"timeout"`, `1000`, `"timeout"`, `4000`, `"timeout"`, `1000`)
	})
}

// TestReceiveTakesTheOldestThoughTheLoopIsBusy has messages on their way to the loop
// while the script wants them no more, and others behind them.
func TestReceiveTakesTheOldestThoughTheLoopIsBusy(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		v.set("broadcast", func(n int) {
			server.Broadcast("room:1", "shout", map[string]int{"n": n})
			synctest.Wait() // it has arrived, and the loop, which waits here, cannot take it
		})
		said := v.iterate(`
			const socket = new Socket(url);
			await socket.connect();
			const room = socket.channel('room:1');
			await room.join();
			const off = room.on('shout', () => {});
			broadcast(1); broadcast(2);
			off();
			broadcast(3);
			for (let i = 0; i < 3; i += 1) say((await room.receive('shout')).payload.n);
			await socket.close();
		`)
		wantSaid(t, said, `1`, `2`, `3`)
	})
}

// TestExceptionLosesNoMessageOfAPersistentSocket ends an iteration by an exception in
// a handler: the messages behind it are delivered in the next.
func TestExceptionLosesNoMessageOfAPersistentSocket(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		v.script(`const socket = new Socket(url, {persist: true}); const heard = [];`)
		v.iterate(`
			await socket.connect();
			socket.channel('room:1').on('shout', (p) => { heard.push(p.n); if (p.n === 2) throw new Error('boom'); });
			await socket.channel('room:1').join();`)
		for n := range 5 {
			server.Broadcast("room:1", "shout", map[string]int{"n": n + 1})
		}
		synctest.Wait()
		if err := v.try(`await socket.channel('room:1').push('silence');`); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("the iteration ended with %v", err)
		}
		server.Broadcast("room:1", "shout", map[string]int{"n": 6})
		synctest.Wait()
		wantSaid(t, v.iterate(`await socket.channel('room:1').push('ping'); say(heard); await socket.close();`), `[1,2,3,4,5,6]`)
	})
}

// TestEveryViewOfAnArrayBufferIsBinary has views of all types, with their offsets, and
// what is no view any more.
func TestEveryViewOfAnArrayBufferIsBinary(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, _ *phoenixtest.Server) {
		buffer := v.runtime.VU.Runtime().NewArrayBuffer([]byte{1, 2})
		v.set("gone", buffer)
		v.set("detach", buffer.Detach)
		said := v.iterate(`
			const socket = new Socket(url);
			await socket.connect();
			const room = socket.channel('room:1');
			await room.join();
			const bytes = new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]).buffer;
			for (const view of [bytes, new Int32Array(bytes, 4), new Uint16Array(bytes).subarray(1, 2), new DataView(bytes, 3, 2),
				new BigInt64Array(bytes), new Int8Array(bytes, 7), new Uint8ClampedArray([300]), new Float32Array(0), new Uint8Array(bytes, 0, 0)]) {
				say(Array.from(new Uint8Array((await room.push('echo', view)).response)));
			}
			const view = new Uint8Array(gone);
			detach();
			for (const payload of [gone, view]) {
				try { room.push('echo', payload); } catch (e) { say(e.message.includes('detached')); }
			}
			await socket.close();
		`)
		wantSaid(t, said, `[0,1,2,3,4,5,6,7]`, `[4,5,6,7]`, `[2,3]`, `[3,4]`,
			`[0,1,2,3,4,5,6,7]`, `[7]`, `[255]`, `[]`, `[]`, `true`, `true`)
	})
}

// TestWhatIsNoNameOrNoObjectIsRefused has arguments that would silently mean something
// else: undefined as a topic, a list as params.
func TestWhatIsNoNameOrNoObjectIsRefused(t *testing.T) {
	t.Parallel()
	v := newVU(t, new(xk6phoenix.RootModule))
	v.script(`const room = new Socket('ws://x/socket').channel('room:1');
		const secret = 'a secret key base of this test';`)
	v.throws(map[string]string{
		`new Socket('ws://x', {params: ['a']})`:                                   "params: want an object such as {name: value}",
		`new Socket('ws://x', {tags: ['a']})`:                                     "tags: want an object such as {name: value}",
		`new Socket('ws://x', {headers: () => 1})`:                                "headers: want an object such as {name: value}",
		`new Socket('ws://x', [])`:                                                "options: want an object such as {name: value}",
		`new Socket('ws://x').channel()`:                                          "channel: the topic is missing: it is undefined",
		`new Socket('ws://x').channel({})`:                                        "channel: the topic: want a string",
		`room.push()`:                                                             "push: the event is missing: it is undefined",
		`room.send(null)`:                                                         "send: the event is missing: it is null",
		`room.on(undefined, () => 1)`:                                             "on: the event is missing: it is undefined",
		`room.receive({event: 'shout'})`:                                          "receive: the event: want a string",
		`token.sign(undefined, 'salt', 1)`:                                        "token.sign: the secret key base is missing: it is undefined",
		`token.encrypt(secret, undefined, 1)`:                                     "token.encrypt: the salt is missing: it is undefined",
		`token.sign(secret, 's', 1, {signedAt: NaN})`:                             "signedAt: want a Date",
		`token.sign(secret, 's', 1, {signedAt: -1e300})`:                          "signedAt: want a Date",
		`token.sign(secret, 's', 1, {signedAt: 1 / 0})`:                           "signedAt: want a Date",
		`token.sign(secret, 's', (() => { const c = {}; c.c = c; return c; })())`: "token: data",
	})
}

// TestAsyncWhereIsRefused has a promise as the verdict, which would match anything.
func TestAsyncWhereIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, _ *phoenixtest.Server) {
		said := v.iterate(`
			const socket = new Socket(url);
			await socket.connect();
			const room = socket.channel('room:1');
			await room.join();
			const shout = room.receive('shout', {where: async () => false});
			room.send('shout');
			try { await shout; } catch (e) { say(e.message.includes('not async')); }
			say((await room.receive('shout')).status); // nobody has had it
			await socket.close();
		`)
		wantSaid(t, said, `true`, `"ok"`)
	})
}
