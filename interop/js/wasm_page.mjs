// Runs the client of this module in a page.
import "/wasm/wasm_exec.js"
import {host} from "./wasm_host.mjs"

const go = new Go()
const {instance} = await WebAssembly.instantiateStreaming(fetch("/wasm/client.wasm"), go.importObject)
go.run(instance)
globalThis.interop = host
