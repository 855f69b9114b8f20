// The page: what it shows, and what it remembers in this tab.
import {Presences, Room} from "./channels.js"

const $ = id => document.getElementById(id)

// el makes an element. Text is only ever set as text.
function el(tag, props = {}, ...children){
  const node = Object.assign(document.createElement(tag), props)
  node.append(...children)
  return node
}

// --- Who one is: each tab somebody of its own ---

const names = ["Ada", "Linus", "Grace", "Joe", "Barbara", "Ken", "Margaret", "Robert", "Radia", "Rob", "Sophie", "José"]
const pick = list => list[Math.floor(Math.random() * list.length)]
const token = () => Math.random().toString(36).slice(2, 12)

const me = JSON.parse(sessionStorage.getItem("me") ?? "null") ??
  {id: token(), name: pick(names), hue: Math.floor(Math.random() * 360), kind: "browser"}
const remember = () => sessionStorage.setItem("me", JSON.stringify(me))
remember()

function avatar({name, hue, kind}){
  const initials = [...name].slice(0, 2).join("")
  const node = el("span", {className: `avatar ${kind}`, title: name}, initials)
  node.style.setProperty("--hue", hue)
  return node
}

// --- Messages ---

const list = $("messages")
const pending = new Map() // by nonce: what is said, and not known to have arrived
const sameAuthor = (a, b) => a && b && a.dataset.from === b.dataset.from && b.dataset.at - a.dataset.at < 120_000
const spoken = node => node?.classList.contains("event") ? null : node
let seen = 0

// show adds a node. It stays at the end if that is where one was looking.
function show(node){
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80
  list.append(node)
  if(atEnd || node.classList.contains("mine")){ list.scrollTop = list.scrollHeight }
}

function showMessage({from, body, at}){
  const mine = from.id === me.id
  const time = new Date(at).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"})
  const text = el("div", {className: "text"})
  for(const part of body.split(/(@\w+)/)){ text.append(part.startsWith("@") ? el("mark", {}, part) : part) }
  const node = el("li", {className: mine ? "mine last" : "last"}, avatar(from))
  Object.assign(node.dataset, {from: from.id, at})
  node.style.setProperty("--hue", from.hue)
  const before = spoken(list.lastElementChild)
  if(sameAuthor(before, node)){
    before.classList.remove("last")
  } else {
    node.classList.add("first")
    node.append(el("div", {className: "by"}, el("span", {}, from.name), el("time", {}, time)))
  }
  node.append(text)
  if(mine){ node.append(el("span", {className: "fate"})) }
  show(node)
  return node
}

function showEvent(text, className = ""){
  show(el("li", {className: `event ${className}`}, el("i"), text))
}

// received shows a message that is new: what one missed comes with the history,
// and so may what one has said oneself.
function received(message){
  if(message.seq <= seen){ return }
  seen = message.seq
  if(message.from.id === me.id && pending.has(message.nonce)){ return arrived(message.nonce, message) }
  typing.delete(message.from.id)
  showTyping()
  showMessage(message)
}

// --- Saying something: it is there at once, and then it arrives ---

function say(body){
  const nonce = token()
  const node = showMessage({from: me, body, at: Date.now()})
  node.classList.add("pending")
  node.querySelector(".fate").textContent = "◷"
  pending.set(nonce, {body, node})
  send(nonce)
}

// A message that was sent when the connection broke may have arrived. It is sent
// again after the rejoin, and the server knows it by its nonce.
async function send(nonce){
  const {body, node} = pending.get(nonce)
  if(!room.joined){ return }
  try {
    arrived(nonce, await room.push("say", {body, nonce}))
  } catch (err){
    if(!err.refused){ return }
    pending.delete(nonce)
    node.classList.replace("pending", "failed")
    node.querySelector(".fate").textContent = "!"
    node.title = err.message
  }
}

function arrived(nonce, {seq}){
  const node = pending.get(nonce)?.node
  if(!node){ return }
  pending.delete(nonce)
  // Messages come in order, so what others have said before has been shown.
  seen = Math.max(seen, seq)
  node.classList.remove("pending")
  node.querySelector(".fate").textContent = "✓"
}

// --- Who is here ---

const presences = new Presences()

