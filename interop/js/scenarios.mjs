// The life of a phoenix.js client with the application of internal/conformance.
import {
  Mailbox, buffer, closed, equal, failing, joined, joining, left, opening, presenceUntil, push, rejoining, scenario, within,
} from "./kit.mjs"
import {losses} from "./losses.mjs"

const both = ["websocket", "longpoll"]
const webSocket = ["websocket"]
const longPoll = ["longpoll"]

// present has somebody enter the lobby and be present there.
async function present(kit, key){
  const socket = await kit.connect()
  const channel = socket.channel("room:lobby", {track: key})
  const presence = new kit.phoenix.Presence(channel)
  const log = []
  // Of oneself the callback is called once or twice: whether the diff or the state
  // comes first is a race in Phoenix.
  const note = (who, text) => { if(who !== key){ log.push(text) } }
  presence.onJoin(who => note(who, `+${who}`))
  presence.onLeave((who, {metas}) => note(who, `-${who} (${metas.length} left)`))
  const here = presenceUntil(presence, `${key} to be present`, ({state}) => key in state)
  await joined(channel)
  await here
  return {socket, channel, presence, log}
}

const keysAre = (...keys) => ({state}) => Object.keys(state).sort().join() === keys.join()

export const scenarios = [
  // --- Connecting ---

  scenario("connect with params", both, async kit => {
    const {response} = await kit.enter("room:lobby", {a: [1, "two", null]}, {params: {user: "Zoë & co"}})
    equal(response, {topic: "room:lobby", params: {a: [1, "two", null]}, user: "Zoë & co"}, "the reply")
  }),

  scenario("connect without params", both, async kit => {
    const {response} = await kit.enter()
    equal(response, {topic: "room:lobby", params: {}, user: "anon"}, "the reply")
  }),

  scenario("connect with an auth token", both, async kit => {
    const {response} = await kit.enter("room:lobby", {}, {authToken: kit.config.token})
    equal(response.user, kit.config.user, "the user of the token")
  }),

  scenario("refused connection", both, async kit => {
    let params = {deny: "1"}
    const socket = kit.socket({params: () => params})
    const failed = failing(socket)
    socket.connect()
    await failed
    equal(socket.isConnected(), false, "whether it is connected")
    const open = opening(socket)
    params = {user: "penitent"}
    await open
    equal((await joined(socket.channel("room:lobby"))).user, "penitent", "the user")
  }),

  scenario("refused token", both, async kit => {
    const socket = kit.socket({authToken: "forged"})
    const failed = failing(socket)
    socket.connect()
    await failed
    equal(socket.isConnected(), false, "whether it is connected")
  }),

  scenario("disconnect and connect again", both, async kit => {
    const {socket, channel} = await kit.enter()
    await within("the disconnect", new Promise(resolve => socket.disconnect(resolve)))
    equal(socket.connectionState(), "closed", "the state of the connection")
    const again = rejoining(channel)
    socket.connect()
    await again
    equal(await push(channel, "echo", {n: 1}), {status: "ok", response: {n: 1}}, "echo")
  }),

  // --- Joining and leaving ---

  scenario("refused join", both, async kit => {
    const socket = await kit.connect()
    equal(await joining(socket.channel("room:deny")), {status: "error", response: {reason: "unauthorized"}}, "room:deny")
    equal(await joining(socket.channel("room:crashjoin")), {status: "error", response: {reason: "join crashed"}}, "room:crashjoin")
    equal(await joining(socket.channel("nowhere")), {status: "error", response: {reason: "unmatched topic"}}, "nowhere")
    await joined(socket.channel("room:lobby"))
  }),

  scenario("join with a list for a reply", both, async kit => {
    equal((await kit.enter("room:list")).response, [1, "two", null], "the reply")
  }),

  scenario("join with a binary reply", webSocket, async kit => {
    const {response} = await kit.enter("room:binary")
    equal(new TextDecoder().decode(response), "joined", "the reply")
  }),

  scenario("join that is given up", both, async kit => {
    const socket = await kit.connect({timeout: 300})
    const slow = socket.channel("room:slow")
    equal((await joining(slow)).status, "timeout", "the outcome of the join")
    slow.leave()
  }),

  scenario("leave", both, async kit => {
    const {socket, channel} = await kit.enter()
    const other = socket.channel("room:other")
    await joined(other)
    const end = closed(channel)
    equal((await left(channel)).status, "ok", "the outcome of the leave")
    await end
    equal(channel.state, "closed", "the state of the channel")
    await kit.server("expect", {topic: "room:lobby", event: "phx_leave"})
    equal(await push(other, "echo", {}), {status: "ok", response: {}}, "echo in the other room")
    await joined(socket.channel("room:lobby"))
  }),

  scenario("a second channel takes the topic over", both, async kit => {
    const {socket, channel} = await kit.enter()
    const end = closed(channel)
    const second = socket.channel("room:lobby", {second: true})
    equal((await joined(second)).params, {second: true}, "the params of the second")
    await end
    equal(await push(second, "echo", {n: 2}), {status: "ok", response: {n: 2}}, "echo")
  }),

  scenario("too many channels", both, async kit => {
    const socket = await kit.connect()
    const rooms = Array.from({length: 100}, (_, i) => socket.channel(`room:${i}`))
    await Promise.all(rooms.map(joined))
    const outcome = await joining(socket.channel("room:100"))
    equal(outcome, {status: "error", response: {reason: "too many channels joined"}}, "the join of one more")
  }),

  // --- Pushes and replies ---

  scenario("every kind of reply", both, async kit => {
    const {channel} = await kit.enter()
    const payload = {text: "Grüße, 世界 🦊 \u2028\"\\\n", nested: [{}, [], null, 1.5, true]}
    equal(await push(channel, "echo", payload), {status: "ok", response: payload}, "echo")
    equal(await push(channel, "err", {why: "because"}), {status: "error", response: {why: "because"}}, "err")
    equal(await push(channel, "status_only"), {status: "ok", response: {}}, "status_only")
    equal(await push(channel, "status"), {status: "my_status", response: {a: 1}}, "status")
    for(const response of [null, 0, "text", [1, 2], {}, false]){
      equal(await push(channel, "response", {response}), {status: "ok", response}, `response ${response}`)
    }
    equal(await push(channel, "later", {n: 3}), {status: "ok", response: {n: 3}}, "later")
    equal(await push(channel, "multi"), {status: "ok", response: {i: 1}}, "multi")
    equal((await push(channel, "noreply", {}, 100)).status, "timeout", "the outcome of noreply")
  }),

  scenario("replies in another order", both, async kit => {
    const {channel} = await kit.enter()
    const order = []
    const note = async (event, n) => { order.push((await push(channel, event, {n})).response.n) }
    await Promise.all([note("later", 1), note("echo", 2)])
    equal(order, [2, 1], "the order of the replies")
  }),

  scenario("large messages", both, async kit => {
    const {channel} = await kit.enter()
    const text = "0123456789abcdef".repeat(1 << 16)
    equal((await push(channel, "echo", {text})).response.text === text, true, "whether 1 MiB comes back")
  }),

  scenario("many messages in order", both, async kit => {
    const {channel} = await kit.enter()
    const flood = new Mailbox(channel, "flood")
    equal(await push(channel, "flood", {n: 500, size: 100}), {status: "ok", response: {sent: 500}}, "flood")
    for(let i = 1; i <= 500; i++){ equal((await flood.next()).i, i, "the number of a message") }
    const echoes = Array.from({length: 250}, (_, n) => push(channel, "echo", {n}))
    equal((await Promise.all(echoes)).map(({response}) => response.n), echoes.map((_, n) => n), "the replies")
  }),

  scenario("broadcasts", both, async kit => {
    const ann = await kit.enter("room:lobby", {}, {params: {user: "u"}})
    const bob = await kit.enter("room:lobby", {}, {params: {user: "bob"}})
    const [annHears, bobHears] = [new Mailbox(ann.channel, "shout"), new Mailbox(bob.channel, "shout")]
    await push(ann.channel, "shout", {n: 1})
    equal([await annHears.next(), await bobHears.next()], [{n: 1}, {n: 1}], "shout")
    await push(ann.channel, "shout_others", {n: 2})
    await push(bob.channel, "shout_others", {n: 3})
    equal([await annHears.next(), await bobHears.next()], [{n: 3}, {n: 2}], "shout_others")

    const [annKnows, bobKnows] = [new Mailbox(ann.channel, "secret"), new Mailbox(bob.channel, "secret")]
    await push(bob.channel, "secret", {n: 4})
    equal(await annKnows.next(), {n: 4, seen_by: "u"}, "secret")
    await push(ann.channel, "shout", {n: 5})
    await bobHears.next()
    equal(bobKnows.messages, [], "what Bob knows")
  }),

  scenario("a push to the client", both, async kit => {
    const {channel} = await kit.enter()
    const pushed = new Mailbox(channel, "pushed")
    equal(await push(channel, "push", {n: 1}), {status: "ok", response: {}}, "the reply")
    equal(await pushed.next(), {n: 1}, "pushed")
  }),

  // --- Binary data ---

  scenario("binary pushes and replies", webSocket, async kit => {
    const {channel} = await kit.enter()
    const data = Uint8Array.from({length: 256}, (_, i) => i).buffer
    equal(await push(channel, "echo", data).then(({response}) => response), data, "echo")
    equal(await push(channel, "echo", buffer()).then(({response}) => response), buffer(), "echo of nothing")
    const reply = await push(channel, "err", buffer(0xff))
    equal([reply.status, new Uint8Array(reply.response)[0]], ["error", 0xff], "err")
    const bin = new Mailbox(channel, "bin")
    channel.push("push_bin")
    equal(await bin.next(), buffer(0, 1, 2, 0xff), "push_bin")
  }),

  scenario("binary broadcast", webSocket, async kit => {
    const [ann, bob] = [await kit.enter(), await kit.enter()]
    const [annHears, bobHears] = [new Mailbox(ann.channel, "shout_bin"), new Mailbox(bob.channel, "shout_bin")]
    equal((await push(ann.channel, "shout_bin", buffer(1, 0, 0xfe))).response, buffer(1, 0, 0xfe), "the reply")
    equal(await annHears.next(), buffer(1, 0, 0xfe), "what Ann hears")
    equal(await bobHears.next(), buffer(1, 0, 0xfe), "what Bob hears")
  }),

  // Over long poll binary data goes to the server only.
  scenario("binary push over long poll", longPoll, async kit => {
    const {channel} = await kit.enter()
    channel.push("noreply", buffer(0, 1, 0xff))
    equal(await push(channel, "echo", {n: 1}), {status: "ok", response: {n: 1}}, "echo")
    const received = await kit.server("expect", {topic: "room:lobby", event: "noreply"})
    equal(received, [{binary: true, payload: "AAH/"}], "what the server got")
  }),

  // --- Presence ---

  scenario("presence of two clients", both, async kit => {
    const ann = await present(kit, "ann")
    const bob = await present(kit, "bob")
    await presenceUntil(ann.presence, "Bob to come", keysAre("ann", "bob"))
    await presenceUntil(bob.presence, "Ann to be there", keysAre("ann", "bob"))

    equal(await push(bob.channel, "update", {state: "away"}), {status: "ok", response: {}}, "update")
    await presenceUntil(ann.presence, "Bob to be away", ({state}) => state.bob?.metas[0].state === "away")
    equal(ann.presence.list(key => key), ["ann", "bob"], "who is there")
    equal(typeof ann.presence.state.bob.metas[0].phx_ref_prev, "string", "the type of phx_ref_prev")

    await push(bob.channel, "untrack")
    await presenceUntil(ann.presence, "Bob to vanish", keysAre("ann"))
    await presenceUntil(bob.presence, "Bob to vanish from his own list", keysAre("ann"))
    equal(ann.log, ["+bob", "+bob", "-bob (1 left)", "-bob (0 left)"], "what Ann's callbacks saw of Bob")
  }),

  scenario("presence of two tabs", both, async kit => {
    const bob = await present(kit, "bob")
    const tabs = [await present(kit, "ann"), await present(kit, "ann")]
    const metas = n => ({state}) => state.ann?.metas.length === n
    await presenceUntil(bob.presence, "both tabs", metas(2))
    await left(tabs[0].channel)
    await presenceUntil(bob.presence, "one tab to leave", metas(1))
    await presenceUntil(tabs[1].presence, "the other tab to leave", metas(1))
    await new Promise(resolve => tabs[1].socket.disconnect(resolve))
    await presenceUntil(bob.presence, "Ann to leave", keysAre("bob"))
  }),

  scenario("presence after a rejoin", both, async kit => {
    const [ann, bob] = [await present(kit, "ann"), await present(kit, "bob")]
    await presenceUntil(ann.presence, "Bob to come", keysAre("ann", "bob"))
    const refs = ({state}) => ["ann", "bob"].map(key => state[key]?.metas.map(meta => meta.phx_ref) ?? [])
    const before = refs(ann.presence).flat()
    const renewed = presence => refs(presence).every(list => list.length === 1 && !before.includes(list[0]))
    const again = [rejoining(ann.channel), rejoining(bob.channel)]
    await kit.server("cut")
    await Promise.all(again)
    await presenceUntil(ann.presence, "both to be back for Ann", renewed)
    await presenceUntil(bob.presence, "both to be back for Bob", renewed)
    equal(refs(ann.presence), refs(bob.presence), "what the two see")
  }),

  ...losses,
]
