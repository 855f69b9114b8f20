// Package interop tests phoenixtest with the official JavaScript client, the npm
// package phoenix, in Node and in Chromium, over WebSocket and over long poll. If
// the fake server does something wrong, the official client notices.
//
// The client of this module lives a life of its own there, as WebAssembly: the
// program in wasm/ has its scenarios.
//
// The tests need the build tag interop, Node, the packages of package.json, and
// Chromium. `.ci/run interop` installs what is missing and runs them.
//
// The scenarios are JavaScript, in js/scenarios.mjs and js/losses.mjs, and the
// same in Node and in Chromium. The tests start a server for each scenario, and
// call the scenario over the DevTools protocol, which Node speaks as well as a
// browser.
package interop
