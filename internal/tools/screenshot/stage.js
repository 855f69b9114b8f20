// Plays a conversation in the page of examples/browserchat: two people, of whom one
// is in a frame that nobody sees, the bot, and an outage. Then it asks for /done,
// which lets the page be loaded, so that Chromium takes the picture.
const people = {
  ada: {id: "ada", name: "Ada", hue: 330, kind: "browser"},
  joe: {id: "joe", name: "Joe", hue: 262, kind: "browser"},
}
const role = new URLSearchParams(location.search).get("as") ?? "ada"

// The same picture each time: who it is, and what time it is.
Object.defineProperty(window, "sessionStorage", {
  value: {getItem: () => JSON.stringify(people[role]), setItem(){}},
})
Date.prototype.toLocaleTimeString = () => "10:24"

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

async function until(what, test){
  for(let i = 0; i < 300; i++){
    if(test()){ return sleep(300) }
    await sleep(50)
  }
  throw new Error(`this did not happen: ${what}`)
}

const has = (page, text) => until(text, () => page.getElementById("messages").innerText.includes(text))

async function say(page, text){
  page.getElementById("body").value = text
  page.getElementById("composer").requestSubmit()
  await sleep(400)
}

async function play(){
  const frame = document.createElement("iframe")
  frame.src = "/?as=joe"
  frame.style.cssText = "position: fixed; left: -2000px; width: 900px; height: 700px"
  const loaded = new Promise(resolve => { frame.onload = resolve })
  await new Promise(resolve => document.addEventListener("DOMContentLoaded", resolve))
  await has(document, "Welcome, Ada")
  document.body.append(frame)
  await loaded
  const joe = frame.contentDocument
  await has(document, "Welcome, Joe")

  await say(document, "Hi Joe! This is a Phoenix channel, and the server is a Go program.")
  await has(joe, "Hi Joe!")
  await say(joe, "So is that bot?")
  await has(document, "So is that bot?")
  await say(document, "@bot will it scale?")
  await has(document, "Ada, ")
  document.getElementById("cut").click()
  await has(document, "Connection lost")
  await say(document, "Joe, do you read me?")
  await has(document, "rejoined by myself")
  await has(joe, "do you read me?")
  await say(joe, "I do, and I have missed nothing.")
  await has(document, "missed nothing")
  await until("the button is back", () => !document.getElementById("cut").disabled)
  document.activeElement.blur()
  await sleep(500)
}

if(role === "ada"){
  play().then(() => fetch("/done"), err => fetch("/done", {method: "POST", body: String(err)}))
}