function showPeople(){
  const people = presences.list().sort((a, b) => (b.id === me.id) - (a.id === me.id) || a.name.localeCompare(b.name))
  const shown = new Set([...$("people").children].map(node => node.dataset.id))
  $("count").textContent = people.length
  $("people").replaceChildren(...people.map(person => {
    const what = [person.id === me.id && "you", person.kind === "go" ? "Go client" : "browser", person.tabs > 1 && `${person.tabs} tabs`]
    const node = el("li", {}, avatar(person), el("div", {className: "who"}, el("b", {}, person.name), el("small", {}, what.filter(Boolean).join(" · "))))
    node.dataset.id = person.id
    if(shown.has(person.id)){ node.style.animation = "none" }
    return node
  }))
}

// --- Who is typing ---

const typing = new Map() // by id: the timer that forgets it

function showTyping(){
  const who = presences.list().filter(({id}) => typing.has(id)).map(({name}) => name)
  $("typing").textContent = who.length === 0 ? "" : `${who.join(" and ")} ${who.length > 1 ? "are" : "is"} typing …`
}

function typed({id, on}){
  clearTimeout(typing.get(id))
  typing.delete(id)
  if(on){ typing.set(id, setTimeout(() => typed({id, on: false}), 4000)) }
  showTyping()
}

let toldTyping = 0
$("body").addEventListener("input", () => {
  const on = $("body").value !== ""
  if(on && Date.now() - toldTyping < 2000){ return }
  toldTyping = on ? Date.now() : 0
  room.cast("typing", {on})
})

// --- The connection ---

let lostAt = 0
let entered = false
let rtt = null

const states = {
  connecting: () => lostAt ? `Reconnecting, ${away()} s` : "Connecting",
  waiting: () => `Reconnecting, ${away()} s`,
  joined: () => rtt === null ? "Connected" : `Connected · ${rtt < 1 ? "<1" : Math.round(rtt)} ms`,
  refused: ({reason}) => `Refused: ${reason}`,
}
const away = () => ((Date.now() - lostAt) / 1000).toFixed(1)
let state = {name: "connecting"}

function showState(){
  $("state").dataset.state = state.name
  $("state").lastElementChild.textContent = states[state.name](state)
}
setInterval(() => state.name !== "joined" && showState(), 100)

function changed(next){
  if(next.name === "waiting" && !lostAt){
    lostAt = Date.now()
    if(entered){ showEvent("Connection lost. What you type now will wait.", "lost") }
    document.body.dataset.away = ""
    for(const id of [...typing.keys()]){ typed({id, on: false}) }
  }
  if(next.rtt !== undefined){ rtt = next.rtt }
  state = next
  showState()
}

const room = new Room({
  url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`,
  topic: "room:lobby",
  params: () => ({...me, seen}),
  state: changed,
  handlers: {
    message: received,
    typing: typed,
    presence_state: payload => { presences.sync(payload); showPeople() },
    presence_diff: payload => { presences.diff(payload); showPeople(); showTyping() },
    // It comes after each join: what was said meanwhile goes before what waited here.
    history: ({messages}) => {
      if(lostAt && entered){ showEvent(`Back after ${away()} s`) }
      lostAt = 0
      entered = true
      delete document.body.dataset.away
      messages.forEach(received)
      for(const nonce of pending.keys()){ send(nonce) }
    },
  },
})

// --- What one can press ---

$("composer").addEventListener("submit", event => {
  event.preventDefault()
  const body = $("body").value.trim()
  if(body === ""){ return }
  $("body").value = ""
  toldTyping = 0
  say(body)
})

$("cut").addEventListener("click", async () => {
  const button = $("cut")
  const label = button.querySelector("span")
  button.disabled = true
  try {
    const {back_in_ms} = await (await fetch("cut", {method: "POST"})).json()
    label.textContent = "The server is away"
    await new Promise(resolve => setTimeout(resolve, back_in_ms))
  } finally {
    label.textContent = "Pull the plug"
    button.disabled = false
  }
})

$("me").addEventListener("click", () => {
  $("name").value = me.name
  $("rename").returnValue = ""
  $("rename").showModal()
  $("name").select()
})
$("rename").addEventListener("close", async () => {
  const name = $("name").value.trim()
  if($("rename").returnValue !== "ok" || name === "" || name === me.name){ return }
  me.name = name
  remember()
  showMe()
  await room.push("rename", {name}).catch(() => {}) // the next join says it anyway
})
const showMe = () => $("me").replaceChildren(avatar(me))

const themes = {light: "dark", dark: "light"}
const preferred = () => matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"
const root = document.documentElement
if(localStorage.getItem("theme")){ root.dataset.theme = localStorage.getItem("theme") }
$("theme").addEventListener("click", () => {
  root.dataset.theme = themes[root.dataset.theme ?? preferred()]
  localStorage.setItem("theme", root.dataset.theme)
})

showMe()
showState()
room.connect()
