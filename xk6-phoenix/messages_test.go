package xk6phoenix_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
	xk6phoenix "github.com/phxgo/xk6-phoenix"
)

// TestTimeouts has the exact times of each.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		server.Handle("slow:*", phoenixtest.Channel{
			Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
				c.Sleep(15 * time.Second)
				return phoenixtest.OK(nil)
			},
		})
		said := v.iterate(`
			const socket = new Socket(url, {timeout: '4s'});
			await socket.connect();
			const room = socket.channel('room:1');
			await room.join();
			for (const o of [undefined, {timeout: '1500ms'}, {timeout: 250}]) {
				const r = await room.push('silence', {}, o);
				say(r.status, r.duration, r.response);
			}
			for (const o of [undefined, {timeout: '1.5s'}]) {
				const m = await room.receive('nothing', o);
				say(m.status, m.duration, m.payload);
			}
			const slow = await socket.channel('slow:1').join({timeout: '20s'});
			say(slow.status, slow.duration);
			await socket.close();
		`)
		wantSaid(t, said,
			`"timeout"`, `4000`, `null`, `"timeout"`, `1500`, `null`, `"timeout"`, `250`, `null`,
			`"timeout"`, `4000`, `null`, `"timeout"`, `1500`, `null`,
			`"ok"`, `15000`)
	})
}

// TestReceive has what receive looks for, and where.
func TestReceive(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, _ *phoenixtest.Server) {
		said := v.iterate(`
			const socket = new Socket(url);
			await socket.connect();
			const room = socket.channel('room:1');
			await room.join();
			const shouts = [{id: 1, a: {b: [1, {c: 2}]}}, {id: 2, text: 'x', more: 1.5}, {id: 3, a: null}, {id: 4}];
			for (const s of shouts) room.send('shout', s);
			await room.receive('nothing', {timeout: 5}); // all have come
			const id = async (where) => {
				const m = await room.receive('shout', {where, timeout: 10});
				say(m.status === 'ok' ? m.payload.id : m.status);
			};
			await id({text: 'x', more: 1.5});
			await id({text: 'x'});            // it was taken
			await id({a: {b: [1, {}]}});
			await id((p) => p.id > 3);
			await id({a: null});
			await id();
			// Two wait, and each gets the one that it wants.
			const [one, two] = [room.receive('shout', {where: {n: 1}}), room.receive('shout', {where: {n: 2}})];
			const heard = [];
			const off = room.on('shout', (p) => heard.push(p.n));
			room.send('shout', {n: 2}); room.send('shout', {n: 1});
			say((await one).payload.n, (await two).payload.n, heard);
			off(); off();
			room.send('shout', {n: 3});
			await room.receive('nothing', {timeout: 5});
			say(heard);
			try { await room.receive('shout', {where: () => { throw new Error('in where'); }}); } catch (e) { say(e.message); }
			const late = room.receive('shout', {where: (p) => { if (p.n === 9) throw new Error('late'); }});
			room.send('shout', {n: 9});
			try { await late; } catch (e) { say(e.message); }
			// A binary message is an ArrayBuffer.
			say(Array.from(new Uint8Array((await room.push('binary')).response)));
			say(Array.from(new Uint8Array((await room.push('echo', new Uint8Array([5, 6, 7]).subarray(1))).response)));
			await socket.close();
			say((await room.receive('shout')).payload.n, (await room.receive('shout')).payload.n, (await room.receive('shout')).status);
		`)
		wantSaid(t, said, `2`, `"timeout"`, `1`, `4`, `3`, `"timeout"`,
			`1`, `2`, `[2,1]`, `[2,1]`, `"in where"`, `"late"`, `[0,1,2,253,254,255]`, `[6,7]`, `3`, `9`, `"closed"`)
	})
}

// TestPersist is a socket over several iterations: nothing is lost between them, and
// no goroutine touches the channel of samples, which k6 closes.
func TestPersist(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		v.script(`
			const socket = new Socket(url, {persist: true, heartbeatInterval: 1});
			const heard = [];
			let rooms = [];`)
		iteration := `
			await socket.connect();
			const room = socket.channel('room:1');
			if (rooms.length === 0) room.on('shout', (p) => heard.push(p.n));
			rooms.push(room);
			say((await room.join()).status, (await room.push('ping', {n: rooms.length})).response.n, room === rooms[0], heard);`
		wantSaid(t, v.iterate(iteration), `"ok"`, `1`, `true`, `[]`)
		server.Broadcast("room:1", "shout", map[string]int{"n": 1})
		server.Broadcast("room:1", "shout", map[string]int{"n": 2})
		synctest.Wait()
		wantSaid(t, v.iterate(iteration), `"ok"`, `2`, `true`, `[1,2]`)
		if n := len(server.Conns()); n != 1 {
			t.Fatalf("%d connections", n)
		}
		synctest.Wait()
		if got := asJSON(t, v.sums("phoenix_joins")); got != `{"":1}` {
			t.Error("phoenix_joins:", got)
		}
		v.end()
		for n := range 20 {
			server.Broadcast("room:1", "shout", map[string]int{"n": n})
			<-time.After(time.Millisecond)
		}
		server.Conns()[0].Cut()
		synctest.Wait()
	})
}

