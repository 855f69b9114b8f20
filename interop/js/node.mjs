// Runs scenarios in Node. The argument is the directory with the packages, which
// is not above this file, where Node would look for them.
import {pathToFileURL} from "node:url"
import {host} from "./host.mjs"

const load = path => import(pathToFileURL(`${process.argv[2]}/${path}`))

const phoenix = await load("phoenix/priv/static/phoenix.mjs")
const {WebSocket} = await load("ws/wrapper.mjs")

globalThis.interop = host({phoenix, WebSocket})
console.log("ready")

// It is called through the inspector, which does not keep the process alive, and
// ends with the process that started it.
process.stdin.on("end", () => process.exit()).resume()
