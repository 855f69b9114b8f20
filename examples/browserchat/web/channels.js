// A client of Phoenix Channels, as small as it gets: one socket with one channel
// that stays joined. The messages are arrays, [join_ref, ref, topic, event,
// payload], and what the server replies has the ref of what it was sent.

const heartbeatEvery = 10_000
const patience = 10_000

export class Room {
  #socket
  #ref = 0
  #joinRef = null
  #attempt = 0
  #waiting = new Map() // ref → what to do with the reply
  #timers = {}

  // params is asked for the payload before every join. The handlers are functions
  // by event; state is called with each change of the connection.
  constructor({url, topic, params, handlers, state}){
    Object.assign(this, {url, topic, params, handlers, state})
  }

  connect(){
    clearTimeout(this.#timers.reconnect)
    this.state({name: "connecting"})
    const socket = this.#socket = new WebSocket(`${this.url}/websocket?vsn=2.0.0`)
    socket.onopen = () => this.#join(socket)
    socket.onmessage = ({data}) => socket === this.#socket && this.#receive(JSON.parse(data))
    // A socket that cannot connect closes as well.
    socket.onclose = () => socket === this.#socket && this.#lost()
  }

  get joined(){ return this.#joinRef !== null }

  // push resolves with the response, and rejects with what went wrong: an Error
  // whose refused is true if that was the server's answer.
  push(event, payload){
    if(!this.joined){ return Promise.reject(new Error("not connected")) }
    return this.#request(this.#joinRef, this.topic, event, payload)
  }

  async #join(socket){
    const ref = String(++this.#ref)
    try {
      await this.#request(ref, this.topic, "phx_join", this.params(), ref)
    } catch (err){
      if(socket !== this.#socket){ return }
      if(err.refused){ return this.state({name: "refused", reason: err.message}) }
      socket.close()
      return this.#lost()
    }
    this.#joinRef = ref
    this.#attempt = 0
    this.state({name: "joined"})
    this.#heartbeat(socket)
  }

  #request(joinRef, topic, event, payload, ref = String(++this.#ref)){
    const socket = this.#socket
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(ref)
        reject(new Error("no answer"))
      }, patience)
      this.#waiting.set(ref, {
        settle: ({status, response}) => {
          clearTimeout(timer)
          if(status === "ok"){ return resolve(response) }
          reject(Object.assign(new Error(response.reason ?? status), {refused: true}))
        },
        fail: err => {
          clearTimeout(timer)
          reject(err)
        },
      })
      socket.send(JSON.stringify([joinRef, ref, topic, event, payload]))
    })
  }

  // cast is for what needs no answer, and may be lost.
  cast(event, payload){
    if(!this.joined){ return }
    this.#socket.send(JSON.stringify([this.#joinRef, String(++this.#ref), this.topic, event, payload]))
  }

  #receive([joinRef, ref, , event, payload]){
    if(event === "phx_reply"){
      this.#waiting.get(ref)?.settle(payload)
      this.#waiting.delete(ref)
      return
    }
    // What an earlier join of this channel was still to get is no longer ours.
    if(joinRef !== null && joinRef !== this.#joinRef && this.joined){ return }
    if(event === "phx_error" || event === "phx_close"){ return this.#socket.close() }
    this.handlers[event]?.(payload)
  }

  // The server drops who is silent for a minute, and a dead connection shows by
  // nothing else than by heartbeats without an answer.
  async #heartbeat(socket){
    try {
      const sent = performance.now()
      await this.#request(null, "phoenix", "heartbeat", {})
      this.state({name: "joined", rtt: performance.now() - sent})
      this.#timers.heartbeat = setTimeout(() => this.#heartbeat(socket), heartbeatEvery)
    } catch {
      if(socket !== this.#socket){ return }
      socket.close()
      this.#lost()
    }
  }

  #lost(){
    this.#socket = null
    this.#joinRef = null
    clearTimeout(this.#timers.heartbeat)
    for(const {fail} of this.#waiting.values()){ fail(new Error("connection lost")) }
    this.#waiting.clear()
    const delay = [100, 300, 600, 1000, 1500][this.#attempt++] ?? 2500
    this.#timers.reconnect = setTimeout(() => this.connect(), delay * (0.75 + Math.random() / 2))
    this.state({name: "waiting"})
  }
}

// Presences are who is in the room: by key, the metas of all their connections.
export class Presences {
  #metas = new Map()

  sync(state){ this.#metas = new Map(Object.entries(state).map(([key, {metas}]) => [key, metas])) }

  diff({joins, leaves}){
    const refs = metas => new Set(metas.map(meta => meta.phx_ref))
    for(const [key, {metas}] of Object.entries(joins)){
      const fresh = refs(metas)
      const others = (this.#metas.get(key) ?? []).filter(meta => !fresh.has(meta.phx_ref))
      this.#metas.set(key, [...others, ...metas])
    }
    for(const [key, {metas}] of Object.entries(leaves)){
      const gone = refs(metas)
      const left = (this.#metas.get(key) ?? []).filter(meta => !gone.has(meta.phx_ref))
      if(left.length > 0){ this.#metas.set(key, left) } else { this.#metas.delete(key) }
    }
  }

  list(){ return [...this.#metas.values()].map(metas => ({...metas.at(-1), tabs: metas.length})) }
}
