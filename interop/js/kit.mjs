// What scenarios are made of: sockets that are closed in the end, and promises
// for what phoenix.js tells by callbacks. Each wait has a limit and a name, so
// that a scenario that fails says what did not happen.

const patience = 8000

// Soon, because it is the order of things that is tested and not the delays.
const soon = () => 20

// scenario is one life of a client, over each of the transports.
export const scenario = (name, transports, run) => ({name, transports, run})

export class Kit {
  constructor({phoenix, WebSocket, config}){
    this.phoenix = phoenix
    this.WebSocket = WebSocket
    this.LongPoll = phoenix.LongPoll
    this.config = config
    this.sockets = []
    this.log = []
  }

  get transport(){ return this.config.transport === "longpoll" ? this.LongPoll : this.WebSocket }

  // socket makes a socket that is not connected yet.
  socket(options = {}){
    const n = this.sockets.length + 1
    const socket = new this.phoenix.Socket(this.config.endpoint, {
      transport: this.transport,
      sessionStorage: new Storage(),
      reconnectAfterMs: soon,
      rejoinAfterMs: soon,
      logger: (kind, msg, data) => this.log.push(`${n} ${kind}: ${msg} ${brief(data)}`),
      ...options,
    })
    this.sockets.push(socket)
    return socket
  }

  async connect(options){
    const socket = this.socket(options)
    const open = opening(socket)
    socket.connect()
    await open
    return socket
  }

  // enter connects and joins, which is how most scenarios begin.
  async enter(topic = "room:lobby", params = {}, options = {}){
    const socket = await this.connect(options)
    const channel = socket.channel(topic, params)
    const response = await joined(channel)
    return {socket, channel, response}
  }

  // server has the tests in Go do something to the server, or look at it.
  async server(verb, params = {}){
    const answer = await fetch(`${this.config.stage}/server/${verb}?${new URLSearchParams(params)}`, {method: "POST"})
    if(!answer.ok){ throw new Error(`${verb}: ${answer.status} ${await answer.text()}`) }
    return answer.json()
  }

  async close(){
    await Promise.all(this.sockets.map(socket => new Promise(resolve => socket.disconnect(resolve))))
  }
}

// Storage is a sessionStorage for one socket: that of a page would have one
// scenario remember the fallback of another, and Node has none.
class Storage {
  constructor(){ this.items = new Map() }
  getItem(key){ return this.items.get(key) ?? null }
  setItem(key, value){ this.items.set(key, value) }
  removeItem(key){ this.items.delete(key) }
}

// within fails if a promise takes too long.
export function within(what, promise){
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), patience)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

const once = (what, register) => within(what, new Promise(register))

export const opening = socket => once("the connection", resolve => socket.onOpen(resolve))
export const closing = socket => once("the end of the connection", resolve => socket.onClose(resolve))
export const failing = socket => once("an error of the connection", resolve => socket.onError(resolve))
export const closed = channel => once(`the end of ${channel.topic}`, resolve => channel.onClose(resolve))
export const errored = channel => once(`an error of ${channel.topic}`, resolve => channel.onError(resolve))

const outcome = (push, what) => once(what, resolve => {
  for(const status of ["ok", "error", "timeout", "my_status"]){
    push.receive(status, response => resolve({status, response}))
  }
})

// joining resolves with the reply, whatever its status.
export const joining = channel => outcome(channel.join(), `the reply to the join of ${channel.topic}`)

// joined insists on the join being accepted.
export async function joined(channel){
  const {status, response} = await joining(channel)
  equal(status, "ok", `the status of the join of ${channel.topic}`)
  return response
}

// rejoining is to be called before what makes the channel join again. A receive
// calls back at once for the reply that is there already, which is not meant.
export const rejoining = channel => once(`the rejoin of ${channel.topic}`, resolve => {
  let again = false
  channel.joinPush.receive("ok", response => { if(again){ resolve(response) } })
  again = true
})

export const push = (channel, event, payload, timeout) =>
  outcome(channel.push(event, payload, timeout), `the reply to ${event}`)

export const left = channel => outcome(channel.leave(), `the reply to the leave of ${channel.topic}`)

// A Mailbox keeps what comes for an event until it is asked for.
export class Mailbox {
  constructor(channel, event){
    this.what = `${event} in ${channel.topic}`
    this.messages = []
    this.waiting = []
    channel.on(event, payload => this.put(payload))
  }

  put(payload){
    const next = this.waiting.shift()
    if(next){ next(payload) } else { this.messages.push(payload) }
  }

  next(){
    if(this.messages.length > 0){ return Promise.resolve(this.messages.shift()) }
    return once(this.what, resolve => this.waiting.push(resolve))
  }
}

// presenceUntil waits until the presences are as wanted.
export const presenceUntil = (presence, what, wanted) => once(what, resolve => {
  const look = () => {
    if(!wanted(presence)){ return }
    presence.onSync(() => {})
    resolve()
  }
  presence.onSync(look)
  look()
})

// until is for what phoenix.js tells nobody.
export async function until(what, condition){
  const end = Date.now() + patience
  while(!condition()){
    if(Date.now() > end){ throw new Error(`waited in vain for ${what}`) }
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

export const buffer = (...bytes) => new Uint8Array(bytes).buffer

// plain makes binary data comparable.
const plain = value => value instanceof ArrayBuffer ? {bytes: [...new Uint8Array(value)]} : value

export function equal(got, want, what){
  const [g, w] = [canonical(plain(got)), canonical(plain(want))]
  if(g !== w){ throw new Error(`${what}: got ${g}, want ${w}`) }
}

// canonical is JSON with the keys in order.
function canonical(value){
  return JSON.stringify(value, (_, v) =>
    v && typeof v === "object" && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort()) : v)
}

function brief(data){
  try {
    return (JSON.stringify(data) ?? "").slice(0, 200)
  } catch {
    return String(data) // an event with cycles
  }
}
