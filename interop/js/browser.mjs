// Runs scenarios in a page.
import * as phoenix from "/modules/phoenix/priv/static/phoenix.mjs"
import {host} from "./host.mjs"

globalThis.interop = host({phoenix, WebSocket: globalThis.WebSocket})