// TestPersistBound is what a persistent socket keeps between iterations at most.
func TestPersistBound(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		v.script(`const socket = new Socket(url, {persist: true}); let heard = 0;`)
		v.iterate(`
			await socket.connect();
			socket.channel('room:1').on('shout', () => { heard += 1; });
			await socket.channel('room:1').join();`)
		const sent = 10250
		for range sent {
			server.Broadcast("room:1", "shout", nil)
		}
		synctest.Wait()
		wantSaid(t, v.iterate(`await socket.channel('room:1').push('ping'); say(heard); await socket.close();`), `10000`)
		synctest.Wait()
		if got := asJSON(t, []any{v.sums("phoenix_msgs_received"), v.sums("phoenix_msgs_dropped")}); got != `[{"":10250},{"":250}]` {
			t.Error("received and dropped:", got)
		}
	})
}

// TestDelivery measures from the stamp of one VU to the receipt of another.
func TestDelivery(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		server.Handle("late:*", phoenixtest.Channel{Events: phoenixtest.Events{
			"shout": func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				c.Sleep(3 * time.Second)
				c.Broadcast("shout", map[string]any{"wrapped": []any{p}})
				return phoenixtest.OK(nil)
			},
		}})
		said := v.iterate(`
			const sockets = [new Socket(url), new Socket(url, {stamp: true})];
			const rooms = [];
			for (const s of sockets) {
				await s.connect();
				rooms.push(s.channel('late:1'));
				await rooms[rooms.length - 1].join();
			}
			await rooms[0].push('shout', {a: 1}, {stamp: true});
			await rooms[1].push('shout', {});
			await rooms[0].push('shout', {none: true});
			await rooms[1].push('shout', [1]); // cannot have one
			await rooms[0].receive('shout');
			const got = (await rooms[0].receive('shout')).payload.wrapped[0];
			say(Object.keys(got), typeof got.k6_stamp);
			for (const s of sockets) await s.close();
		`)
		wantSaid(t, said, `["k6_stamp"]`, `"string"`)
		synctest.Wait()
		if got := asJSON(t, v.values("phoenix_delivery_duration")); got != `[3000,3000,3000,3000]` {
			t.Error("two messages at two receivers took", got)
		}
	})
}

// TestPresence is the list of who is present.
func TestPresence(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, _ *phoenixtest.Server) {
		said := v.iterate(`
			const enter = async (name) => {
				const socket = new Socket(url);
				await socket.connect();
				const room = socket.channel('room:1', {name});
				const presence = room.presence();
				say(presence.count(), presence.list(), presence.get(name), (await presence.synced()).status);
				await room.join();
				say((await presence.synced()).status);
				return {socket, room, presence};
			};
			const ann = await enter('ann');
			const bob = await enter('bob');
			say(bob.presence.list().map((e) => [e.key, e.metas[0].status]), bob.presence.get('ann').metas.length, bob.presence.count());
			await ann.socket.close();
			while (bob.presence.count() > 1) await bob.room.receive('presence_diff');
			say(bob.presence.get('ann'));
			const none = bob.socket.channel('room:2');
			none.presence();
			await none.join(); // without a name there is no list
			say((await none.presence().synced({timeout: 500})).status);
			await bob.socket.close();
		`)
		wantSaid(t, said, `0`, `[]`, `null`, `"closed"`, `"ok"`, `0`, `[]`, `null`, `"closed"`, `"ok"`,
			`[["ann","online"],["bob","online"]]`, `1`, `2`, `null`, `"timeout"`)
	})
}

// TestTopicTag is the tag of a topic: a pattern, or what the script says.
func TestTopicTag(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, v *vu, server *phoenixtest.Server) {
		server.Handle("lobby", phoenixtest.Channel{})
		v.iterate(`
			const socket = new Socket(url);
			await socket.connect();
			for (const topic of ['lobby', 'room:1', 'room:2:x']) await socket.channel(topic).join();
			await socket.close();
			const own = new Socket(url, {topicTag: (topic) => topic.length});
			await own.connect();
			await own.channel('room:333').join();
			await own.close();
		`)
		synctest.Wait()
		if got := asJSON(t, v.sums("phoenix_joins", "topic")); got != `{"8":1,"lobby":1,"room:*":2}` {
			t.Error("phoenix_joins:", got)
		}
	})
}

// TestShared has what two VUs share: the clock of stamps, and nothing else.
func TestShared(t *testing.T) {
	t.Parallel()
	root := new(xk6phoenix.RootModule)
	a, b := newVU(t, root), newVU(t, root)
	a.script(`const mine = new Socket('ws://x/socket?secret=1');`)
	value, err := a.runtime.VU.Runtime().RunString(`mine.url`)
	if err != nil || strings.Contains(value.String(), "secret") {
		t.Errorf("the URL is %v, %v", value, err)
	}
	if _, err := b.runtime.VU.Runtime().RunString(`mine`); err == nil {
		t.Error("a VU sees the globals of another")
	}
}
