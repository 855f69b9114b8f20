// What goes wrong in the life of a phoenix.js client, and how it comes back.
import {
  Mailbox, closed, closing, equal, errored, failing, joined, push, rejoining, scenario, until, within,
} from "./kit.mjs"

const both = ["websocket", "longpoll"]
const webSocket = ["websocket"]
const longPoll = ["longpoll"]

export const losses = [
  scenario("the server cuts the connection", both, async kit => {
    const {socket, channel} = await kit.enter()
    const shouts = new Mailbox(channel, "shout")
    const [end, trouble, again] = [closing(socket), errored(channel), rejoining(channel)]
    await kit.server("cut")
    await Promise.all([end, trouble])
    const waiting = push(channel, "shout", {body: "after the outage"})
    await again
    equal((await waiting).status, "ok", "the outcome of a push that waited")
    equal(await shouts.next(), {body: "after the outage"}, "shout")
  }),

  scenario("the server is away for a while", both, async kit => {
    const {socket, channel} = await kit.enter()
    const end = closing(socket)
    await kit.server("down")
    await end
    await failing(socket)
    await failing(socket)
    const again = rejoining(channel)
    await kit.server("up")
    await again
    equal(await push(channel, "echo", {n: 1}), {status: "ok", response: {n: 1}}, "echo")
  }),

  scenario("the server closes the connection", webSocket, async kit => {
    const {socket, channel} = await kit.enter()
    for(const code of [1000, 1001, 1011, 1012]){
      const [end, again] = [closing(socket), rejoining(channel)]
      await kit.server("close", {code})
      equal((await end).code, code, "the close code")
      await again
    }
  }),

  scenario("the server disconnects the user", both, async kit => {
    const {socket, channel} = await kit.enter("room:lobby", {}, {params: {user: "ann"}})
    const bystander = await kit.enter("room:lobby", {}, {params: {user: "bob"}})
    const [end, again] = [closing(socket), rejoining(channel)]
    channel.push("disconnect_me")
    await end
    await again
    equal(bystander.socket.isConnected(), true, "whether the other is connected")
    equal(await push(bystander.channel, "echo", {}), {status: "ok", response: {}}, "echo of the other")
  }),

  scenario("crash and rejoin", both, async kit => {
    const {socket, channel} = await kit.enter("room:lobby", {n: 1})
    const other = socket.channel("room:other")
    await joined(other)
    const [trouble, again] = [errored(channel), rejoining(channel)]
    channel.push("crash")
    await trouble
    equal((await again).params, {n: 1}, "the params of the rejoin")
    equal(await push(channel, "echo", {}), {status: "ok", response: {}}, "echo")
    equal(other.state, "joined", "the state of the other channel")

    const [stopped, back] = [errored(channel), rejoining(channel)]
    channel.push("stop_error")
    await stopped
    await back
  }),

  scenario("the server ends the channel", both, async kit => {
    const socket = await kit.connect()
    for(const [event, want] of [["stop", null], ["stop_reply", {status: "ok", response: {bye: true}}]]){
      const channel = socket.channel("room:lobby")
      await joined(channel)
      const end = closed(channel)
      if(want){ equal(await push(channel, event), want, event) } else { channel.push(event) }
      await end
      equal(channel.state, "closed", `the state after ${event}`)
      equal(socket.channels.length, 0, `the number of channels after ${event}`)
    }
  }),

  // --- From WebSocket to long poll ---

  scenario("no fallback where WebSocket works", webSocket, async kit => {
    const {socket, channel} = await kit.enter("room:lobby", {}, {longPollFallbackMs: 2500})
    await until("the health check", () => socket.primaryPassedHealthCheck)
    equal(await push(channel, "echo", {}), {status: "ok", response: {}}, "echo")
    equal(socket.conn instanceof kit.LongPoll, false, "whether it fell back")
  }),

  scenario("fallback where the upgrade is refused", webSocket, async kit => {
    await kit.server("refuse")
    const {socket, channel} = await kit.enter("room:lobby", {}, {longPollFallbackMs: 2500, authToken: kit.config.token})
    equal(socket.conn instanceof kit.LongPoll, true, "whether it fell back")
    equal((await push(channel, "echo", {n: 1})).response, {n: 1}, "echo")
    const {sessionStore} = socket
    const second = await kit.connect({longPollFallbackMs: 2500, sessionStorage: sessionStore})
    equal(second.conn instanceof kit.LongPoll, true, "whether it remembers")
  }),

  scenario("fallback where a proxy swallows the frames", webSocket, async kit => {
    await kit.server("swallow")
    const socket = kit.socket({longPollFallbackMs: 200})
    const channel = socket.channel("room:lobby")
    socket.connect()
    await joined(channel)
    equal(socket.conn instanceof kit.LongPoll, true, "whether it fell back")
    equal((await push(channel, "echo", {n: 1})).response, {n: 1}, "echo")
  }),

  scenario("fallback after an outage", webSocket, async kit => {
    const {socket, channel} = await kit.enter("room:lobby", {}, {longPollFallbackMs: 2500})
    await until("the health check", () => socket.primaryPassedHealthCheck)
    const again = rejoining(channel)
    await kit.server("refuse")
    await kit.server("cut")
    await again
    equal(socket.conn instanceof kit.LongPoll, true, "whether it fell back")
    equal((await push(channel, "echo", {n: 1})).response, {n: 1}, "echo")
    equal(socket.sessionStore.items.size, 0, "how much it remembers")
  }),

  scenario("a lost session", longPoll, async kit => {
    const {socket, channel} = await kit.enter()
    const [end, again] = [closing(socket), rejoining(channel)]
    await kit.server("lose")
    equal((await end).code, 3410, "the close code")
    await again
    equal((await push(channel, "echo", {n: 1})).response, {n: 1}, "echo")
  }),

  // --- Heartbeats ---

  scenario("heartbeat", webSocket, async kit => {
    const {socket} = await kit.enter("room:lobby", {}, {heartbeatIntervalMs: 50})
    let answered = 0
    await within("three heartbeats", new Promise(resolve => socket.onMessage(({topic}) => {
      if(topic === "phoenix" && ++answered === 3){ resolve() }
    })))
    const received = await kit.server("expect", {topic: "phoenix", event: "heartbeat"})
    equal(received[0], {binary: false, payload: {}}, "what the server got")
    equal(socket.establishedConnections, 1, "the number of connections")
  }),

  scenario("heartbeat that is not answered", webSocket, async kit => {
    const {channel} = await kit.enter("room:lobby", {}, {heartbeatIntervalMs: 100})
    const [trouble, again] = [errored(channel), rejoining(channel)]
    await kit.server("blackhole")
    equal((await trouble).reason, "heartbeat_timeout", "the reason of the error")
    await again
    equal(await push(channel, "echo", {}), {status: "ok", response: {}}, "echo")
  }),

  scenario("ping", both, async kit => {
    const socket = await kit.connect()
    const rtt = await within("the answer to a ping", new Promise(resolve => socket.ping(resolve)))
    equal(rtt >= 0, true, "whether it took a time")
  }),
]
