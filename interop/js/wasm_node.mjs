// Runs the client of this module in Node. The arguments are the directory with the
// npm packages, and that with the client.
import fs from "node:fs"
import path from "node:path"
import {pathToFileURL} from "node:url"
import {host} from "./wasm_host.mjs"

const [modules, wasm] = process.argv.slice(2)
const load = (...names) => import(pathToFileURL(path.join(...names)))

globalThis.WebSocket ??= (await load(modules, "ws/wrapper.mjs")).WebSocket
await load(wasm, "wasm_exec.js")

const go = new Go()
const {instance} = await WebAssembly.instantiate(fs.readFileSync(path.join(wasm, "client.wasm")), go.importObject)
go.run(instance).then(() => process.exit(1)) // it should not end
globalThis.interop = host
console.log("ready")

process.stdin.on("end", () => process.exit()).resume()
