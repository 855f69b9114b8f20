// Package interop holds the tests that let the official JavaScript client, the
// npm package phoenix, live its life against phoenixtest: in Node and in
// Chromium, over WebSocket and over long poll. What the fake server gets wrong,
// this client does not forgive.
//
// The tests need the build tag interop, Node, the packages of package.json, and
// Chromium. `.ci/run interop` installs what is missing and runs them.
//
// The scenarios are JavaScript, in js/scenarios.mjs and js/losses.mjs, and the
// same in both places. The tests start a server for each, and call the scenario
// through the DevTools protocol, which Node speaks as well as a browser.
package interop
